"""A probe of a model before anything is spent on it: what would make every number about it wrong or meaningless.

Faults are raised as InputError, one at a time, in words that say what to write; what may be meant is a warning.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from absynth.evaluation.probe_checks import (
    Inputs,
    Subject,
    answers,
    check_batches,
    check_gradients,
    check_modes,
    check_repeats,
    check_threshold,
)
from absynth.models.base import predicted_classes
from absynth.models.custom import Custom
from absynth.models.expectation import Expectation

FAR_MORE = 0.3  # by how much another preparation of the images must raise the accuracy to be worth a hint

# What users' models often expect in place of pixels in [0, 1], rows before columns, and what to write then.
PREPARATIONS: Mapping[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "with rows and columns swapped": (
        lambda x: x.transpose(2, 3),
        "transpose the images in its forward, or check how it was trained",
    ),
    "inverted": (lambda x: 1 - x, "write x = 1 - x in its forward"),
    "times 255": (lambda x: 255 * x, "write x = 255 * x in its forward"),
    "scaled to [-1, 1]": (lambda x: 2 * x - 1, "write x = 2 * x - 1 in its forward"),
    "normalised with mean 0.1307 and standard deviation 0.3081": (
        lambda x: (x - 0.1307) / 0.3081,
        "write x = (x - 0.1307) / 0.3081 in its forward",
    ),
    "binarised at 0.5": (
        lambda x: (x >= 0.5).to(x.dtype),
        "binarise in its forward and give it an attribute input_threshold = 0.5",
    ),
}


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
    or device, not finite, or other for the same image in another call, batch or mode; no gradient, unless
    that is declared.
    """
    inputs, found = probe_inputs(images), Probe(n=len(images))
    devices = [images.device] if images.is_cuda else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(0)
        logits = answers(subject, inputs)
        check_repeats(subject, inputs, logits)
        check_batches(subject, inputs, logits)
        check_modes(subject, inputs, logits)
        check_threshold(subject, inputs, logits)
        if subject.custom:
            found.warnings += _changed_input(subject.custom, inputs)
        if subject.gradients:
            found.warnings += check_gradients(subject, inputs, len(images))
        found.warnings += _count_nonfinite(inputs, logits)
        found.accuracy = _accuracy(logits[: len(images)], labels)
        found.warnings += _ties(logits[: len(images)])
        found.warnings += _chance(found.accuracy, logits.shape[1], len(images))
        if subject.custom and subject.custom.input_threshold is not None and not subject.binarises:
            found.warnings.append(
                "has an input_threshold: write binarises: true in its entry, so that attacks for such models run"
            )
        if subject.random:
            found.warnings += _redrawn(subject.random, images, logits)
        if subject.custom:
            found.warnings += _preparation(subject.custom, images, labels, found.accuracy)
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


def _accuracy(logits: Tensor, labels: Tensor) -> float:
    return (predicted_classes(logits) == labels).double().mean().item()


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


def _preparation(model: Custom, images: Tensor, labels: Tensor, accuracy: float) -> list[str]:
    """A hint at how the images would have to be prepared for a far higher accuracy, if any such way is known."""
    if accuracy > 1 - FAR_MORE:
        return []
    ask = partial(_prepared_accuracy, model, images, labels)
    found = {name: ask(prepare) for name, (prepare, _) in PREPARATIONS.items()}
    best = max(found, key=lambda name: found[name])
    if found[best] < accuracy + FAR_MORE:
        return []
    return [
        f"classifies {found[best]:.0%} of the images correctly once they are {best}, but {accuracy:.0%} as they are: "
        f"{PREPARATIONS[best][1]}"
    ]


def _prepared_accuracy(
    model: Custom, images: Tensor, labels: Tensor, prepare: Callable[[Tensor], Tensor]
) -> float:
    """The accuracy (0 to 1) on images that need not lie in [0, 1] any more, so that the module itself is asked."""
    try:
        with torch.no_grad():
            return _accuracy(model.model(model.copied(prepare(images))), labels)
    except Exception:
        return 0.0
