"""A probe of a model before anything is spent on it: what would make every number about it wrong or meaningless.

Faults are raised as InputError, one at a time, in words that say what to write; what may be meant is a warning.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from absynth.evaluation.calibration import accuracy
from absynth.evaluation.probe_checks import (
    Inputs,
    Subject,
    answers,
    check_batches,
    check_modes,
    check_repeats,
    check_threshold,
)
from absynth.evaluation.probe_gradients import check_gradients
from absynth.evaluation.probe_hints import hints
from absynth.evaluation.probe_process import check_lasting, check_process, check_settings
from absynth.models.base import predicted_classes
from absynth.models.custom import Custom
from absynth.models.expectation import Expectation
from absynth.models.user_code import settings_watched


@dataclass
class Probe:
    """What the probe of a model that may be evaluated found: its accuracy on n images, and warnings."""

    accuracy: float = 0.0
    n: int = 0
    warnings: list[str] = field(default_factory=list)


def probe_inputs(images: Tensor) -> Inputs:
    """Clean test images, and images on which models that divide or take logarithms fail."""
    shape = images.shape[1:]
    noise = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0)).to(images)
    special = {
        "the black image": torch.zeros(shape),
        "the white image": torch.ones(shape),
        "the grey image": torch.full(shape, 0.5),
        "an image of uniform noise": noise[0],
        "an image of binary noise": noise[1].round(),
    }
    made = torch.stack([image.to(images) for image in special.values()])
    names = (*(f"test image {i}" for i in range(len(images))), *special)
    return Inputs(torch.cat([images, made]), names)


def probe(subject: Subject, images: Tensor, labels: Tensor) -> Probe:
    """Ask a model in evaluation mode about the first test images (n, c, h, w) with labels (n,).

    The same seed gives the same result. Raises InputError for the first fault found: answers of another shape, dtype
    or device, not finite, or other for the same image in another call, batch or mode; seeds or settings of the
    process that it changes; no gradient, unless that is declared.
    """
    inputs, found = probe_inputs(images), Probe(n=len(images))
    devices = [images.device] if images.is_cuda else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(0)
        with settings_watched() as changed:
            logits = answers(subject, inputs)
            check_settings(subject, changed())
        check_repeats(subject, inputs, logits)
        check_batches(subject, inputs, logits)
        check_modes(subject, inputs, logits)
        check_threshold(subject, inputs, logits)
        if subject.custom:
            check_process(subject, inputs)
            found.warnings += _changed_input(subject.custom, inputs)
        if subject.gradients:
            found.warnings += check_gradients(subject, inputs, logits, len(images))
        if subject.custom:
            check_lasting(subject, inputs, logits)
        found.warnings += _count_nonfinite(inputs, logits)
        found.accuracy = accuracy(logits[: len(images)], labels)
        found.warnings += _probabilities(logits)
        found.warnings += _ties(logits[: len(images)])
        found.warnings += _chance(found.accuracy, logits.shape[1], len(images))
        if subject.custom and subject.custom.input_threshold is not None and not subject.binarises:
            found.warnings.append(
                "has an input_threshold: write binarises: true in its entry, so that attacks for such models run"
            )
        if subject.random:
            found.warnings += _redrawn(subject.random, images, logits)
        if subject.custom:
            found.warnings += hints(subject.custom, images, labels, found.accuracy)
    return found


def _count_nonfinite(inputs: Inputs, logits: Tensor) -> list[str]:
    rows = (predicted_classes(logits) < 0).nonzero().squeeze(1).tolist()
    if not rows:
        return []
    return [
        f"answers {len(rows)} of {len(logits)} images with logits that are not finite, as {inputs.names[rows[0]]}"
    ]


def _ties(logits: Tensor) -> list[str]:
    """Images whose highest logit two classes share: rounding decides on their class, and attacks see no slope."""
    highest = logits.topk(2, dim=1).values
    n = int((highest[:, 0] == highest[:, 1]).sum())
    if not n:
        return []
    return [
        f"gives the highest logit to two classes at once on {n} of {len(logits)} test images: if a large constant is "
        "added to its logits, leave it out"
    ]


def _probabilities(logits: Tensor) -> list[str]:
    """Answers that are probabilities, whose gradients vanish where the model is confident."""
    shares = logits[logits.isfinite().all(dim=1)]
    if not len(shares) or (shares < 0).any() or (shares.sum(dim=1) - 1).abs().max() > 1e-3:
        return []
    return [
        "answers with probabilities, it seems (none is negative, and each image's add up to 1): their gradients "
        "vanish where it is confident, and attacks find less; return the logits that its softmax is given"
    ]


def _chance(accuracy: float, n_classes: int, n: int) -> list[str]:
    if accuracy > 2 / n_classes:
        return []
    return [
        f"classifies only {accuracy:.0%} of {n} test images correctly, near chance: check its weights, the order of "
        "its classes, and the pixels it expects, which are in [0, 1]"
    ]


def _redrawn(model: Expectation, images: Tensor, logits: Tensor) -> list[str]:
    """By what a random model is evaluated, and how much hangs on the draws: their number may be too small."""
    with torch.no_grad():
        single = [Expectation(model.module, 1, first=seed)(images) for seed in range(3)]
    if all(torch.equal(single[0], other) for other in single[1:]):
        return [
            "is declared random, but no draw changes its answers: leave random out, and queries cost less"
        ]
    others = Expectation(model.module, model.draws, first=model.draws)
    with torch.no_grad():
        other = predicted_classes(others(images))
    differ = int((other != predicted_classes(logits[: len(images)])).sum())
    return [
        f"is random: evaluated as the mean of its probabilities over {model.draws} fixed draws; {model.draws} others "
        f"classify {differ} of {len(images)} test images otherwise"
    ]


def _changed_input(model: Custom, inputs: Inputs) -> list[str]:
    """Whether the user's module writes into the images that it is handed."""
    handed = model.copied(inputs.images[:2])
    before = handed.clone()
    module = model.model.module if isinstance(model.model, Expectation) else model.model
    try:
        with torch.no_grad():
            module(handed)
    except Exception:
        return []
    if torch.equal(before, handed):
        return []
    return ["changes the images that it is handed in place; it is handed copies, so results are not affected"]
