"""A module that draws random numbers, evaluated as the classifier of its expected probabilities."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from absynth.io.log import LOGGER
from absynth.models.base import input_threshold


class Expectation(nn.Module):
    """The logarithm of a module's mean probabilities over a number of draws of its random numbers.

    The draws are fixed, and the same for every image and every query: each seeds torch's generators with its number,
    and each image is answered as if it were asked alone. Attacks, verification and repeated runs thus meet one
    deterministic classifier, whose gradient is the gradient of the mean (expectation over transformation: Athalye
    et al. 2018, "Synthesizing Robust Adversarial Examples", https://arxiv.org/abs/1707.07397). The module must take
    its random numbers from torch's own generators; all others stay random.

    module: from images (n, c, h, w) to logits (n, C); handed a copy of them for each draw
    draws: how many draws the mean is taken over; first: the seed of the first, the others' follow
    """

    def __init__(self, module: nn.Module, draws: int, first: int = 0):
        super().__init__()
        self.module, self.draws, self.first = module, draws, first
        self.input_threshold = input_threshold(module)
        self._in_batches = True

    def forward(self, x: Tensor) -> Any:
        """The logarithms (n, C) of mean probabilities; whatever the module answers, if that is no tensor."""
        total: Tensor | None = None
        with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
            for seed in range(self.first, self.first + self.draws):
                answer = self._drawn(x, seed)
                if not isinstance(answer, Tensor) or not answer.is_floating_point() or answer.ndim != 2:
                    return answer
                log_probabilities = answer.log_softmax(dim=1)
                total = log_probabilities if total is None else torch.logaddexp(total, log_probabilities)
        assert total is not None
        return total - math.log(self.draws)

    def _drawn(self, x: Tensor, seed: int) -> Any:
        """Answers to images x, each as if asked alone after seeding."""
        if self._in_batches:
            torch.manual_seed(seed)
            try:
                answer = torch.func.vmap(lambda image: self.module(image[None]), randomness="same")(x.clone())
            except (RuntimeError, ValueError) as error:  # vmap cannot trace it: control flow, writes in place
                LOGGER.info(
                    "asked one image at a time, since vmap fails: %s", " ".join(str(error).split())[:200]
                )
                self._in_batches = False
            else:
                return answer.squeeze(1) if isinstance(answer, Tensor) and answer.ndim > 1 else answer
        answers = []
        for image in x.split(1):
            torch.manual_seed(seed)
            answers.append(self.module(image.clone()))
        return torch.cat(answers) if all(isinstance(answer, Tensor) for answer in answers) else answers[0]
