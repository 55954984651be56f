"""The report's browser of images, in a browser: what it shows is what the files hold."""

import re
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from devtools import browser_page
from made_up_run import SIX, digits, minima, reconstructions, write_made_up_report

from absynth.evaluation.bracket import medians
from absynth.reporting.images import Gallery, brackets
from absynth.reporting.pixels import pictures, reduction

CHOOSE = """
    const form = document.querySelector('#filters');
    const choose = (wanted) => {
        for (const [name, value] of Object.entries(wanted)) {
            const select = form.querySelector(`[name=${name}]`);
            const known = [...select.options].map((option) => option.value);
            if (!known.includes(String(value))) throw Error(`${name}: ${value}`);
            select.value = value;
            select.dispatchEvent(new Event('change', {bubbles: true}));
        }
    };
    const said = () => document.querySelector('#shown').textContent;
    const reset = () => document.querySelector('#reset').click();
    const rows = () => [...document.querySelectorAll('#thumbs [data-row]')].map((one) => Number(one.dataset.row));
    const opened = async (row) => {
        document.querySelector('#detail').replaceChildren();
        document.querySelector(`#thumbs [data-row="${row}"]`).click();
        while (!document.querySelector('#detail h3')) await new Promise((done) => setTimeout(done, 1));
    };
    const grey = (canvas) => {
        const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        return [...pixels].filter((_, i) => i % 4 === 0);
    };
"""
WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def script(body: str) -> str:
    return f"(async () => {{ {CHOOSE} {body} }})()"


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    return write_made_up_report(tmp_path_factory.mktemp("large"), 1000, made=600)


@pytest.fixture(scope="module")
def opened(large, tmp_path_factory):
    with browser_page(tmp_path_factory.mktemp("browser") / "profile") as page:
        page.resize(1280)
        page.open(large)
        yield page
        assert page.console == []


def minimal(report: Path, model: str, norm: str) -> dict[str, np.ndarray]:
    with h5py.File(report.parent / "minimal" / model / f"{norm}.h5") as file:
        return {name: values[()] for name, values in file.items()}


def test_a_page_of_1000_images_is_small_and_opens_and_filters_in_less_than_a_second(large, tmp_path):
    assert large.stat().st_size < 25e6
    with browser_page(tmp_path / "profile") as page:
        page.resize(390)
        page.open(large)
        opening = page.cpu_seconds()
        assert page.run("document.querySelectorAll('#thumbs [data-row]').length") == 1000
        seconds = {"opened": opening}
        for name, wanted in (
            ("class", "{label: 3}"),
            ("model", "{label: '', model: 'abs'}"),
            ("loose", "{state: 'loose'}"),
            ("all, by distance", "{state: '', model: '', order: 'up'}"),
        ):
            before = page.cpu_seconds()
            page.run(script(f"choose({wanted}); document.body.offsetHeight;"))
            seconds[name] = page.cpu_seconds() - before
        before = page.cpu_seconds()
        page.run(script("await opened(rows()[7]);"))
        seconds["an image"] = page.cpu_seconds() - before
    assert max(seconds.values()) < 1, seconds
    assert min(seconds.values()) > 0, seconds


@pytest.mark.parametrize("model", ["cnn", "abs"])
def test_filters_show_the_images_that_the_files_say(opened, large, model):
    found = minimal(large, model, "linf")
    label, distance, taken = found["label"], found["distance"], found["adversarial_prediction"]
    reached = (distance > 0) & np.isfinite(distance)
    expected = {
        "{label: 3}": label == 3,
        "{label: '', prediction: 5}": reached & (taken == 5),
        "{prediction: '', state: 'failed'}": np.isinf(distance),
        "{state: 'misclassified'}": distance == 0,
        "{state: '', label: 4}": label == 4,
    }
    opened.run(script(f"reset(); choose({{norm: 'linf', model: '{model}'}});"))
    for wanted, rows in expected.items():
        shown = opened.run(script(f"choose({wanted}); return [rows(), said()];"))
        assert shown[0] == np.flatnonzero(rows).tolist()
        assert shown[1] == f"{rows.sum()} of 1000 images"
        assert 0 < rows.sum() < 1000


def test_tight_and_loose_are_those_of_the_bracket(opened, large):
    bracket = pd.read_csv(large.parent / "tables" / "bracket.csv")
    bracket = bracket[(bracket["model"] == "abs") & (bracket["norm"] == "l2")]
    words, counts = brackets(bracket), medians(bracket)
    assert (words.count("tight"), words.count("loose")) == (counts["tight"], counts["loose"])
    opened.run(script("reset(); choose({norm: 'l2', model: 'abs'});"))
    for word in ("tight", "loose", "between"):
        shown = opened.run(script(f"choose({{state: '{word}'}}); return rows();"))
        assert shown == [i for i, other in enumerate(words) if other == word]
    assert opened.run(script("choose({state: 'unbounded'}); return said();")) == (
        "None of 1000 images meets all that is chosen."
    )


def test_images_are_ordered_by_distance_infinite_ones_last(opened, large):
    distance = minimal(large, "cnn", "l2")["distance"]
    shown = opened.run(script("reset(); choose({norm: 'l2', model: 'cnn', order: 'up'}); return rows();"))
    ordered = np.array([float(f"{value:.6g}") for value in distance[shown]])
    assert (ordered[:-1] <= ordered[1:]).all()
    assert np.isinf(ordered[-1])


@pytest.mark.parametrize("norm", ["l2", "linf", "l0"])
def test_a_click_shows_the_adversarial_of_every_model_and_its_difference(opened, large, norm):
    opened.run(script(f"reset(); choose({{norm: '{norm}'}});"))
    found = {model: minimal(large, model, norm) for model in SIX}
    reached = [(columns["distance"] > 0) & np.isfinite(columns["distance"]) for columns in found.values()]
    row = int(np.flatnonzero(np.all(reached, axis=0))[137])
    shown = opened.run(
        script(f"""
        await opened({row});
        const body = document.querySelector('#detail tbody');
        return [...body.querySelectorAll('[data-case]')].map((one) => ({{
            text: [...one.cells].map((cell) => cell.textContent),
            adversarial: grey(one.cells[1].firstChild),
            difference: grey(one.cells[2].firstChild),
        }}));""")
    )
    assert [one["text"][0] for one in shown] == list(SIX.values())
    with h5py.File(large.parent / "data" / "test.h5") as file:
        clean = file["images"][row].ravel().astype(int)
    for one, columns in zip(shown, found.values(), strict=True):
        adversarial = np.rint(255 * columns["adversarial"][row].ravel()).astype(int)
        assert one["adversarial"] == adversarial.tolist()
        assert int(one["text"][4]) == columns["adversarial_prediction"][row]
        assert float(one["text"][3]) == pytest.approx(
            columns["distance"][row], abs=0.5 if norm == "l0" else 0.006
        )
        change = adversarial - clean
        red = np.array(one["difference"])
        assert (red[change == 0] == 255).all()
        assert red[change < 0].size == 0 or red[change == change.min()].max() < 255  # darker: blue


def made_by(report: Path, model: str) -> dict[str, np.ndarray]:
    with h5py.File(report.parent / "synthesis" / f"{model}.h5") as file:
        return {name: values[()] for name, values in file.items()}


@pytest.mark.parametrize("nth", [3, 77, 599])
def test_reconstructions_of_both_classes_are_shown_where_the_run_has_them(opened, large, nth):
    made = made_by(large, "abs")
    opened.run(script("reset(); choose({norm: 'l2'});"))
    row = int(made["index"][nth])
    shown = opened.run(
        script(f"""
        await opened({row});
        const titles = [...document.querySelectorAll('#detail h3')].map((one) => one.textContent);
        const one = document.querySelectorAll('#detail .made')[titles.indexOf('Reconstructions by ABS, L2') - 1];
        return [[...one.querySelectorAll('figure')].map((figure) => figure.textContent),
            [...one.querySelectorAll('canvas')].map(grey)];""")
    )
    texts, drawn = shown
    own, rival = made["label"][nth], made["rival"][nth]
    assert texts == [
        "image", f"by class {own}: energy 10.0", f"by class {rival}: energy 20.0",
        "adversarial", f"by class {own}: energy 16.5", f"by class {rival}: energy 16.3",
    ]  # fmt: skip
    expected = np.rint(255 * made["reconstruction"][nth].reshape(4, -1)).astype(int).tolist()
    assert [drawn[i] for i in (1, 2, 4, 5)] == expected


def test_why_an_image_has_no_reconstructions_is_told(opened, large):
    made, distance = made_by(large, "abs"), minimal(large, "abs", "l2")["distance"]
    found = (distance > 0) & np.isfinite(distance)
    last = int(made["index"].max())
    without = int(np.flatnonzero(~found[:last])[0]), int(np.flatnonzero(found[last + 1 :])[0]) + last + 1
    opened.run(script("reset();"))
    texts = [
        opened.run(script(f"await opened({row}); return document.querySelector('#detail').textContent;"))
        for row in without
    ]
    assert "No reconstructions by ABS: it has no adversarial of this image in L2." in texts[0]
    alone = (
        "No reconstructions by ABS: the run made them of other images alone (figures: reconstructed in its"
    )
    assert f"{alone} configuration). Of {made['index'][0]}, " in texts[1]
    assert "and 580 more" in texts[1]


def test_confusion_counts_the_adversarial_classes_and_leads_to_their_images(opened, large):
    table = pd.read_csv(large.parent / "tables" / "confusion.csv")
    table = table[(table["model"] == "madry") & (table["norm"] == "linf")]
    shown = opened.run(
        script("""
        for (const [name, value] of [['norm', 'linf'], ['model', 'madry']]) {
            const select = document.querySelector(`#confused [name=${name}]`);
            select.value = value; select.dispatchEvent(new Event('change', {bubbles: true}));
        }
        const numbers = [...document.querySelectorAll('#confusion button')];
        const counts = numbers.map((one) => [one.dataset.label, one.dataset.prediction, one.textContent].map(Number));
        numbers[4].click();
        return [counts, rows()];""")
    )
    assert shown[0] == table[["label", "adversarial_class", "n"]].to_numpy().tolist()
    found = minimal(large, "madry", "linf")
    own, other, _ = shown[0][4]
    reached = (found["distance"] > 0) & np.isfinite(found["distance"])
    assert (
        shown[1]
        == np.flatnonzero(
            reached & (found["label"] == own) & (found["adversarial_prediction"] == other)
        ).tolist()
    )


def never(columns):
    columns["distance"][:] = np.inf
    columns["attack"][:] = ""


LONG = {f"model_{i}": f"{i:02}" + "abcdefghij" * 5 + " of mine" for i in range(20)}
ALONE = {"cnn": "CNN"}
UNBROKEN = {"abs": "W" * 60, "cnn": "</script><img src=x onerror=alert(1)>"}
FAILED = ["every attack failed", "CNN has a median distance of ∞", "No attack found an adversarial"]


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize(
    ("n", "models", "changes", "said"),
    [
        (1, ALONE, {}, ["1 of 1 image", "How robust is CNN", "In difference images red is brighter"]),
        (3, LONG, {"norms": ["l2"]}, ["How robust are 20 classifiers", "190 pairs of models"]),
        (4, UNBROKEN, {}, ["Reconstructions by " + "W" * 60, UNBROKEN["cnn"]]),
        (4, ALONE, {"change": never}, FAILED),
        (4, SIX, {"norms": []}, ["No model was attacked"]),
    ],
    ids=[
        "one image", "20 models with names of 60 letters", "a word of 60 letters, and HTML", "all infinite",
        "nothing attacked",
    ],
)  # fmt: skip
def test_odd_runs_are_told_in_words_and_readable(tmp_path, width, n, models, changes, said):
    report = write_made_up_report(tmp_path, n, models, **changes)
    with browser_page(tmp_path / "profile") as page:
        page.resize(width)
        page.open(report)
        if "norms" not in changes or changes["norms"]:
            page.run(script("await opened(0);"))
        text, wide = page.run("document.body.innerText"), page.run(WIDE)
        narrow = page.run(
            "[...document.querySelectorAll('main td')].filter((one) => one.clientHeight > 250).length"
        )
    assert page.console == []
    assert wide <= 0
    assert narrow == 0  # no column so narrow that a name becomes a tower
    assert [sentence for sentence in said if sentence not in text] == []


def test_differences_of_images_in_colour_are_told_as_they_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "absynth.reporting.images.pictures", lambda images: pictures(np.repeat(images, 3, axis=1))
    )
    page = write_made_up_report(tmp_path, 2, ALONE, norms=["l2"]).read_text(encoding="utf-8")
    assert "In difference images grey is no change" in page
    assert "In difference images red is brighter" not in page


def test_pictures_that_do_not_fit_are_left_out_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("scripts.report.write_report.LARGEST_PAGE", 200e3)
    report = write_made_up_report(tmp_path, 300, ALONE, norms=["l2"])
    told = re.search(r"Only the first (\d+) of 300 images have pictures", report.read_text(encoding="utf-8"))
    assert 0 < int(told[1]) < 300
    with browser_page(tmp_path / "profile") as page:
        page.open(report)
        without = page.run(script("await opened(299); return document.querySelector('#detail').textContent;"))
        first = page.run(
            script("await opened(0); return document.querySelectorAll('#detail canvas').length;")
        )
    assert "The page has no pictures of this image." in without
    assert first > 0
    assert page.console == []


def test_what_was_found_of_each_image_takes_room_from_the_pictures():
    images, labels = digits(300)
    scaled = images.astype(np.float32) / np.float32(255)
    gallery = Gallery(scaled, labels.astype(np.int64))
    gallery.add("cnn", "l2", minima(scaled, labels, "l2", 1.0, seed=0))
    whole = gallery.browser(ALONE, {}, None, 1e9)
    needed = sum(map(len, [whole.data, whole.thumbnails, *whole.blocks]))
    told = whole.data.replace('"pictured":300,"sheet":300,"made":0', "")
    assert whole.pictured == 300
    less = gallery.browser(ALONE, {}, None, needed - 100)
    assert 0 < less.pictured < 300
    assert gallery.browser(ALONE, {}, None, len(told) + 100).pictured == 0


def test_reconstructions_are_left_out_before_other_pictures():
    images, labels = digits(120)
    scaled = images.astype(np.float32) / np.float32(255)
    gallery = Gallery(scaled, labels.astype(np.int64))
    columns = minima(scaled, labels, "l2", 1.0, seed=0)
    gallery.add("abs", "l2", columns)
    gallery.reconstruct("abs", "l2", reconstructions(scaled, columns, 120))
    whole = gallery.browser(ALONE, {}, None, 1e9)
    assert (whole.pictured, len(whole.made)) == (120, 3)
    needed = sum(map(len, [whole.data, whole.thumbnails, *whole.blocks, *whole.made]))
    less = gallery.browser(ALONE, {}, None, needed - len(whole.made[2]) // 2)
    assert (less.pictured, less.made) == (120, whole.made[:2])
    assert '"made":100' in less.data


def test_pictures_of_large_images_are_means_of_squares():
    images = np.zeros((1, 3, 130, 100), np.float32)
    images[0, 0, :3, :3] = 1.0
    assert reduction(images.shape[1:]) == 3
    shown = pictures(images)
    assert shown.shape == (1, 3, 43, 33)
    assert (shown[0, 0, 0, 0], shown.sum()) == (255, 255)
    assert pictures(np.full((1, 2, 4, 4), 0.5, np.float32)).shape == (1, 1, 4, 4)
    assert pictures(np.zeros((1, 1, 100, 1), np.float32)).shape == (
        1,
        1,
        100,
        1,
    )  # one pixel wide: not reduced
