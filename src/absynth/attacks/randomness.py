"""Random numbers that belong to a sample, not to its batch."""

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class SampleRandom:
    """One generator per image, seeded by run seed, attack and position in the test split.

    What an image draws depends neither on the batch it is in nor on the shard.
    """

    def __init__(self, seed: int, name: str, index: Sequence[int], device: torch.device):
        self.device = device
        self.generators = [torch.Generator().manual_seed(_seed(seed, name, int(i))) for i in index]

    def normal(self, rows: Tensor, *shape: int) -> Tensor:
        """Standard normal numbers (len(rows), *shape) for the images at `rows` of the batch."""
        return self._draw(torch.randn, rows, shape)

    def uniform(self, rows: Tensor, *shape: int) -> Tensor:
        """Numbers uniform in [0, 1), (len(rows), *shape), for the images at `rows` of the batch."""
        return self._draw(torch.rand, rows, shape)

    def _draw(self, draw: Callable[..., Tensor], rows: Tensor, shape: tuple[int, ...]) -> Tensor:
        if not len(rows):
            return torch.empty(0, *shape, device=self.device)
        return torch.stack([draw(shape, generator=self.generators[i]) for i in rows.tolist()]).to(self.device)


def _seed(*parts: object) -> int:
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
