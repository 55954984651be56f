"""The prior samples that a search over latents starts from: those best in what is to be minimised."""

import torch
from torch import Tensor

from absynth.certificates.class_pair import Reconstruction
from absynth.certificates.pairs import Objective, Pairs
from absynth.certificates.search import HALVES
from absynth.models.abs.prior import Prototypes


def best_samples(prototypes: Prototypes, x: Tensor, label: Tensor, count: int) -> Tensor:
    """The prior samples (n, S, 8) of lowest energy for preprocessed images x (n, 784) of one class (n,) each."""
    count = min(count, len(prototypes.latents))
    found = x.new_empty(len(x), count, prototypes.latents.shape[1])
    for c in label.unique():
        rows = (label == c).nonzero().squeeze(1)
        energy = prototypes.offsets[c] - 2 * x[rows] @ prototypes.images[c].T  # (m, samples), less ‖x‖²
        found[rows] = prototypes.latents[energy.topk(count, largest=False).indices]
    return found


def joint_ratio(prototypes: Prototypes, x: Tensor, own: Reconstruction, gamma: Tensor) -> Tensor:
    """The joint l2 bound without a box, (γ_c E_c - γ_y E_y) / 2‖u - v‖, for every prior sample u.

    Takes   preprocessed images x (n, 784), their own reconstructions v, γ (C,)
    Returns (n, C, samples)
    """
    squares = prototypes.offsets - 0.5 * prototypes.latents.square().sum(dim=1)  # ‖u‖², (C, samples)
    products = torch.einsum("nd,csd->ncs", torch.cat([x, own.image]), prototypes.images)
    with_x, with_own = products.split(len(x))
    energy = prototypes.offsets - 2 * with_x + x.square().sum(dim=1)[:, None, None]
    margin = gamma[:, None] * energy - own.energy(x)[:, None, None]
    length = squares - 2 * with_own + own.image.square().sum(dim=1)[:, None, None]
    return margin / (2 * length.clamp_min(1e-6).sqrt())


def squared_distances(prototypes: Prototypes, x: Tensor) -> Tensor:
    """‖u - x‖² - ‖x‖² for every prior sample u and preprocessed images x (n, 784): (n, C, samples)."""
    squares = prototypes.offsets - 0.5 * prototypes.latents.square().sum(dim=1)
    return squares - 2 * torch.einsum("nd,csd->ncs", x, prototypes.images)


def best_of_halves(
    prototypes: Prototypes,
    objective: Objective,
    rough: Tensor,
    wanted: Tensor,
    *,
    screened: int,
    starts: int,
) -> Tensor:
    """The best prior samples of each half, alternately: latents (n, C, HALVES · S, 8), 0 where not wanted (n, C).

    rough (n, C, samples): a cheap score, by which the best `screened` of each half are chosen; of these the
        objective then chooses the best `starts`
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
    alternating = torch.stack(picks, dim=2).flatten(1, 2)  # (Q, HALVES · S, 8)
    return alternating.new_zeros(n, c, *alternating.shape[1:]).index_put((sample, label), alternating)
