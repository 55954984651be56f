"""Hints of a probe at why a user's model classifies few images correctly: how it may expect images, or classes."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from absynth.evaluation.calibration import accuracy
from absynth.models.base import predicted_classes
from absynth.models.custom import Custom

ORDERED = 0.8  # share of images that must be correctly classified with classes in another order

FAR_MORE = 0.3  # by how much another preparation of the images must raise the accuracy to be worth a hint

# What users' models often expect in place of pixels in [0, 1], rows before columns, and what to write then.
PREPARATIONS: Mapping[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "with rows and columns swapped": (
        lambda x: x.transpose(2, 3),
        "transpose the images in its forward, or check how it was trained",
    ),
    "mirrored": (
        lambda x: x.flip(3),
        "write x = x.flip(3) in its forward, or check how it was trained",
    ),
    "turned upside down": (
        lambda x: x.flip(2),
        "write x = x.flip(2) in its forward, or check how it was trained",
    ),
    "turned by 90 degrees to the left": (
        lambda x: x.rot90(1, (2, 3)),
        "write x = x.rot90(1, (2, 3)) in its forward, or check how it was trained",
    ),
    "turned by 90 degrees to the right": (
        lambda x: x.rot90(-1, (2, 3)),
        "write x = x.rot90(-1, (2, 3)) in its forward, or check how it was trained",
    ),
    "inverted": (lambda x: 1 - x, "write x = 1 - x in its forward"),
    "times 255": (lambda x: 255 * x, "write x = 255 * x in its forward"),
    "scaled to [-1, 1]": (lambda x: 2 * x - 1, "write x = 2 * x - 1 in its forward"),
    "normalised with mean 0.1307 and standard deviation 0.3081": (
        lambda x: (x - 0.1307) / 0.3081,
        "write x = (x - 0.1307) / 0.3081 in its forward",
    ),
    "divided by their brightest pixel": (
        lambda x: x / x.amax().clamp_min(torch.finfo(x.dtype).tiny),
        "rescale the data set's images, so that white is 1 (255 as uint8)",
    ),
    "binarised at 0.5": (
        lambda x: (x >= 0.5).to(x.dtype),
        "binarise in its forward and give it an attribute input_threshold = 0.5",
    ),
    "normalised with their mean and standard deviation": (
        lambda x: (x - x.mean()) / x.std().clamp_min(torch.finfo(x.dtype).tiny),
        "normalise in its forward as it was in training",
    ),
}


def hints(model: Custom, images: Tensor, labels: Tensor, found: float) -> list[str]:
    """What would raise the accuracy `found` (0 to 1) on images (n, C, H, W) with labels (n,) by far, if known."""
    return _preparation(model, images, labels, found) or _order(model, images, labels, found)


def _order(model: Custom, images: Tensor, labels: Tensor, found: float) -> list[str]:
    """A hint at classes in another order: each predicted class stands for one label, and no two for the same."""
    if found > ORDERED - FAR_MORE:
        return []
    with torch.no_grad():
        logits = model(images.clone())
    classes = predicted_classes(logits)
    meant = {}
    for one in classes.unique().tolist():
        meant[one] = int(labels[classes == one].mode().values)
    one_to_one = len(set(meant.values())) == len(meant)
    taken = torch.tensor([meant[one] for one in classes.tolist()], device=labels.device)
    ordered = (taken == labels).double().mean().item()
    if not one_to_one or len(meant) < 2 or ordered < ORDERED:
        return []
    moved = ", ".join(f"{one} for {label}" for one, label in meant.items() if one != label)
    return [
        f"classifies {ordered:.0%} of the images correctly if its classes are taken in another order ({moved}), but "
        f"{found:.0%} as they are: bring its logits into the order of the labels"
    ]


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
            return accuracy(model.model(model.copied(prepare(images))), labels)
    except Exception:
        return 0.0
