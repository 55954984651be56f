"""How long one model takes to answer, measured here."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from absynth.errors import InputError

_PATIENCE = 0.3  # seconds of measurement for each kind of pass
_MOST = 50  # repetitions


@dataclass(frozen=True)
class Speed:
    """forward: seconds of one forward pass of a batch without gradients; backward: what a gradient takes besides."""

    forward: float
    backward: float


def measure(model: nn.Module, images: Tensor, *, gradients: bool = True) -> Speed:
    """Time the passes of a model for a batch of images (n, C, H, W): the median of several, after one to warm up.

    CPU seconds of this process, so that other work on the cores counts little; on a GPU seconds by the clock.
    gradients: whether the model has any; without, backward is 0
    Raises InputError if it is said to have gradients and PyTorch finds none.
    """
    with torch.no_grad():
        forward = _median_seconds(lambda: model(images), images)
    if not gradients:
        return Speed(forward, 0.0)

    def both() -> None:
        x = images.clone().requires_grad_()
        score = model(x).logsumexp(dim=1).sum()
        gradient = torch.autograd.grad(score, x, allow_unused=True) if score.requires_grad else (None,)
        if gradient[0] is None:
            raise InputError("its answer has no gradient with respect to the images")

    return Speed(forward, max(0.0, _median_seconds(both, images) - forward))


def _median_seconds(ask: Callable[[], object], images: Tensor) -> float:
    on_gpu = images.device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    ask()
    times: list[float] = []
    while not times or (sum(times) < _PATIENCE and len(times) < _MOST):
        began = clock()
        ask()
        if on_gpu:
            torch.cuda.synchronize()
        times.append(clock() - began)
    return sorted(times)[len(times) // 2]
