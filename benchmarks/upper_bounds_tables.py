"""The tables of benchmarks/upper_bounds.py, from its lines."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Lines = Sequence[Mapping[str, Any]]


def tables(lines: Lines) -> str:
    """All tables in Markdown; the last only if there are several plans."""
    cases: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for line in lines:
        cases.setdefault(tuple(line[key] for key in ("plan", "model", "norm")), []).append(line)
    parts = [
        table(
            ["plan", "model", "norm", "images", "of them whole", "median", "accuracy at ε", "CPU s/image"],
            [[*case, *summary(chosen)] for case, chosen in cases.items()],
        ),
        table(
            [
                "plan",
                "model",
                "norm",
                "attack",
                "minima held",
                "alone",
                "median",
                "CPU s/image",
                "queries/image",
            ],
            [[*case, *row] for case, chosen in cases.items() for row in holders(chosen)],
        ),
        table(
            ["plan", "model", "norm", "round", "median", "accuracy at ε", "CPU s/image so far"],
            [[*case, *row] for case, chosen in cases.items() for row in curve(chosen)],
        ),
    ]
    gained = [row for case in cases for row in gains(case, cases)]
    if gained:
        columns = [
            "plan",
            "model",
            "norm",
            "images",
            "other plan",
            "median",
            "with it",
            "gain",
            "accuracy at ε",
            "with it",
        ]
        parts.append(table(columns, gained))
    return "\n\n".join(parts)


def gains(case: tuple[str, ...], cases: Mapping[tuple[str, ...], Lines]) -> list[list[str]]:
    """What each other plan adds to a plan on one model in one norm, on the images that both are finished on."""
    rows = []
    for other in cases:
        if other == case or other[1:] != case[1:]:
            continue
        own, more = (whole_minima(cases[key]) for key in (case, other))
        both = sorted(own.keys() & more.keys())
        if not both:
            continue
        before = np.array([own[image] for image in both])
        after = np.minimum(before, [more[image] for image in both])
        medians, epsilon = (float(np.median(before)), float(np.median(after))), cases[case][0]["epsilon"]
        gain = 1 - medians[1] / medians[0] if 0 < medians[0] < math.inf else math.nan
        accuracies = [f"{float((values > epsilon).mean()):.1%}" for values in (before, after)]
        rows.append(
            [*case, str(len(both)), other[0], *(f"{m:.5g}" for m in medians), f"{gain:.2%}", *accuracies]
        )
    return rows


def whole_minima(lines: Lines) -> dict[int, float]:
    """The best distance by image, of the chunks on which all attacks are finished."""
    whole = {line["first"] for line in lines if line["last"]}
    found = distances(line for line in lines if line["first"] in whole)
    return {image: min(values.values()) for image, values in found.items()}


def distances(lines: Iterable[Mapping[str, Any]]) -> dict[int, dict[str, float]]:
    """The distances by image and attack, inf where one failed."""
    found: dict[int, dict[str, float]] = {}
    for line in lines:
        for place, value in enumerate(line["distance"]):
            image = line["first"] + place * line.get("every", 1)
            found.setdefault(image, {})[line["attack"]] = math.inf if value is None else value
    return found


def minima(lines: Iterable[Mapping[str, Any]]) -> np.ndarray:
    """The best distance (n,) of each image."""
    return np.array([min(values.values()) for values in distances(lines).values()])


def summary(lines: Lines) -> list[str]:
    best = minima(lines)
    whole = sum(len(line["distance"]) for line in lines if line["last"])
    cost = sum(line["cpu_seconds"] for line in lines) / len(best)
    accuracy = float((best > lines[0]["epsilon"]).mean())
    return [str(len(best)), str(whole), f"{np.median(best):.5g}", f"{accuracy:.1%}", f"{cost:.3g}"]


def holders(lines: Lines) -> list[list[str]]:
    """Each attack: on how many images it reaches the best, on how many no other does, and what it costs."""
    by_image = distances(lines)
    rows = []
    for attack in dict.fromkeys(line["attack"] for line in lines):
        own = {image: values[attack] for image, values in by_image.items() if attack in values}
        best = {image: min(by_image[image].values()) for image in own}
        held = [image for image in own if 0 < own[image] == best[image] < math.inf]
        alone = [image for image in held if sum(v == best[image] for v in by_image[image].values()) == 1]
        cost = sum(line["cpu_seconds"] for line in lines if line["attack"] == attack) / len(own)
        queries = sum(sum(line["queries"]) for line in lines if line["attack"] == attack) / len(own)
        median = float(np.median(list(own.values())))
        rows.append(
            [attack, str(len(held)), str(len(alone)), f"{median:.5g}", f"{cost:.3g}", f"{queries:.0f}"]
        )
    return rows


def curve(lines: Lines) -> list[list[str]]:
    """The best after each round, of all images that any attack is finished on."""
    rows = []
    for number in sorted({line["round"] for line in lines}):
        chosen = [line for line in lines if line["round"] <= number]
        rows.append([str(number), *np.array(summary(chosen))[[2, 3, 4]]])
    return rows


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(columns), [":--"] * 3 + ["--:"] * (len(columns) - 3), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
