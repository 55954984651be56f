"""Where a search over latents starts: prior samples, the best of them by what is to be minimised."""

import torch
from torch import Tensor

from absynth.certificates.class_pair import Reconstruction
from absynth.certificates.search import HALVES, Objective, Pairs
from absynth.models.abs.prior import Prototypes


def nearest_samples(prototypes: Prototypes, seen: Tensor, label: Tensor, count: int) -> Tensor:
    """The prior samples (n, S, 8) that explain images seen (n, 784) best by one class (n,) each."""
    count = min(count, len(prototypes.latents))
    found = seen.new_empty(len(seen), count, prototypes.latents.shape[1])
    for c in label.unique():
        rows = (label == c).nonzero().squeeze(1)
        energy = prototypes.offsets[c] - 2 * seen[rows] @ prototypes.images[c].T  # (m, samples), less ‖x‖²
        found[rows] = prototypes.latents[energy.topk(count, largest=False).indices]
    return found


def joint_ratio(prototypes: Prototypes, seen: Tensor, own: Reconstruction, gamma: Tensor) -> Tensor:
    """The joint l2 bound without a box, (γ_c E_c - γ_y E_y) / 2‖u - v‖, of every prior sample u: (n, C, samples)."""
    squares = prototypes.offsets - 0.5 * prototypes.latents.square().sum(dim=1)  # ‖u‖², (C, samples)
    products = torch.einsum("nd,csd->ncs", torch.cat([seen, own.image]), prototypes.images)
    with_seen, with_own = products.split(len(seen))
    energy = prototypes.offsets - 2 * with_seen + seen.square().sum(dim=1)[:, None, None]
    margin = gamma[:, None] * energy - own.energy(seen)[:, None, None]
    length = squares - 2 * with_own + own.image.square().sum(dim=1)[:, None, None]
    return margin / (2 * length.clamp_min(1e-6).sqrt())


def reconstruction(prototypes: Prototypes, seen: Tensor) -> Tensor:
    """‖u - x‖² - ‖x‖² of every prior sample u: (n, C, samples)."""
    squares = prototypes.offsets - 0.5 * prototypes.latents.square().sum(dim=1)
    return squares - 2 * torch.einsum("nd,csd->ncs", seen, prototypes.images)


def best_of_halves(
    prototypes: Prototypes,
    objective: Objective,
    rough: Tensor,
    wanted: Tensor,
    *,
    screened: int,
    starts: int,
) -> Tensor:
    """The best prior samples of each half, by turns: latents (n, C, HALVES · S, 8), 0 where not wanted (n, C).

    rough (n, C, samples): what samples are screened by; `screened` of each half are ranked by the objective
    """
    n, c, samples = rough.shape
    sample, label = wanted.nonzero().unbind(1)  # (Q,) each
    picks = []
    for half in range(HALVES):
        kept = min(screened, samples // HALVES)
        members = torch.arange(half, samples, HALVES, device=rough.device)
        chosen = members[rough[:, :, half::HALVES].topk(kept, largest=False).indices][sample, label]  # (Q, K)
        scores = [
            objective(Pairs(sample, label, prototypes.latents[k]), prototypes.images[label, k])[0]
            for k in chosen.T
        ]
        best = torch.stack(scores, dim=1).topk(min(starts, kept), dim=1, largest=False).indices  # (Q, S)
        picks.append(prototypes.latents[chosen.gather(1, best)])  # (Q, S, 8)
    by_turns = torch.stack(picks, dim=2).flatten(1, 2)  # (Q, HALVES · S, 8)
    return by_turns.new_zeros(n, c, *by_turns.shape[1:]).index_put((sample, label), by_turns)
