"""The paper's inference, which defines the model: the best prior sample, then Adam (section 3)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.models.abs.decoders import Decoders
from absynth.models.abs.energy import Inferred, energies
from absynth.models.abs.prior import Prototypes, clip_radius

RADIUS = 5.0  # latents are kept within this distance of the origin
# Images inferred at a time, by kind of device: autograd's state is some 10 classes × 80,000 floats an image. A GPU
# needs many to be busy: of 1,000 images an H200 infers 1,370/s in batches of 512, and 125/s in batches of 32.
_BATCH = {"cpu": 32, "cuda": 512}


@dataclass(frozen=True)
class Reference:
    """The settings of the paper's procedure: Adam steps and learning rate."""

    steps: int = 50
    learning_rate: float = 0.05

    def infer(self, decoders: Decoders, prototypes: Prototypes, x: Tensor) -> Inferred:
        """x (n, 784) to the latents (n, C, 8) that it takes for the optimum of every class."""
        batch = _BATCH.get(x.device.type, _BATCH["cpu"])
        starts = [(part, prototypes.lowest(part).latents) for part in x.split(batch)]
        with torch.inference_mode(False):  # Adam needs gradients, even where the caller wants none ever
            return Inferred.cat([self._infer(decoders, *map(_ordinary, start)) for start in starts])

    def _infer(self, decoders: Decoders, x: Tensor, start: Tensor) -> Inferred:
        n, c = start.shape[:2]
        targets = x.repeat(c, 1)  # (C · n, 784), sorted by class
        z = start.transpose(0, 1).flatten(0, 1).clone()  # (C · n, 8)
        first, second = torch.zeros_like(z), torch.zeros_like(z)
        for step in range(1, self.steps + 1):
            z.requires_grad_(True)
            with torch.enable_grad():
                energy = energies(decoders(z, [n] * c), targets, z).sum()
                (gradient,) = torch.autograd.grad(energy, z)
            with torch.no_grad():
                first.lerp_(gradient, 0.1)
                second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
                scale = (second / (1 - 0.999**step)).sqrt_().add_(1e-8)
                z = z.detach() - self.learning_rate / (1 - 0.9**step) * first / scale
                z = clip_radius(z, RADIUS)
        with torch.no_grad():
            images = decoders(z, [n] * c)
        return Inferred(
            latents=z.view(c, n, -1).transpose(0, 1),
            images=images.view(c, n, -1).transpose(0, 1),
        )


def _ordinary(values: Tensor) -> Tensor:
    """A tensor that may take part in gradients: one made in inference mode may not, but its copy may."""
    return values.clone() if values.is_inference() else values
