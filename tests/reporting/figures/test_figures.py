"""Every figure shows what its tables and files hold, whatever is missing from them."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from pictures import (
    EPSILONS,
    LABELS,
    TITLES,
    ascents,
    curve,
    distances,
    images,
    minimal,
    reconstructed,
    statistics,
)

from absynth.evaluation.selection import by_quantile, one_per_class
from absynth.reporting.figures.accuracy_distortion import accuracy_distortion_figure
from absynth.reporting.figures.adversarials import adversarials_grid, quantiles_grid
from absynth.reporting.figures.attacks import attacks_figure
from absynth.reporting.figures.bracket import bracket_figure
from absynth.reporting.figures.distal import distal_grid
from absynth.reporting.figures.distribution import distribution_figure
from absynth.reporting.figures.grid import largest_change
from absynth.reporting.figures.style import model_styles, save_figure
from absynth.reporting.figures.synthesis import reconstructions_grid, samples_grid
from absynth.reporting.figures.training import training_figure

INF = np.inf
NORMS = ("l2", "linf", "l0")
MANY = {f"m{i}": f"Model {i}" for i in range(12)}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def words(figure: plt.Figure) -> list[str]:
    """All texts of a figure of one panel, in the order drawn."""
    (panel,) = figure.axes
    return [text.get_text() for text in panel.texts]


def pictures(figure: plt.Figure) -> list[np.ndarray]:
    (panel,) = figure.axes
    return [np.asarray(image.get_array()) for image in panel.images]


def table_of(found: dict) -> pd.DataFrame:
    rows = [
        {"model": m, "n": len(c["label"]), "reached": c["reached"].sum(), "distal": 2}
        for m, c in found.items()
    ]
    return pd.DataFrame(rows, columns=["model", "n", "reached", "distal"])


def draw_distal(found: dict, models=LABELS) -> plt.Figure:
    return distal_grid(found, table_of(found), models=models)


def draw_distribution(columns: dict, models=LABELS, norms=NORMS) -> plt.Figure:
    return distribution_figure(distances(columns), models=models, norms=norms, epsilons=EPSILONS)


def draw_adversarials(found: dict, models=LABELS, norm="l2", n=8) -> plt.Figure:
    first = next(iter(found.values()))
    distances = {model: columns["distance"] for model, columns in found.items()}
    chosen = one_per_class(first["index"], first["label"], distances, seed=0)
    return adversarials_grid(found, images(n), chosen, models=models, norm=norm)


def draw_quantiles(found: dict, models=LABELS, norm="l2") -> plt.Figure:
    chosen = {model: by_quantile(columns["distance"], 4, seed=0) for model, columns in found.items()}
    return quantiles_grid(found, images(40, seed=9), chosen, models=models, norm=norm, n=4)


def draw_reconstructions(found: dict) -> plt.Figure:
    return reconstructions_grid(found, dict.fromkeys(found, "l2"), models=LABELS)


def draw_attacks(rows: pd.DataFrame, models=LABELS, norms=NORMS) -> plt.Figure:
    return attacks_figure(rows, models=models, norms=norms, titles=TITLES)


def draw_training(classifiers: dict, vaes: dict) -> plt.Figure:
    return training_figure(classifiers, vaes, models=LABELS)


SAMPLES = {"label": np.repeat([0, 1, 2], 4), "image": images(12)}
UNUSABLE = minimal(distance=[0, INF, 0])

# Every figure in its ordinary state and in those that a small or odd run leads to.
DRAWN = {
    "adversarials": lambda: draw_adversarials({m: minimal() for m in LABELS}),
    "adversarials, one model without": lambda: draw_adversarials({"cnn": minimal(), "abs": UNUSABLE | minimal(
        distance=[INF] * 8)}),
    "adversarials, one class": lambda: draw_adversarials({"abs": minimal(classes=1)}),
    "adversarials, linf": lambda: draw_adversarials({"mine": minimal(norm="linf")}, norm="linf"),
    "adversarials, twelve models": lambda: draw_adversarials({m: minimal() for m in MANY}, MANY),
    "quantiles": lambda: draw_quantiles({m: minimal(40) for m in LABELS}),
    "quantiles, one image": lambda: draw_quantiles({"cnn": minimal(1)}),
    "quantiles, no adversarial": lambda: draw_quantiles({"cnn": UNUSABLE}),
    "quantiles, l0": lambda: draw_quantiles({"cnn": minimal(norm="l0")}, norm="l0"),
    "distribution": lambda: draw_distribution({(m, n): minimal(norm=n) for m in LABELS for n in NORMS}),
    "distribution, nothing": lambda: draw_distribution({}),
    "distribution, all infinite": lambda: draw_distribution({("cnn", "l2"): minimal(distance=[INF] * 3)}),
    "distribution, all misclassified": lambda: draw_distribution({("cnn", "l2"): minimal(distance=[0] * 3)}),
    "distribution, one norm": lambda: draw_distribution({("cnn", "l0"): minimal(norm="l0")}, norms=("l0",)),
    "distal": lambda: draw_distal({m: ascents() for m in LABELS}),
    "distal, one class": lambda: draw_distal({"cnn": ascents(labels=[7])}),
    "samples": lambda: samples_grid(SAMPLES),
    "reconstructions": lambda: draw_reconstructions({m: reconstructed() for m in LABELS}),
    "reconstructions, none": lambda: draw_reconstructions({"abs": reconstructed(0)}),
    "attacks": lambda: draw_attacks(statistics()),
    "attacks, one of each": lambda: draw_attacks(statistics(["cnn"], {"l0": TITLES["l0"]}), {"cnn": "CNN"}, ["l0"]),
    "attacks, all misclassified": lambda: draw_attacks(statistics().assign(n=0, queries=np.nan)),
    "training": lambda: draw_training({"cnn": curve(loss=0.1, accuracy=0.9)}, {0: curve(loss=40, kl=10)}),
    "training, only classifiers": lambda: draw_training({"mine": curve(1, loss=0.1, accuracy=0.9)}, {}),
    "training, only VAEs": lambda: draw_training({}, {c: curve(loss=40, kl=10) for c in range(10)}),
}  # fmt: skip


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_every_figure_is_written_in_both_formats(tmp_path, draw):
    paths = [tmp_path / "figure.png", tmp_path / "figure.svg"]
    figure = draw()
    width, height = figure.get_size_inches()
    assert width == pytest.approx(7.0)
    assert height < 16
    save_figure(figure, paths)
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert "</svg>" in paths[1].read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name", ["adversarials", "quantiles", "distribution", "distal", "attacks", "training"]
)
def test_the_same_results_give_the_same_bytes(tmp_path, name):
    for run in ("one", "other"):
        save_figure(DRAWN[name](), [tmp_path / f"{run}.png", tmp_path / f"{run}.svg"])
    for suffix in ("png", "svg"):
        assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"other.{suffix}").read_bytes()


@pytest.mark.parametrize(
    "name", ["adversarials", "quantiles, l0", "distal", "reconstructions", "adversarials, twelve models"]
)
def test_texts_do_not_overlap(name):
    figure = DRAWN[name]()
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text()]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1


def test_adversarials_are_those_of_the_files_with_their_predicted_classes():
    found = {
        "cnn": minimal(distance=[1.25, 2.5], classes=10),
        "abs": minimal(distance=[0.0, INF], classes=10, seed=1),
    }
    figure = draw_adversarials(found)
    clean = images(8)
    expected = [clean[0], clean[1], *found["cnn"]["adversarial"], found["abs"]["adversarial"][0]]
    for shown, image in zip(pictures(figure), expected, strict=True):
        np.testing.assert_array_equal(shown, image[0])
    assert [word for word in words(figure) if "predicted class" not in word] == [
        "clean", "label 0", "label 1", "CNN", "1 (1.25)", "2 (2.50)", "ABS", "1 (clean)", "none found",
    ]  # fmt: skip


def test_quarters_are_labelled_and_each_adversarial_has_its_change_below():
    found = minimal(distance=[4, 3, 2, 1, 0, INF])
    figure = draw_quantiles({"cnn": found})
    below, *shown = words(figure)
    assert below.endswith("label → predicted class, Euclidean distance")
    part = [f"{low} – {low + 25} % of distances" for low in (0, 25, 50, 75)]
    changes = found["adversarial"] - images(40, seed=9)[:6]
    reach = [f"±{np.abs(change).max():.2f}" for change in changes]
    assert shown == [
        *("CNN", *part[:2], "adversarial", "3→4, 1.00", "2→3, 2.00", "change", reach[3], reach[2]),
        *(*part[2:], "adversarial", "1→2, 3.00", "0→1, 4.00", "change", reach[1], reach[0]),
    ]
    drawn = pictures(figure)
    assert len(drawn) == 8
    np.testing.assert_array_equal(drawn[2], changes[3][0])


def test_changes_keep_their_sign_and_that_of_the_channel_that_changes_most():
    change = np.array([[[0.1, -0.5]], [[-0.3, 0.2]]])  # (2, 1, 2)
    np.testing.assert_array_equal(largest_change(change), [[-0.3, -0.5]])


def test_a_model_without_adversarials_says_so():
    assert any("none to show" in word for word in words(draw_quantiles({"cnn": UNUSABLE})))


@pytest.mark.parametrize("n", [1, 3, 4, 8])
def test_thumbnails_stay_large_enough(n):
    found = {"cnn": minimal(40)}
    chosen = {"cnn": by_quantile(found["cnn"]["distance"], n, seed=0)}
    figure = quantiles_grid(found, images(40), chosen, models=LABELS, norm="l2", n=n)
    left, right, *_ = figure.axes[0].images[0].get_extent()
    assert right - left >= 0.44  # inches
    assert figure.axes[0].images[-1].get_extent()[1] <= 7.0


def test_failures_and_models_not_attacked_are_named():
    panels = draw_distribution({("cnn", "l2"): minimal(distance=[1, 2, 3, INF])}).axes
    said = [text.get_text() for text in panels[0].texts]
    assert said == ["∞: 25 %", "not attacked", "not attacked", "ε = 1.5"]
    assert [label.get_text() for label in panels[0].get_yticklabels()] == list(LABELS.values())
    (dots,) = panels[0].collections
    assert dots.get_offsets()[:, 0].tolist() == [1, 2, 3]


def test_boxes_are_at_the_quartiles():
    (panel,) = draw_distribution(
        {("cnn", "l2"): minimal(distance=[0, 1, 2, 3, 4])}, {"cnn": "CNN"}, ("l2",)
    ).axes
    box = panel.patches[0].get_path().vertices
    assert (box[:, 0].min(), box[:, 0].max()) == (1, 3)


def test_confidences_that_were_reached_are_bold():
    found = {"cnn": ascents(labels=[3, 5], seeds=[4])}
    figure = draw_distal(found)
    shown = [(t.get_text(), t.get_weight()) for t in figure.axes[0].texts if "(5)" in t.get_text()]
    assert shown == [("0.10 (5)", "normal"), ("0.95 (5)", "bold")]
    assert "CNN\nreached: 1 of 2\ndistal: 2" in words(figure)


def test_the_lower_energy_is_bold():
    figure = draw_reconstructions({"abs": reconstructed(1)})
    weights = {t.get_text(): t.get_weight() for t in figure.axes[0].texts}
    assert weights["10.0"] == weights["16.2"] == "bold"
    assert weights["20.0"] == weights["16.5"] == "normal"
    assert "0 → 1" in weights


def test_shares_and_costs_are_those_of_the_table():
    panels = draw_attacks(statistics(), norms=["l2"]).axes
    shares = [text.get_text() for text in panels[0].texts]
    assert shares == ["12"] * 3 + ["25"] * 3
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["FGM", "DDN"]
    assert sorted({x for line in panels[1].lines for x in line.get_xdata()}) == [100, 200]
    assert {x for line in panels[2].lines for x in line.get_xdata()} == {2}  # 16 s for 8 images


def test_an_attack_that_does_not_apply_is_a_dash():
    rows = statistics()
    left_out = rows[(rows["attack"] != "ddn") | (rows["model"] != "abs")]
    panels = draw_attacks(left_out, norms=["l2"]).axes
    assert [text.get_text() for text in panels[0].texts] == ["12", "12", "12", "25", "–", "25"]


def test_curves_are_those_of_the_trainings():
    panels = draw_training({"abs": curve(loss=0.1, accuracy=0.9)}, {}).axes
    assert [line.get_ydata().tolist() for line in panels[0].lines] == [curve(loss=0.1)["loss"].tolist()]
    assert panels[0].lines[0].get_color() == model_styles(LABELS)["abs"].colour
    assert len(panels) == 2


def test_each_class_has_a_panel_with_the_others_in_grey():
    vaes = {c: curve(loss=40 + c, kl=10 + c) for c in range(3)}
    panels = draw_training({}, vaes).axes
    assert [panel.get_title() for panel in panels] == ["class 0", "class 1", "class 2"]
    for label, panel in enumerate(panels):
        own = [line.get_ydata().tolist() for line in panel.lines if line.get_color() != "0.85"]
        assert own == [vaes[label][name].tolist() for name in ("loss", "kl")]
        assert len(panel.lines) == 6
        assert panel.get_ylim() == panels[0].get_ylim()


# Labels that matplotlib would take for formulas, or leave out of a legend.
ODD_LABELS = ["Net $\\frac{1$ _x", "$_x$", "_hidden", "\\$5"]


def texts(figure: plt.Figure) -> set[str]:
    """All texts of a figure as they are shown; one set as a formula in braces."""
    figure.canvas.draw()
    shown = set()
    for text in figure.findobj(plt.Text):
        for line in text.get_text().split("\n"):
            literal, formula = text._preprocess_math(line)
            shown.add(f"{{{literal}}}" if formula else literal)
    return shown


@pytest.mark.parametrize("label", ODD_LABELS)
def test_labels_are_shown_as_they_are_written(tmp_path, label):
    models = {"mine": label}
    curves = pd.DataFrame([("mine", "l2", 0.0, 1.0)], columns=["model", "norm", "distance", "accuracy"])
    interval = pd.DataFrame(
        [("mine", "l2", 0, 1.0, 2.0)], columns=["model", "norm", "index", "lower", "upper"]
    )
    attacks = {"models": models, "norms": ["l2"], "titles": {"l2": {"fgm": label}}}
    of_norm = {"models": models, "norms": ["l2"]}
    drawn = {
        "adversarials": draw_adversarials({"mine": minimal()}, models),
        "quantiles": draw_quantiles({"mine": minimal(40)}, models),
        "distribution": draw_distribution({("mine", "l2"): minimal()}, models, ("l2",)),
        "distal": draw_distal({"mine": ascents()}, models),
        "reconstructions": reconstructions_grid({"mine": reconstructed()}, {"mine": "l2"}, models=models),
        "attacks": attacks_figure(statistics(["mine"], {"l2": {"fgm": ""}}), **attacks),
        "training": training_figure({"mine": curve(loss=0.1, accuracy=0.9)}, {}, models=models),
        "curves": accuracy_distortion_figure(
            curves, lower_bounds=curves.assign(side="proved")[:0], epsilons=EPSILONS, **of_norm
        ),
        "bracket": bracket_figure(interval.assign(basis="proved"), curves.assign(side="attacked"), **of_norm),
    }
    for name, figure in drawn.items():
        assert label in texts(figure), name
        save_figure(figure, [tmp_path / f"{name}.svg"])
