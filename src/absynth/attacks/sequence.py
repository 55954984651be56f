"""Attacks of a plan one after another in one process, each with the adversarials of those before it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from absynth.attacks.api import Attack
from absynth.attacks.relay import left_out
from absynth.attacks.run import AttackSettings, Samples, attack_images


@dataclass(frozen=True)
class Step:
    """An attack of a sequence.

    name: on which its random numbers depend; starts: the steps before it from whose adversarials it starts
    leg: for an attack of a relay's second or a later round, what `left_out` reads (`Plan.relay_leg`); None otherwise
    """

    name: str
    attack: Attack
    batch_size: int
    starts: Sequence[str]
    leg: Mapping[str, Any] | None


def run_sequence(
    steps: Sequence[Step],
    model: nn.Module,
    samples: Samples,
    norm: str,
    seed: int,
    bounds: Tensor | None = None,
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Run the steps in their order; yields each one's name and the columns of `attack_images`.

    They are those of a run of the workflow with these options on these images.
    samples: images, labels and positions; what each step starts from is added
    bounds: proved lower bounds (n,) by which a relay leaves tight images out; None if there are none
    """
    found: dict[str, dict[str, Tensor]] = {}
    device = samples.images.device
    for step in steps:
        known = {name: found[name] for name in step.starts}
        stopped = None
        if step.leg is not None:
            stopped = left_out(step.leg, {name: start["distance"] for name, start in known.items()}, bounds)
            stopped = stopped.to(device)
        starts = [start["adversarial"].to(device) for start in known.values()]
        settings = AttackSettings(step.attack, step.name, norm, seed, step.batch_size)
        found[step.name] = attack_images(
            settings, model, Samples(samples.images, samples.labels, samples.index, starts, stopped)
        )
        yield step.name, found[step.name]
