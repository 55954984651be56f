"""A model's images near one image x, in float64 on the CPU: what the search over mixtures asks for."""

from collections.abc import Callable

import torch
from torch import Tensor

from absynth.certificates.enumerated import Enumerated


class Near:
    """The `Energies` at one image x (d,).

    own (K, d), offsets (K,): own images, at first those at positions `known` (K,); `nearest` adds others
    lowest: the position of the own image of least energy at a point (d,); slack: what a margin between energies of
    this sum (…) is lowered by for rounding
    """

    def __init__(
        self,
        model: Enumerated,
        x: Tensor,
        known: Tensor,
        lowest: Callable[[Tensor], Tensor],
        slack: Callable[[Tensor], Tensor],
    ):
        self._model, self._lowest, self._slack = model, lowest, slack
        self._device, self._dtype = x.device, x.dtype
        self.x = x.double().cpu()
        positions = list(dict.fromkeys(known.tolist()))
        self._places = {position: place for place, position in enumerate(positions)}
        self.own, self.offsets = (
            values[positions].double().cpu() for values in (model.images, model.offsets)
        )

    def place(self, position: int) -> int:
        """The place in `own` of the model's image at a position, which is added if it is new."""
        if position not in self._places:
            self._places[position] = len(self._places)
            image, offset = self.rival(position)
            self.own = torch.cat([self.own, image[None]])
            self.offsets = torch.cat([self.offsets, offset[None]])
        return self._places[position]

    def rival(self, position: int) -> tuple[Tensor, Tensor]:
        return self._model.images[position].double().cpu(), self._model.offsets[position].double().cpu()

    def margin(self, position: int, places: list[int]) -> Tensor:
        u, offset = self.rival(position)
        of_rival = (u - self.x).square().sum() + offset
        of_own = (self.own[places] - self.x).square().sum(dim=1) + self.offsets[places]
        return of_rival - of_own - self._slack(of_rival + of_own).cpu()

    def nearest(self, point: Tensor) -> int:
        return self.place(int(self._lowest(point.to(self._device, self._dtype))))
