"""Which perturbation each rival class needs against several reconstructions of an image by its own class."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from absynth.certificates.class_pair import Reconstruction
from absynth.certificates.search import Minima, Search


@dataclass(frozen=True)
class RivalSearch:
    """The search of n images' rival classes against one own reconstruction per image, and its result.

    own: one reconstruction of each image by its own class; wanted (n, C): the classes searched
    minima: for each class the smallest perturbation it needs, and its latent there
    """

    own: Reconstruction
    wanted: Tensor
    search: Search
    minima: Minima

    @property
    def score(self) -> Tensor:
        """The perturbation that each class needs by each half of the starts: (n, C, HALVES), -inf if not searched."""
        return torch.where(self.wanted[:, :, None], self.minima.score, -torch.inf)


def largest(scores: Sequence[Tensor]) -> Tensor:
    """The largest of several searches' scores, (n, C, …) each.

    inf for the own class, which no search wants; the largest finite number for a class that no perturbation helps.
    """
    most = torch.stack(list(scores)).amax(dim=0)
    return torch.where(most == -torch.inf, torch.inf, most.clamp(max=torch.finfo(most.dtype).max))


def closest(searches: Sequence[RivalSearch]) -> tuple[Tensor, Reconstruction, Tensor]:
    """What determines each image's bound: rival class (n,), own reconstruction, the rival's latent (n, 8)."""
    scores = [search.score.amin(dim=2) for search in searches]  # (n, C) each
    label = largest(scores).argmin(dim=1)
    rows = torch.arange(len(label), device=label.device)
    holder = torch.stack([score[rows, label] for score in scores]).argmax(dim=0)
    image, offset, factor = (
        torch.stack([getattr(search.own, part) for search in searches])[holder, rows]
        for part in ("image", "offset", "factor")
    )
    rival = torch.stack([search.minima.of_class[1] for search in searches])[holder, rows, label]
    return label, Reconstruction(image, offset, factor), rival


def restarted(searches: Sequence[RivalSearch]) -> list[RivalSearch]:
    """The searches after perturbed restarts from the latents that determine each half's bound.

    Restarts only lower scores: the class that determines a bound still does, but the larger score for it may then
    come from another search. So this is repeated until the search that determines the bound has been restarted.
    """
    searches = list(searches)
    label = largest([search.score for search in searches]).argmin(dim=1)  # (n, HALVES)
    done = [torch.zeros_like(label, dtype=torch.bool) for _ in searches]
    for _ in done:
        held = [search.score.take_along_dim(label[:, None], dim=1).squeeze(1) for search in searches]
        holder = torch.stack(held).argmax(dim=0)  # (n, HALVES)
        for turn, search in enumerate(searches):
            due = (holder == turn) & ~done[turn]
            done[turn] |= due
            searches[turn] = replace(search, minima=search.search.restart(search.minima, label, due))
    return searches
