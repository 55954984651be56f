"""The checks of a probe that ask a model for gradients: InputError in words, or warnings."""

import torch
from torch import Tensor

from absynth.evaluation.probe_checks import SAME_IN_BATCH, Inputs, Subject, ask, differ, named
from absynth.models.custom import NonFiniteError
from absynth.models.making import shown_error

VANISHING = 1e-30  # sums of squares of a gradient below it lose digits in float32
_DECLARE = "or write gradients: false in its config entry, and attacks that need gradients leave it out"


def check_gradients(subject: Subject, inputs: Inputs, plain: Tensor, n_clean: int) -> list[str]:
    """Refuse a model without gradients of its logits with respect to the images; warn where many are zero.

    plain: its logits of the inputs where no gradient is asked for, which must be the same
    """
    x = inputs.images.clone().requires_grad_()
    with torch.enable_grad():
        logits = ask(subject, inputs, x)
        if not logits.requires_grad:
            raise subject.fault(
                "its logits have no gradient with respect to the images (detach, numpy or no_grad on the way); "
                f"take that out, {_DECLARE}"
            )
        if not logits[:n_clean].isfinite().all(dim=1).any():
            raise subject.fault(
                "answers every test image with logits that are not finite; nothing can be measured on it"
            )
        largest = differ(plain, logits.detach())
        if largest > SAME_IN_BATCH[plain.device.type]:
            raise subject.fault(
                "answers otherwise for images that require gradients than for the same images that do not (logits "
                f"differ by {largest:.2g} of their range); let its answers not depend on it"
            )
        gradients = [_gradient(subject, inputs, logits, x) for _ in range(2)]
    return _again(gradients, plain.device.type) + _size(subject, gradients[0][:n_clean].flatten(1))


def _again(gradients: list[Tensor], device: str) -> list[str]:
    """Whether the gradient asked for a second time is another."""
    if differ(*gradients) <= SAME_IN_BATCH[device]:
        return []
    return [
        "gives other gradients when they are asked for again, as with noise in its backward pass: attacks that use "
        "them may find less than there is"
    ]


def _size(subject: Subject, flat: Tensor) -> list[str]:
    """Refuse gradients (n, pixels) of clean images that are all zero; warn of many that are, and of tiny ones."""
    used = flat.any(dim=1)
    if not used.any():
        alone = "; each image of a random model is asked alone" if subject.random else ""
        raise subject.fault(
            "its gradient with respect to the images is zero for every image, as after a threshold, a rounding or a "
            f"saturated softmax{alone}; return logits and pass gradients on, {_DECLARE}"
        )
    if flat.square().sum(dim=1).max() < VANISHING:
        return [
            f"its gradients are so small (at most {flat.abs().max():.2g}) that their squares vanish in float32, and "
            "attacks fail: multiply its logits by a constant, which changes no class"
        ]
    if used.double().mean() < 0.5:
        return [f"its gradient is zero for {int((~used).sum())} of {len(used)} test images"]
    return []


def _gradient(subject: Subject, inputs: Inputs, logits: Tensor, x: Tensor) -> Tensor:
    """The gradient of each image's logits, weighted so that sums over classes do not vanish; may be asked again."""
    weights = torch.linspace(-1, 1, logits.shape[1], device=x.device).square() + 1
    values = torch.where(logits.isfinite(), logits, 0)
    try:
        (gradient,) = torch.autograd.grad((values * weights).sum(), x, retain_graph=True, allow_unused=True)
    except NonFiniteError as error:
        raise named(subject, inputs, error) from None
    except RuntimeError as error:
        raise subject.fault(
            f"its gradient with respect to the images fails ({shown_error(error)}); mend it, {_DECLARE}"
        ) from error
    return torch.zeros_like(x) if gradient is None else gradient
