"""The paper's bounds for ABS (section 4, appendices A.2 to A.4), derived again in docs/derivations/certificates.md.

They bound the two energies by different perturbations: that of the own class grows at most as much as the worst δ
raises it, that of the best rival falls at most as much as the best δ lowers it, and the prior of the rival's latent
is left out.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from absynth.certificates.pairs import Pairs, rivals_of, smallest
from absynth.certificates.search import Search
from absynth.certificates.settings import SearchSettings
from absynth.certificates.starts import best_of_halves, squared_distances
from absynth.models.abs.decoders import Decoders
from absynth.models.abs.prior import Prototypes

_HALVINGS = 40


@dataclass(frozen=True)
class Own:
    """The own class's reconstructions of n preprocessed images x (n, 784).

    image v (n, 784); prior (n,): ½‖z_y‖², or 0 where it is left out; factor γ_y (n,)
    """

    x: Tensor
    image: Tensor
    prior: Tensor
    factor: Tensor


def l2_bound(own: Own, pairs: Pairs, images: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    """The ε at which γ_c (d - ε)² falls to γ_y ((r + ε)² + ½‖z_y‖²), d = ‖u - x‖ and r = ‖v - x‖ (equation 8).

    Without γ it is (d² - r² - ½‖z_y‖²) / 2(d + r). It rises with d, so the rival's best u is the one nearest to x.

    Takes   pairs and their decoded images u (P, 784); factor γ_c (P,)
    Returns ε (P,), and the target x (P, 784) of the next step
    """
    x = own.x[pairs.sample]
    d = (images - x).norm(dim=1)
    r = (own.image - own.x).norm(dim=1)[pairs.sample]
    scale = own.factor[pairs.sample] / factor  # γ_y / γ_c
    # a ε² - 2b ε + c = 0, whose smaller root is c / (b + √(b² - ac))
    a, b = 1 - scale, d + scale * r
    c = d.square() - scale * (r.square() + own.prior[pairs.sample])
    bound = c / (b + (b.square() - a * c).clamp_min(0).sqrt()).clamp_min(1e-12)
    return bound.clamp_min(0), x


def linf_bound(own: Own, pairs: Pairs, images: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    """The ε at which γ_c Σ max(|b_i| - ε, 0)² falls to γ_y (Σ (|a_i| + ε)² + ½‖z_y‖²), by bisection.

    Here a = v - x and b = u - x (equations 13 and 14, the cases of the first corrected).

    Takes   pairs and their decoded images u (P, 784); factor γ_c (P,)
    Returns ε (P,), and as the target (P, 784) of the next step x, each pixel moved towards u by up to ε
    """
    x = own.x[pairs.sample]
    a, b = (own.image - own.x).abs()[pairs.sample], images - x
    prior, scale = own.prior[pairs.sample], own.factor[pairs.sample] / factor
    low, high = torch.zeros_like(prior), torch.ones_like(prior)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        rival = (b.abs() - middle[:, None]).clamp_min(0).square().sum(dim=1)
        kept = rival > scale * ((a + middle[:, None]).square().sum(dim=1) + prior)
        low, high = torch.where(kept, middle, low), torch.where(kept, high, middle)
    return low, x + b.clamp(-low[:, None], low[:, None])


FORMULAS = {"l2": l2_bound, "linf": linf_bound}  # there is none in l0
_SHARE = {"l2": 1 / 2, "linf": 1 / 56}  # of r, see `paper_bounds`; 1/56 = 1/2√784, if all pixels differ alike


def paper_bounds(
    decoders: Decoders,
    prototypes: Prototypes,
    norm: str,
    own: Own,
    y: Tensor,
    gamma: Tensor,
    settings: SearchSettings,
) -> tuple[Tensor, Tensor]:
    """The paper's bound (n,), and the same with ½‖z_y‖² left out, which agrees with the number the paper prints.

    Searched from the best prior samples only, as in the paper. The bound without ½‖z_y‖² is the larger one, so it is
    searched first: where it is 0 both are. The search for the other starts from its result. Starts are given up by
    their score relative to the best, and bounds may be close to 0: so a share of r = ‖v - x‖ is added to scores,
    which in l2 makes them d/2 = bound + r/2.
    """
    formula = FORMULAS[norm]
    without = replace(own, prior=torch.zeros_like(own.prior))
    wanted = rivals_of(y, decoders.n_classes)
    offset = _SHARE[norm] * (own.image - own.x).norm(dim=1)

    def objective(pairs: Pairs, images: Tensor) -> tuple[Tensor, Tensor]:
        bound, target = formula(without, pairs, images, gamma[pairs.label])
        return bound + offset[pairs.sample], target

    def with_prior(pairs: Pairs, images: Tensor) -> tuple[Tensor, Tensor]:
        return formula(own, pairs, images, gamma[pairs.label])

    rough = squared_distances(prototypes, own.x)
    starts = best_of_halves(
        prototypes, objective, rough, wanted, screened=settings.screened, starts=settings.starts
    )
    search = Search(decoders, objective, settings, prior=0.0)
    score, z = search.minimize_and_restart(starts, wanted).of_class
    steps = 0 if norm == "l2" else settings.steps  # in l2 what minimises one minimises the other
    pairs, bound = replace(search, objective=with_prior).descend(
        Pairs.from_grid(z[:, :, None], wanted), steps
    )
    return smallest(bound, pairs.sample, len(y)), score.amin(dim=1) - offset
