"""How many whole pixels must change for several inequalities at once (docs/derivations/prototype-abs.md).

A mixture of the inequalities bounds that number by a linear program, which may change pixels in part, and so falls
short by some pixels. Here the program with whole pixels is solved, by HiGHS, which nobody needs to trust: what it
says is needed is then proved by branching over pixels, with a mixture for each branch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import Bounds, LinearConstraint, linprog, milp  # type: ignore[attr-defined]
from torch import Tensor

from absynth.certificates.mixing import mixture
from absynth.certificates.rounding import relative
from absynth.io.silence import silent

Array = np.ndarray
_SEARCHED = 2000  # branches of HiGHS at most, per program
_PROVED = 100  # and of the proof
_WHOLE = 1e-6  # by how much a share may differ from a whole number


@dataclass(frozen=True)
class PixelProgram:
    """Perturbations δ (d,) of x (d,) in [0, 1] with 2 δ·w_k ≥ m_k: margin m (K,), w (K, d), all float64."""

    margin: Tensor
    w: Tensor
    x: Tensor

    def fewest(self) -> Tensor | None:
        """One (d,) of as few pixels as HiGHS finds, with values that exceed the margins as far as these pixels can.

        None if there is none, or it finds none in time.
        """
        gain, pixel = self._columns()
        if not len(pixel):
            return torch.zeros_like(self.x) if (self.margin <= 0).all() else None
        used = np.unique(pixel)
        shares = np.searchsorted(used, pixel)[None] == np.arange(len(used))[:, None]  # of each used pixel
        with silent():
            found = milp(
                np.concatenate([np.zeros(len(pixel)), np.ones(len(used))]),
                constraints=[
                    LinearConstraint(np.hstack([gain, np.zeros((len(gain), len(used)))]), self._scaled()),
                    LinearConstraint(np.hstack([-shares.astype(float), np.eye(len(used))]), 0),
                ],
                integrality=np.concatenate([np.zeros(len(pixel)), np.ones(len(used))]),
                bounds=Bounds(0, 1),
                options={"node_limit": _SEARCHED},
            )
        if found.x is None:
            return None
        changed = found.x[len(pixel) :] > 0.5
        return self._furthest(used[changed])

    def needs_more(self, count: int) -> bool:
        """Whether it is proved that no δ of at most `count` pixels will do; False if not within some branches."""
        branches: list[tuple[list[int], list[int]]] = [([], [])]
        for _ in range(_PROVED):
            if not branches:
                return True
            changed, kept = branches.pop()
            weights, shares = self._relaxed(changed, kept)
            if self._too_few(weights, changed, kept, count):
                continue
            open_ = np.abs(shares - shares.round())
            open_[changed + kept] = 0
            if open_.max(initial=0) <= _WHOLE:
                return False
            pixel = int(open_.argmax())
            branches.append((changed, [*kept, pixel]))
            if len(changed) < count:
                branches.append(([*changed, pixel], kept))
        return not branches

    def _scale(self) -> float:
        return max(float(self.margin.abs().max()), 1e-9)

    def _scaled(self) -> Array:
        return self.margin.numpy() / self._scale()

    def _columns(self, kept: Sequence[int] = ()) -> tuple[Array, Array]:
        """What pixels gain each inequality (K, n) by becoming 1, then 0, and which they are (n,); useful ones."""
        x, w = self.x.numpy(), self.w.numpy()
        room = np.concatenate([1 - x, -x])
        gain = 2 * np.hstack([w, w]) * room / self._scale()
        pixel = np.tile(np.arange(len(x)), 2)
        useful = (gain > 0).any(axis=0) & ~np.isin(pixel, kept)
        return gain[:, useful], pixel[useful]

    def _furthest(self, pixels: Array) -> Tensor:
        """The δ (d,) of these pixels whose least excess over a margin is largest."""
        x, gain = self.x.numpy(), 2 * self.w.numpy()[:, pixels] / self._scale()
        found = linprog(
            np.concatenate([np.zeros(len(pixels)), [-1.0]]),
            A_ub=np.hstack([-gain, np.ones((len(gain), 1))]),
            b_ub=-self._scaled(),
            bounds=[*zip(-x[pixels], 1 - x[pixels], strict=True), (None, None)],
            method="highs",
        )
        delta = torch.zeros_like(self.x)
        if found.status == 0:
            delta[torch.from_numpy(pixels)] = torch.from_numpy(found.x[:-1])
        return delta

    def _relaxed(self, changed: list[int], kept: list[int]) -> tuple[Tensor, Array]:
        """Weights (K,) of sum 1 and the share (d,) of each pixel, where pixels may change in part.

        Those `changed` cost nothing, and those `kept` cannot change. Margins may be missed, at a cost higher than
        that of all pixels, so that there is a solution, and with it weights, in any case.
        """
        gain, pixel = self._columns(kept)
        number, rows = len(self.x), len(self.margin)
        found = linprog(
            np.concatenate([np.where(np.isin(pixel, changed), 0.0, 1.0), np.full(rows, 100.0 * number)]),
            A_ub=-np.hstack([gain, np.eye(rows)]),
            b_ub=-self._scaled(),
            bounds=[*[(0, 1)] * len(pixel), *[(0, None)] * rows],
            method="highs",
        )
        weights = np.ones(rows) if found.status else (-found.ineqlin.marginals).clip(0)
        total = weights.sum()
        weights = weights / total if np.isfinite(total) and total > 0 else np.full(rows, 1 / rows)
        shares = np.zeros(number)
        if found.status == 0:
            np.add.at(shares, pixel, found.x[: len(pixel)])
        return torch.from_numpy(weights), shares

    def _too_few(self, weights: Tensor, changed: list[int], kept: list[int], count: int) -> bool:
        """Whether the mixture by these weights proves that no `count` pixels do, all `changed` and none `kept`."""
        margin, w = mixture(self.margin, self.w, weights)
        gain = 2 * w.abs() * torch.where(w > 0, 1 - self.x, self.x)
        free = gain.clone()
        free[changed + kept] = 0
        most = gain[changed].sum() + free.topk(min(count - len(changed), len(free))).values.sum()
        return bool(most * (1 + relative(len(gain))) < margin)
