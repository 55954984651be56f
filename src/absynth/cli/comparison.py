"""Models of several runs on the images that all of them were attacked on."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from absynth.api.minima import Minima
from absynth.api.run import Run
from absynth.cli.summary import basis_of
from absynth.errors import InputError
from absynth.evaluation.accuracy_curve import accuracy_curve
from absynth.evaluation.paired import compare_pair
from absynth.reporting.pairs import met_options
from absynth.workflow.matrix import Matrix

Distances = npt.NDArray[np.float64]
Row = dict[str, Any]


@dataclass(frozen=True)
class Candidate:
    """A model of a run. key: its name in figures and tables of a comparison, which no other has; label: its title."""

    run: Run
    run_name: str
    model: str
    key: str
    label: str


@dataclass(frozen=True)
class Common:
    """What the candidates reach in one norm on the images that they share, in the order of the first one's run.

    images (n,): identities of the images; labels (n,): their classes
    attacked: how many images of each candidate were attacked; distances, bounds: (n,) by candidate, bounds of those
        that have any; basis: of these
    """

    norm: str
    images: list[str]
    labels: npt.NDArray[np.int64]
    attacked: Mapping[str, int]
    distances: Mapping[str, Distances]
    bounds: Mapping[str, Distances]
    basis: Mapping[str, str]


def candidates(runs: Mapping[str, Run], models: Sequence[str]) -> list[Candidate]:
    """The models of the runs, by the names that these are called; only those named in `models`, if that is not empty.

    Raises InputError for a name that no run has.
    """
    known = [model for run in runs.values() for model in run.models]
    for name in models:
        if name not in known:
            raise InputError(f"--models: found {name}, the runs have {', '.join(dict.fromkeys(known))}")
    found = []
    for name, run in runs.items():
        for model in run.models:
            if not models or model in models:
                label = f"{run.labels[model]} ({name})" if len(runs) > 1 else run.labels[model]
                found.append(Candidate(run, name, model, f"{name}/{model}", label))
    return found


def identities(images: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> list[str]:
    """A name for each image (n, C, H, W) with its label (n,): equal where both are, whatever run they are in.

    The first 16 hexadecimal digits of the SHA-256 of shape, float32 pixels and label; an image that a data set holds
    several times gets a number, in their order.
    """
    seen: Counter[str] = Counter()
    names = []
    for image, label in zip(images, labels, strict=True):
        content = f"{image.shape}{label}".encode() + np.ascontiguousarray(image, np.float32).tobytes()
        digest = hashlib.sha256(content).hexdigest()[:16]
        seen[digest] += 1
        names.append(digest if seen[digest] == 1 else f"{digest}-{seen[digest]}")
    return names


def common(chosen: Sequence[Candidate], norm: str) -> Common | None:
    """What the candidates that were attacked in a norm reach on the images they share; None if that is none of them.

    Raises InputError if they share no image.
    """
    minima = {
        one.key: (one, one.run.minima(one.model, norm))
        for one in chosen
        if norm in one.run.norms and one.run.attacks_on(one.model, norm)
    }
    if not minima:
        return None
    names = {key: identities(found.clean, found.label) for key, (_, found) in minima.items()}
    shared = set.intersection(*map(set, names.values()))
    if not shared:
        raise InputError(
            f"{norm}: no image was attacked in all of {', '.join(minima)}; compare runs on the same data set"
        )
    first = next(iter(names))
    images = [name for name in names[first] if name in shared]
    rows = {
        key: np.array([place[name] for name in images])
        for key, place in ((key, {name: i for i, name in enumerate(found)}) for key, found in names.items())
    }
    bounds, basis = {}, {}
    for key, (one, found) in minima.items():
        lower = _bounds(one, norm, found)
        if lower is not None:
            bounds[key], basis[key] = lower[0][rows[key]], lower[1]
    return Common(
        norm=norm,
        images=images,
        labels=minima[first][1].label[rows[first]],
        attacked={key: len(found) for key, (_, found) in minima.items()},
        distances={key: found.distance[rows[key]] for key, (_, found) in minima.items()},
        bounds=bounds,
        basis=basis,
    )


def _bounds(one: Candidate, norm: str, found: Minima) -> tuple[Distances, str] | None:
    """A candidate's lower bounds of the images of `found`, and what they rest on; None if it has none."""
    if not (one.run.path / "bounds" / one.model / f"{norm}.csv").is_file():
        return None
    bounds = one.run.bounds(one.model, norm)
    place = {index: i for i, index in enumerate(bounds.index.tolist())}
    if not set(found.index.tolist()) <= place.keys():
        return None
    return bounds.lower[[place[index] for index in found.index.tolist()]], basis_of(bounds)


def summaries(found: Common, chosen: Sequence[Candidate], epsilon: float) -> list[Row]:
    """A row for each candidate of a norm: what it reaches on the shared images."""
    rows = []
    for one in chosen:
        if one.key in found.distances:
            distance = found.distances[one.key]
            rows.append(
                {
                    "norm": found.norm,
                    "run": one.run_name,
                    "model": one.model,
                    "attacked": found.attacked[one.key],
                    "n": len(distance),
                    "clean": float((distance > 0).mean()),
                    "median": float(np.median(distance)),
                    "epsilon": epsilon,
                    "accuracy": float((distance > epsilon).mean()),
                    "lower": float(np.median(found.bounds[one.key])) if one.key in found.bounds else "",
                    "basis": found.basis.get(one.key, ""),
                }
            )
    return rows


def pairs(found: Common, chosen: Sequence[Candidate], epsilon: float) -> list[Row]:
    """A row for each two candidates of a norm: the paired tests on the shared images."""
    there = [one for one in chosen if one.key in found.distances]
    return [
        {
            "norm": found.norm,
            **{"run": one.run_name, "model": one.model, "other_run": other.run_name, "other_model": other.model},
            "epsilon": epsilon,
            **asdict(compare_pair(found.distances[one.key], found.distances[other.key], epsilon)),
        }
        for one, other in combinations(there, 2)
    ]  # fmt: skip


def image_rows(found: Common, chosen: Sequence[Candidate]) -> list[Row]:
    """A row for each shared image and candidate of a norm."""
    return [
        {"norm": found.norm, "image": image, "label": int(label), "run": one.run_name, "model": one.model,
         "distance": float(found.distances[one.key][place])}
        for place, (image, label) in enumerate(zip(found.images, found.labels, strict=True))
        for one in chosen if one.key in found.distances
    ]  # fmt: skip


def frames(parts: Sequence[Common]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """What figures are drawn of: curves of accuracy, those of lower bounds, and distances; models by their keys."""
    curves, lower, distances = [], [], []
    for part in parts:
        for key, distance in part.distances.items():
            curves.append(accuracy_curve(distance, model=key, norm=part.norm))
            distances.append(pd.DataFrame({"model": key, "norm": part.norm, "distance": distance}))
        for key, bound in part.bounds.items():
            lower.append(accuracy_curve(bound, model=key, norm=part.norm, side=part.basis[key]))
    empty = pd.DataFrame(columns=["model", "norm", "side", "distance", "accuracy"])
    return pd.concat(curves), pd.concat(lower) if lower else empty, pd.concat(distances)


def differing_attacks(chosen: Sequence[Candidate], norm: str) -> bool:
    """Whether the candidates met different attacks in a norm, or the same with other options."""
    met = []
    for one in chosen:
        if norm in one.run.norms and one.run.attacks_on(one.model, norm):
            entries = one.run.config["attacks"]
            attacks = one.run.attacks_on(one.model, norm)
            options = {name: met_options(entries[name], one.model) for name in attacks}
            met.append((options, _stopped_when_tight(one)))
    return any(other != met[0] for other in met[1:])


def _stopped_when_tight(one: Candidate) -> float | None:
    """How near to a proved bound attacks on the model were done with an image; None if they never were."""
    planned = Matrix({"relay": None, **one.run.config}).planned(one.model)
    return one.run.config.get("stop_when_tight") if planned.kind.proved else None
