"""A Target as code sees it that knows nothing of targets: a module from any images to logits."""

from typing import Any

import torch
from torch import Tensor, nn

from absynth.attacks.foolbox.view import CLEAN_MARGIN, UNCHANGED
from absynth.attacks.margins import margin
from absynth.attacks.target import Target
from absynth.errors import InputError


class ForeignView(nn.Module):
    """What an attack of another library, or a user's function, sees of the active images of a Target.

    It may be asked for any number of images, in any order. As many as are active are taken in their order; else each
    image belongs to the active image that is nearest to it in L2. The choice does not matter for what is kept: an
    image counts for the one that it belongs to, if the model gives it another label than that one has.

    Pixels outside of [0, 1] are clipped; in l0 a pixel that moved less than `UNCHANGED` is put back. Gradients pass
    unchanged. What the view is made of is hidden from `parameters()`, so that no code can change the model's weights.

    name: of the attack, for messages
    scaled: multiply each image's logits by a constant that makes the margin of the clean image `CLEAN_MARGIN`; losses
        such as the cross entropy depend on the scale, decisions do not. Costs a query on each clean image.
    shifted: subtract each image's least logit, so that none is negative; no difference of two changes
    strict: raise InputError for an image with NaN, which else becomes the clean value

    Raises InputError for images of another shape than those under attack.
    """

    def __init__(self, target: Target, name: str, *, scaled: bool, strict: bool, shifted: bool = False):
        super().__init__()
        self._hidden = (target,)  # no attribute that torch would register
        self.name, self.scaled, self.strict, self.shifted = name, scaled, strict, shifted
        self.scale: Tensor | None = None
        # Some libraries ask the first parameter for the device.
        self.place = nn.Parameter(torch.empty(0, device=target.x.device), requires_grad=False)

    @property
    def target(self) -> Target:
        """The target behind the view."""
        return self._hidden[0]

    def forward(self, queries: Tensor) -> Tensor:
        """Logits (q, K) of queries (q, C, H, W)."""
        clean, _ = self.target.active
        if not isinstance(queries, Tensor) or queries.shape[1:] != clean.shape[1:]:
            raise InputError(
                f"{self.name}: asks the model for {described(queries)}; "
                f"allowed are images (n, {', '.join(map(str, clean.shape[1:]))})"
            )
        queries = queries.to(clean.device, clean.dtype)
        if self.strict and queries.isnan().any():
            raise InputError(f"{self.name}: asks the model for images with NaN; check for a division by 0")
        rows = self._rows(queries.detach(), clean)
        logits = self._ask(_Repaired.apply(queries, clean[rows], self.target.norm), rows)
        if self.scaled:
            if self.scale is None:
                self.scale = self._clean_scale(queries.detach(), logits.detach())
            logits = self.scale[rows] * logits
        return logits - logits.detach().amin(dim=1, keepdim=True) if self.shifted else logits

    @staticmethod
    def _rows(queries: Tensor, clean: Tensor) -> Tensor:
        """Which of the m active images each query belongs to (q,)."""
        if len(queries) == len(clean):
            return torch.arange(len(clean), device=clean.device)
        if len(clean) == 1:
            return torch.zeros(len(queries), dtype=torch.int64, device=clean.device)
        return torch.cdist(queries.nan_to_num().flatten(1), clean.flatten(1)).argmin(dim=1)

    def _ask(self, images: Tensor, rows: Tensor) -> Tensor:
        """Logits (q, K) of images (q, C, H, W) that belong to `rows`: one call for those asked for equally often."""
        target = self.target
        counts = rows.bincount(minlength=len(target.rows))
        order = rows.argsort(stable=True)
        first = counts.cumsum(0) - counts  # where each row's images begin in that order
        answers, places = [], []
        for count in counts.unique() if len(rows) else counts[:1]:
            if count or not len(rows):
                chosen = (counts == count).nonzero().squeeze(1) if count else rows
                block = torch.arange(int(count), device=rows.device)[:, None]
                place = order[(first[chosen] + block).flatten()]  # (count · len(chosen),)
                with target.only(chosen):
                    answers.append(target(images[place]))
                places.append(place)
        return torch.cat(answers)[torch.cat(places).argsort()]

    @torch.no_grad()
    def _clean_scale(self, queries: Tensor, logits: Tensor) -> Tensor:
        """The scale (m, 1) of each active image; asks for the clean images unless these are the queries."""
        x, y = self.target.active
        if not torch.equal(queries, x):
            logits = self.target(x)
        return CLEAN_MARGIN / margin(logits, y)[:, None].abs().clamp_min(1e-12)


class _Repaired(torch.autograd.Function):
    """Images put back into the box, NaN replaced by the clean value; the gradient passes unchanged."""

    @staticmethod
    def forward(context: Any, queries: Tensor, clean: Tensor, norm: str) -> Tensor:
        return repaired(queries, clean, norm)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient, None, None


def repaired(images: Tensor, clean: Tensor, norm: str) -> Tensor:
    """Images (q, C, H, W) in [0, 1], for the clean ones (q, C, H, W) that they belong to; NaN is the clean value."""
    images = torch.where(images.isnan(), clean, images.clamp(0, 1))
    if norm == "l0":
        images = torch.where((images - clean).abs() < UNCHANGED, clean, images)
    return images


def described(value: object) -> str:
    """What an attack handed over, in words."""
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)} of {value.dtype}"
    return f"a {type(value).__name__}"
