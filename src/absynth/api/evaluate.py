"""A model at hand evaluated by a preset of attacks: the smallest distance of each image, and what holds it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from absynth.api.subject import Array, Model, Subject, check_norm, subject
from absynth.attacks.run import Samples
from absynth.attacks.sequence import Step, run_sequence
from absynth.basis import PROVED
from absynth.certificates.lower_bounds import bound_basis, compute_lower_bounds
from absynth.certificates.settings import SearchSettings
from absynth.errors import InputError
from absynth.io.log import LOGGER
from absynth.models.base import predict_labels, with_inference
from absynth.norms import NORMS
from absynth.workflow.at_hand import MODEL, plan_at_hand, step_of
from absynth.workflow.plan import Plan

Columns = dict[str, Tensor]  # of `attack_images`


def evaluate(
    model: Model,
    x: Array,
    y: Array,
    preset: Any = "standard",
    norms: Sequence[str] = ("l2", "linf", "l0"),
    *,
    epsilons: Mapping[str, float] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Evaluate a model by the attacks of a preset, relay included, and by its lower bounds if it has any.

    model, x, y, seed: as of `absynth.attack`; images are numbered 0, 1, …
    preset: its name (docs/how-to/strong-attacks.md), a list of names of presets and attacks, or a mapping as a
        config's `attacks`, or of `attacks` and `relay` as a file of a preset has. Attacks that the model cannot meet
        are left out; so, with a warning in the log, are transfer attacks: only a run trains their substitute.
    norms: those in which it is attacked
    epsilons: by norm, distances within which attacks of a fixed ε search, and for which the table has a column;
        for such attacks 1.5 (l2), 0.3 (linf) and 12 (l0) without
    progress: show a bar, with an attack for each step
    Returns one row per image with columns
        image, label, prediction: its position, its class, and the class that the model gives it (-1 for logits that
            are not finite)
        l2, linf, l0, as asked for: the smallest distance over all attacks; 0 where the image is misclassified, inf
            where all failed
        l2_attack, …: the name of the attack that holds it, "" where there is none
        l2_lower, l2_basis, …: the lower bound and what it rests on, "proved" or "searched", of models with bounds
        l2_robust, …: whether the smallest distance exceeds the epsilon, of norms in `epsilons`
    The numbers are those of a run with one shard, as `absynth.attack` says. Raises InputError, in one line, for
    anything that cannot be evaluated so.
    """
    norms = [norms] if isinstance(norms, str) else norms
    _check_sizes(norms, epsilons)
    with subject(model, x, y) as found:
        plan = _planned(preset, norms, found, epsilons)
        names = {norm: _names(plan, norm) for norm in norms}
        table = _first_columns(found)
        with tqdm(total=sum(map(len, names.values())), disable=not progress) as bar:
            for norm in norms:
                bounds, results = _lower_bounds(plan, found, norm), {}
                for name, part in _attacked(plan, found, norm, names[norm], seed, bounds):
                    results[name] = part
                    bar.set_postfix_str(f"{norm} {name}")
                    bar.update()
                columns = _columns(plan, norm, results, (epsilons or {}).get(norm))
                if bounds is not None:
                    columns |= {"_lower": bounds.numpy(), "_basis": bound_basis(found.model)}
                table = table.assign(**{f"{norm}{column}": values for column, values in columns.items()})
    return table


def _check_sizes(norms: Sequence[str], epsilons: Mapping[str, float] | None) -> None:
    """Refuse what is no list of norms, and what is no mapping from these to sizes."""
    if not isinstance(norms, list | tuple):
        raise InputError(f"norms: found {norms!r}, expected a list of {', '.join(NORMS)}")
    for norm in norms:
        check_norm(norm, "norms")
    if not isinstance(epsilons, Mapping | None):
        raise InputError(f"epsilons: found {epsilons!r}, expected a size for each norm, as {{'linf': 0.3}}")
    for norm in epsilons or {}:
        if norm not in norms:
            raise InputError(f"epsilons: found {norm}, allowed are the norms asked for, {', '.join(norms)}")


def _planned(preset: Any, norms: Sequence[str], found: Subject, epsilons: Mapping[str, float] | None) -> Plan:
    """The plan of the evaluation; what a config calls `attacks` is here the argument `preset`."""
    try:
        return plan_at_hand(preset, norms, found.entry, epsilons)
    except InputError as error:
        key, _, said = str(error).partition(": ")
        raise InputError(f"preset: {said}" if key in ("attacks", "attacks.preset") else str(error)) from None


def _names(plan: Plan, norm: str) -> list[str]:
    """The attacks of a norm in their order, without those that need a substitute; InputError if there is none."""
    names = plan.in_order(MODEL, norm)
    kept = [name for name in names if not plan.attacks[name].substitute]
    if len(kept) < len(names):
        LOGGER.warning(
            "transfer attacks are left out: they need a substitute, which a run of the workflow trains"
        )
    if not kept:
        raise InputError(
            f"preset: no attack of it applies to this model in {norm}; leave that norm out, or name other attacks"
        )
    return kept


def _first_columns(found: Subject) -> pd.DataFrame:
    """Position, label and prediction of each image."""
    reference = with_inference(found.model, "reference")
    prediction = torch.cat([predict_labels(reference, part) for part in found.x.split(100)])
    columns = {"label": found.y.cpu().numpy(), "prediction": prediction.cpu().numpy()}
    return pd.DataFrame({"image": np.arange(len(found.x)), **columns})


def _lower_bounds(plan: Plan, found: Subject, norm: str) -> Tensor | None:
    """The lower bounds (n,) float64 in a norm; None for a model that has none."""
    if (MODEL, norm) not in plan.bounded:
        return None
    settings = SearchSettings(**plan.config["certificates"])
    bounds, _ = compute_lower_bounds(found.model, found.x, found.y, norm, settings)
    return bounds["joint"].cpu().double()


def _attacked(
    plan: Plan, found: Subject, norm: str, names: Sequence[str], seed: int, bounds: Tensor | None
) -> Iterator[tuple[str, Columns]]:
    """Each attack, with what it found."""
    steps: list[Step] = [step_of(plan, name, MODEL, norm, {}) for name in names]
    steps = [replace(step, starts=[start for start in step.starts if start in names]) for step in steps]
    samples = Samples(found.x, found.y, torch.arange(len(found.x), device=found.x.device))
    proved = bounds if bound_basis(found.model) == PROVED else None
    yield from run_sequence(steps, found.model, samples, norm, seed, proved)


def _columns(plan: Plan, norm: str, results: Mapping[str, Columns], epsilon: float | None) -> dict[str, Any]:
    """The columns of the table that attacks in a norm give, by what follows its name."""
    names = [name for name in plan.attacks_on(MODEL, norm) if name in results]  # of equals the first holds it
    distances = np.stack([results[name]["distance"].numpy() for name in names])  # (attacks, n)
    least = distances.min(axis=0)
    held = np.array(names, dtype=object)[distances.argmin(axis=0)]
    held[(least == 0) | np.isinf(least)] = ""
    columns: dict[str, Any] = {"": least, "_attack": held}
    if epsilon is not None:
        columns["_robust"] = least > epsilon
    return columns
