"""Signs of an invalid evaluation: results of attacks that contradict one another, or attacks that found nothing.

Each finding suggests, but does not prove, that an attack had too few steps or restarts, or that a model masks its
gradients (Carlini et al. 2019, "On Evaluating Adversarial Robustness"; Croce & Hein 2020, AutoAttack's flags).
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from absynth.errors import InputError
from absynth.io.records import SHARD, TIGHT_BY_ITSELF, near_bound, read_record
from absynth.norms import told_apart

# In the place of an attack's name: all attacks that used gradients, and all that did not.
WITH, WITHOUT = "with gradients", "without gradients"
_RUN = (0, TIGHT_BY_ITSELF)  # codes of `stopped` of samples that an attack was run on


@dataclass(frozen=True)
class Role:
    """What the registry (`absynth.attacks.registry.AttackEntry`) says of an attack.

    gradients: whether it needs the model's gradients; what an attack used, needed or not, its `Outcome` says
    refines: attacks of which it iterates a single step
    estimates: the attack that it repeats with estimated gradients
    round: its round in the run's relay, 0 outside of it
    repeats: the same for attacks that differ in their random numbers alone; "" for one that has no such companion
    at_epsilons: whether it looks within one ε alone, so that finding nothing is no sign of anything
    internals: whether it reads the model's latents or lower bounds, which say as much as gradients
    """

    gradients: bool
    refines: Sequence[str] = ()
    estimates: str | None = None
    round: int = 0
    repeats: str = ""
    at_epsilons: bool = False
    internals: bool = False


@dataclass(frozen=True)
class Limits:
    """The limits beyond which results contradict one another.

    tolerance: distances count as equal if the larger exceeds the smaller by no more than this share
    share: of the correctly classified samples, on which an attack may be worse than one that it should not lose to
    failures: of the same samples, on which an attack that used gradients may find nothing
    """

    tolerance: float
    share: float
    failures: float


@dataclass(frozen=True)
class Outcome:
    """One attack on n samples.

    distance (n,): of its adversarials, 0 where misclassified and inf where it failed
    gradients (n,): how many it used
    stopped (n,): codes of the dataset of this name in `absynth.io.records.SHARD`; None if it has none
    """

    distance: npt.NDArray[np.float64]
    gradients: npt.NDArray[np.int64]
    stopped: npt.NDArray[np.int64] | None = None

    @property
    def taken_over(self) -> npt.NDArray[np.bool_]:
        """Which samples (n,) the attack was not run on, since what it starts from is near a proved bound."""
        return near_bound(self._columns, at_start=True)

    @property
    def near_bound(self) -> npt.NDArray[np.bool_]:
        """Those (n,), and the samples that the attack was done with once its own best was near a proved bound."""
        return near_bound(self._columns)

    @property
    def _columns(self) -> dict[str, npt.NDArray[Any]]:
        return {"distance": self.distance} | ({} if self.stopped is None else {"stopped": self.stopped})

    @property
    def ran(self) -> bool:
        """Whether the attack was run on any sample; of those left out it records what it starts from."""
        stopped = np.zeros(len(self.distance)) if self.stopped is None else self.stopped
        return bool(((self.distance > 0) & np.isin(stopped, _RUN)).any())

    @property
    def own_distance(self) -> npt.NDArray[np.float64]:
        """The distances (n,) that the attack found itself, or by going on from its starts: inf where taken over."""
        return np.where(self.taken_over, np.inf, self.distance)

    @property
    def attacked(self) -> npt.NDArray[np.bool_]:
        """Which samples (n,) are correctly classified, and so were attacked, unless they were taken over."""
        return (self.distance > 0) & ~self.taken_over

    @property
    def n_failed(self) -> int:
        """How many samples are without an adversarial."""
        return int(np.isinf(self.distance).sum())

    @property
    def failed(self) -> float:
        """The share of the attacked samples without an adversarial, 0 if none was attacked."""
        return self.n_failed / max(1, int(self.attacked.sum()))

    @property
    def median(self) -> float:
        return float(np.median(self.distance))


@dataclass(frozen=True)
class Finding:
    """A row of tables/audit.csv, except for model and norm.

    value, other_value: median distances of `attack` and `other`; other_value is empty if there is no other
    share: of the attacked samples, on which `other` is better or, if there is none, the attack failed
    """

    check: str
    attack: str
    other: str
    value: float
    other_value: float | str
    share: float
    message: str


Outcomes = Mapping[str, Outcome]
Check = Callable[[Outcomes, Mapping[str, Role], Limits], Iterable[Finding]]
_ADVICE = (
    "take the preset strong (attacks: strong) or lay config/strong.yaml over the config: its pointwise, square, "
    "sparse_rs and hop_skip_jump use no gradients, and beam and flips only choose by them what they ask"
)
COLUMNS = ("model", "norm", *Finding.__dataclass_fields__)
_LAYOUT = {
    name: SHARD[name] for name in ("index", "distance", "gradients", "stopped")
}  # what is read of a shard


def audit(outcomes: Outcomes, roles: Mapping[str, Role], limits: Limits) -> list[Finding]:
    """The findings on all attacks on one model in one norm."""
    return [finding for check in CHECKS for finding in check(outcomes, roles, limits)]


def weak_iterations(outcomes: Outcomes, roles: Mapping[str, Role], limits: Limits) -> Iterator[Finding]:
    """Attacks weaker than the single step that they iterate."""
    for name in outcomes:
        for other in roles[name].refines:
            if other in outcomes:
                yield from _weaker(
                    "iteration", name, [outcomes[name]], other, [outcomes[other]], limits,
                    "too few steps, or steps of the wrong size",
                )  # fmt: skip


def masked_gradients(outcomes: Outcomes, roles: Mapping[str, Role], limits: Limits) -> Iterator[Finding]:
    """Attacks weaker with exact gradients than with estimated ones."""
    for other in outcomes:
        name = roles[other].estimates
        if name is not None and name in outcomes:
            yield from _weaker(
                "masking", name, [outcomes[name]], other, [outcomes[other]], limits,
                f"the second estimates its gradients: the model may mask the exact ones; {_ADVICE}",
            )  # fmt: skip


def weak_gradients(outcomes: Outcomes, roles: Mapping[str, Role], limits: Limits) -> Iterator[Finding]:
    """All attacks that used gradients, together, weaker than all others together.

    What was recorded decides: some attacks use gradients where a model has them, and do without where it has none.
    An attack that needs gradients and recorded none is on neither side, nor is one that was run on no sample, or one
    that reads the model's latents or bounds in their place: it is no sign that gradients mislead.
    """
    ran = {name: outcome for name, outcome in outcomes.items() if outcome.ran}
    by = [name for name, outcome in ran.items() if outcome.gradients.any()]
    without = [
        name for name in ran if name not in by and not (roles[name].gradients or roles[name].internals)
    ]
    if not by or not without:
        return
    best = min(without, key=lambda name: ran[name].median)
    yield from _weaker(
        "gradients", WITH, [ran[name] for name in by], WITHOUT, [ran[name] for name in without], limits,
        f"too few steps, or gradients of no use; the best attack without them is {best}; {_ADVICE}",
    )  # fmt: skip


def no_success(outcomes: Outcomes, roles: Mapping[str, Role], limits: Limits) -> Iterator[Finding]:
    """Attacks that find nothing at all."""
    for name, outcome in outcomes.items():
        if outcome.failed == 1 and not roles[name].at_epsilons:
            message = f"{name}: no adversarial of any of {outcome.n_failed} images"
            yield Finding("success", name, "", outcome.median, "", 1.0, message)


def vanishing_gradients(outcomes: Outcomes, roles: Mapping[str, Role], limits: Limits) -> Iterator[Finding]:
    """Attacks that used gradients and yet failed on many samples."""
    for name, outcome in outcomes.items():
        role, used = roles[name], outcome.gradients.any()
        if role.gradients and not role.at_epsilons and used and outcome.failed > limits.failures:
            images = f"{outcome.n_failed} of {outcome.attacked.sum()} images"
            message = f"{name}: no adversarial of {images}: gradients may vanish"
            yield Finding("vanishing", name, "", outcome.median, "", outcome.failed, message)


def unfinished_relay(outcomes: Outcomes, roles: Mapping[str, Role], limits: Limits) -> Iterator[Finding]:
    """A relay whose last round still improved on many samples, so that a further one would as well."""
    last = max((roles[name].round for name in outcomes), default=0)
    before = [name for name in outcomes if roles[name].round < last]
    if not last or not before:
        return
    earlier = np.min([outcomes[name].distance for name in before], axis=0)
    best = np.min([outcome.distance for outcome in outcomes.values()], axis=0)
    improved = earlier > (1 + limits.tolerance) * best  # (n,)
    n, attacked = int(improved.sum()), int((best > 0).sum())
    if n > limits.share * attacked:
        values = float(np.median(best)), float(np.median(earlier))
        message = (
            f"round {last} of the relay still improved {n} of {attacked} images by more than "
            f"{100 * limits.tolerance:.4g}%, the median from {values[1]:.4g} to {values[0]:.4g}: raise relay.rounds"
        )
        yield Finding("relay", f"round {last}", f"rounds before {last}", *values, n / attacked, message)


CHECKS: tuple[Check, ...] = (
    weak_iterations,
    masked_gradients,
    weak_gradients,
    no_success,
    vanishing_gradients,
    unfinished_relay,
)


def _weaker(
    check: str,
    name: str,
    weak: Sequence[Outcome],
    other: str,
    strong: Sequence[Outcome],
    limits: Limits,
    meaning: str,
) -> Iterator[Finding]:
    """A finding if what attacks `weak` found together exceeds what `strong` found, by medians or on too many samples.

    Samples on which one of `weak` was done near a proved bound, or none of `strong` was run, compare nothing.
    """
    compared = ~np.any([one.near_bound for one in weak], axis=0)
    compared &= ~np.all([one.taken_over for one in strong], axis=0)  # (n,)
    if not compared.any():
        return
    first, second = (
        np.min([one.own_distance for one in group], axis=0)[compared] for group in (weak, strong)
    )
    medians = float(np.median(first)), float(np.median(second))
    worse = first > (1 + limits.tolerance) * second  # never where both are inf
    n, attacked = int(worse.sum()), int((first > 0).sum())
    share = n / max(1, attacked)
    beyond = medians[0] > (1 + limits.tolerance) * medians[1]
    if beyond or share > limits.share:
        images = f"on {n} of {attacked} images by more than {100 * limits.tolerance:.4g}%"
        median = f"its median is {_compared(*medians)}"
        though = "though" if medians[0] < medians[1] else "while"
        how = f": {median}, {images}" if beyond else f" {images}, {though} {median}"
        message = f"{name} is weaker than {other}{how}; {meaning}"
        yield Finding(check, name, other, *medians, share, message)


def _compared(value: float, other: float) -> str:
    """Both numbers and how they compare, with as many digits as it takes to show that."""
    first, second = told_apart(value, other)
    relation = "equal to" if value == other else "larger than" if value > other else "smaller than"
    return f"{first}, {relation} {second}"


def read_outcomes(shards: Iterable[str | Path], run: str) -> dict[tuple[str, str], dict[str, Outcome]]:
    """Outcomes of all attacks by model and norm, then by attack, in the order of the shards.

    Raises InputError if a file is no shard of this run, or if attacks on one model are of different samples.
    """
    parts: dict[tuple[str, str], dict[str, _Samples]] = {}
    for path in shards:
        columns, attributes = read_record(path, _LAYOUT, {"run": run})
        model, norm, attack = (attributes[key] for key in ("model", "norm", "attack"))
        parts.setdefault((model, norm), {}).setdefault(attack, _Samples()).add(columns)
    return {key: _outcomes(attacks, *key) for key, attacks in parts.items()}


class _Samples:
    """Index, distance, gradients and codes of one attack, shard after shard, in 32 bytes per image."""

    def __init__(self) -> None:
        self._columns: dict[str, array[Any]] = {
            "index": array("q"),
            "distance": array("d"),
            "gradients": array("q"),
            "stopped": array("q"),
        }

    def add(self, columns: Mapping[str, npt.NDArray[Any]]) -> None:
        unstopped = np.zeros(len(columns["index"]), dtype=np.int64)
        for name, values in self._columns.items():
            values.frombytes(columns.get(name, unstopped).tobytes())

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return np.array(self._columns[name])


def _outcomes(parts: Mapping[str, _Samples], model: str, norm: str) -> dict[str, Outcome]:
    """Each attack's samples in the order of index, which must be the same for all attacks."""
    found: dict[str, Outcome] = {}
    expected: npt.NDArray[Any] | None = None
    for name, samples in parts.items():
        index = samples["index"]
        order = index.argsort()
        expected = index[order] if expected is None else expected
        if not np.array_equal(index[order], expected):
            raise InputError(
                f"attacks/{model}/{norm}/{name}: not the same samples as {next(iter(parts))}; delete both folders "
                "in the run's folder and rerun"
            )
        found[name] = Outcome(*(samples[key][order] for key in ("distance", "gradients", "stopped")))
    return found
