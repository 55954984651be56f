"""The damped Gauss–Newton step (Levenberg–Marquardt) by which latents are inferred and lower bounds searched for.

It lowers E(z) = ‖G(z) - t‖² + w ½‖z‖² for many pairs of a target image t and a class at once. The weight w of
the prior is 1 for the energy of the model, 0 where only the distance to the reconstruction G(z) counts.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from absynth.models.abs.prior import clip_radius
from absynth.models.abs.reference import RADIUS

_INITIAL_DAMPING = 0.01
_AFTER_SUCCESS = 0.3  # factor of the damping after a step that was accepted
_AFTER_FAILURE = 8.0  # and after one that was not
_LEAST_RIDGE = 1e-3  # added to the diagonal of 2JJᵀ where the prior has no weight, which may be singular


@dataclass(frozen=True)
class QuadraticModel:
    """The Gauss–Newton approximation of E around latents z of P pairs.

    With residual r = G(z) - t and J = ∂G/∂z (P, 8, 784):
    gradient (P, 8) is 2Jr + w z, and hessian (P, 8, 8) is 2JJᵀ + w.
    """

    gradient: Tensor
    hessian: Tensor

    @staticmethod
    def around(z: Tensor, jacobian: Tensor, residual: Tensor, prior: float = 1.0) -> "QuadraticModel":
        """At latents z (P, 8) with their jacobian (P, 8, 784) and residual (P, 784); `prior` is the weight w."""
        gradient = 2 * (jacobian @ residual[:, :, None]).squeeze(2) + prior * z
        identity = torch.eye(z.shape[1], device=z.device, dtype=z.dtype)
        return QuadraticModel(gradient, 2 * jacobian @ jacobian.mT + max(prior, _LEAST_RIDGE) * identity)

    def damped_move(self, damping: Tensor) -> Tensor:
        """The moves (P, 8) of latents to the minimum, the Hessian's diagonal raised by the share `damping` (P,)."""
        diagonal = damping[:, None] * self.hessian.diagonal(dim1=1, dim2=2)
        return torch.linalg.solve(self.hessian + torch.diag_embed(diagonal), -self.gradient)

    def decrease(self, move: Tensor) -> Tensor:
        """By how much (P,) moves (P, 8) are predicted to lower E."""
        curvature = (move * (self.hessian @ move[:, :, None]).squeeze(2)).sum(dim=1)
        return -(self.gradient * move).sum(dim=1) - 0.5 * curvature

    def largest_decrease(self) -> Tensor:
        """By how much (P,) the undamped step is predicted to lower E."""
        move = torch.linalg.solve(self.hessian, self.gradient)
        return 0.5 * (self.gradient * move).sum(dim=1)


def propose(
    z: Tensor,
    jacobian: Tensor,
    residual: Tensor,
    damping: Tensor,
    *,
    prior: float = 1.0,
    radius: float = RADIUS,
) -> tuple[Tensor, Tensor]:
    """One step from latents z (P, 8), see `QuadraticModel.around`, with damping (P,).

    Returns the proposed latents (P, 8), no longer than `radius`, and the decrease of E predicted for each (P,).
    """
    model = QuadraticModel.around(z, jacobian, residual, prior)
    move = model.damped_move(damping)
    return clip_radius(z + move, radius), model.decrease(move)


def initial_damping(energy: Tensor) -> Tensor:
    """The damping before the first step, shaped like the energies (P,) of the pairs."""
    return torch.full_like(energy, _INITIAL_DAMPING)


def adapted(damping: Tensor, better: Tensor) -> Tensor:
    """The damping (P,) of the next step, given which of the proposals lowered what is minimised (P,) bool."""
    return damping * torch.where(better, _AFTER_SUCCESS, _AFTER_FAILURE)
