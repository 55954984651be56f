"""What the report says was checked, and how robust each model is."""

import pandas as pd
import pytest
from pictures import EPSILONS, LABELS, TITLES, distances, minimal, statistics

from absynth.evaluation.bracket import VIOLATIONS
from absynth.reporting.checks import checks
from absynth.reporting.overview import overview_table, share_text, summary

INF = float("inf")
VERIFIED = pd.DataFrame(
    {
        "file": ["attacks/cnn/l2/fgm/0.h5", "minimal/cnn/l2.h5"],
        "checked": [8, 8],
        "ties": [0, 2],
        "disagreements": [0, 0],
        "first_row": ["", ""],
        "reason": ["", ""],
    }
)


def check(**frames):
    (made,) = checks(frames, LABELS, TITLES)
    return made


def test_verification_says_how_much_was_asked_again_and_what_disagreed():
    made = check(verification=VERIFIED)
    assert made.passed
    assert made.text == (
        "16 adversarials in 2 files were measured, and classified by their model, again: no disagreements. "
        "2 predictions differ by rounding alone."
    )
    wrong = VERIFIED.assign(disagreements=[1, 0], first_row=[3, ""], reason=["no longer adversarial", ""])
    made = check(verification=wrong)
    assert not made.passed
    assert "again: 1 disagreement." in made.text
    assert made.findings == ("attacks/cnn/l2/fgm/0.h5, row 3: no longer adversarial",)


def test_violated_bounds_are_listed_with_what_they_are_blamed_on():
    assert check(bound_violations=pd.DataFrame(columns=VIOLATIONS)).passed
    row = {
        "model": "abs",
        "norm": "l2",
        "index": 7,
        "upper": 1.0,
        "lower": 1.25,
        "attributed_to_inference": 1,
    }
    made = check(bound_violations=pd.DataFrame([row]))
    assert not made.passed
    assert made.text.startswith(
        "1 adversarial nearer to the image than its lower bound; 1 of them where inference"
    )
    assert made.findings == ("ABS, L2, image 7: 1.00 against 1.25",)
    near, unreached = row | {"upper": 1.0, "lower": 1.000002}, row | {"norm": "linf", "lower": float("inf")}
    assert check(bound_violations=pd.DataFrame([near, unreached])).findings == (
        "ABS, L2, image 7: 1 against 1.000002",
        "ABS, L∞, image 7: 1.000 against ∞",
    )


def test_findings_of_the_audit_and_warnings_of_the_probe_are_told_in_their_words():
    rows = [{"model": "cnn", "norm": "linf", "message": f"weak {n}"} for n in range(25)]
    made = check(audit=pd.DataFrame(rows))
    assert "25 findings" in made.text
    assert made.findings[0] == "CNN, L∞: weak 0"
    assert made.findings[-1] == "and 5 more, in the tables"
    assert len(made.findings) == 21
    models = pd.DataFrame({"model": ["cnn", "mine"], "probe": [float("nan"), "near chance"]})
    made = check(models=models)
    assert (made.passed, made.findings) == (False, ("My model: near chance",))
    assert check(models=models.drop(columns="probe")).passed


def test_attacks_that_found_nothing_are_named():
    frame = statistics()
    assert check(attacks=frame.assign(found=3, n=4)).passed
    assert check(attacks=frame.iloc[:0]).text == "No model was attacked, so no attack failed."
    frame = frame.assign(found=3, n=4)
    frame.loc[0, "found"] = 0
    made = check(attacks=frame)
    assert made.text.endswith(": 1 found nothing.")
    assert made.findings == ("CNN, L2: FGM, no adversarial of 4 images",)


def test_a_model_that_misclassifies_every_image_is_not_said_to_have_been_attacked():
    frame = statistics().assign(found=0, n=0)
    made = check(attacks=frame)
    assert (made.passed, made.text) == (False, "No image was attacked.")
    assert made.findings[0] == "CNN: it misclassifies all images as they are, so none was attacked"
    others = frame.copy()
    others.loc[others["model"] != "cnn", ["found", "n"]] = 4
    made = check(attacks=others)
    assert "each found something" in made.text
    assert len(made.findings) == 1


def test_a_share_that_is_not_all_does_not_look_like_all():
    assert share_text(299, 300).startswith("99.7% (")
    assert share_text(300, 300).startswith("100% (")
    assert share_text(1, 300).startswith("0.3% (")
    assert share_text(1999, 2000, 1).startswith("99.95% (")
    assert share_text(150, 300).startswith("50% (")


def test_each_model_has_its_accuracies_with_intervals_and_by_bounds_where_it_has_some():
    found = distances(
        {
            ("cnn", "l2"): minimal(distance=[0.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, INF]),
            ("abs", "l2"): minimal(distance=[2.0] * 5),
            ("abs", "l0"): minimal(distance=[INF] * 8),
        }
    )
    lower = pd.DataFrame(
        {"model": "abs", "norm": "l2", "basis": "searched", "lower": [1.0, 1.6, 1.7, 1.8, 1.9]}
    )
    table = overview_table(found, lower, LABELS, EPSILONS)
    assert table.header[-1] == "accuracy by bounds (searched)"
    assert [title for title, _ in table.groups] == ["L2, ε = 1.5, 5 or 8 images", "L0, ε = 12, 8 images"]
    cnn, abs_ = ([cell.text for cell in row] for row in table.groups[0][1])
    assert cnn == ["CNN", "88% (47 to 100%)", "1.50 (0.00 to ∞)", "50% (16 to 84%)", "–"]
    assert abs_ == [
        "ABS",
        "100% (48 to 100%)",
        "2.00 (too few images)",
        "100% (48 to 100%)",
        "80% (28 to 99%)",
    ]
    assert table.groups[1][1][0][2].text == "∞ (∞ to ∞)"
    assert overview_table(found, None, LABELS, EPSILONS).header[-1] == "accuracy under attack"


def robustness(*rows):
    return pd.DataFrame(
        [(model, "l2", "all", median, accuracy) for model, median, accuracy in rows],
        columns=["model", "norm", "attack", "median", "accuracy"],
    )


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [("cnn", 1.0, 0.0), ("abs", 2.0, 0.8)],
            "L2: ABS has the largest median distance, 2.00; "
            "80% of the images withstand every attack within ε = 1.5.",
        ),
        (
            [("cnn", 1.0, 0.996), ("abs", 0.5, 0.2)],
            "L2: CNN has the largest median distance, 1.00; "
            "99.6% of the images withstand every attack within ε = 1.5.",
        ),
        (
            [("cnn", 1.0, 0.0)],
            "L2: CNN has a median distance of 1.00; no image withstands every attack within ε = 1.5.",
        ),
        (
            [("cnn", INF, 1.0), ("abs", INF, 1.0), ("mine", 1.0, 0.2)],
            "L2: CNN and ABS have the largest median distance, ∞.",
        ),
    ],
)  # fmt: skip
def test_the_summary_is_right_for_one_model_for_ties_and_for_none_that_withstands(rows, said):
    assert summary(robustness(*rows), LABELS, EPSILONS) == [said]
