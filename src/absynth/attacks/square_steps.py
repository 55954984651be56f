"""What the Square attack begins with and how it changes an image, in l2 and linf (Andriushchenko et al. 2020).

Images are (m, C, H, W) here; windows and signs are each image's own.
"""

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

_TILES = 5  # along the height of the first pattern in l2
_TINY = 1e-12
# Of a point, its clean image, ε (m,), the window's side and uniform numbers (m, drawn) to the next point.
Step = Callable[[Tensor, Tensor, Tensor, int, Tensor], Tensor]


def uniform_numbers(norm: str, channels: int) -> int:
    """How many uniform numbers a step uses for each image."""
    return channels + {"linf": 2, "l2": 5}[norm]


def window_side(norm: str, share: float, shape: torch.Size) -> int:
    """The side of a square of a share of the pixels of images (…, H, W); in l2 odd and at least 3."""
    height, width = shape[-2:]
    side = round(math.sqrt(share * height * width))
    if norm == "l2":
        side = max(side, 3)
        side += side % 2 == 0
    return min(max(side, 1), height, width)


def within(point: Tensor, clean: Tensor, epsilon: Tensor, norm: str) -> Tensor:
    """Points of [0, 1] within ε (m,) of clean images: the nearest in linf; in l2 drawn to length ε, then clipped."""
    delta, size = point - clean, epsilon.to(clean.dtype).view(-1, 1, 1, 1)
    if norm == "linf":
        return (clean + delta.clamp(-size, size)).clamp(0, 1)
    return (clean + size * _unit(delta)).clamp(0, 1)


def start_pattern(norm: str, shape: torch.Size, drawn: Tensor) -> Tensor:
    """The first perturbation (m, C, H, W), of length 1: stripes in linf, tiles of `_bump` in l2.

    shape: of the m images; drawn (m, C + 1, H, W): uniform numbers
    """
    if norm == "linf":
        return _signs(drawn[:, :-1, :1]).expand(shape).contiguous()
    m, channels, height, width = shape
    side = max(1, min(height, width) // _TILES)
    rows, columns = height // side, width // side
    turned = (drawn[:, -1, :rows, :columns] > 0.5).long()  # (m, rows, columns)
    tiles = _bump(side, drawn.dtype, drawn.device)[turned][:, None]  # (m, 1, rows, columns, side, side)
    tiles = tiles * _signs(drawn[:, :-1, :rows, :columns])[..., None, None]
    tiles = tiles.transpose(3, 4).reshape(m, channels, rows * side, columns * side)
    top, left = (height - rows * side) // 2, (width - columns * side) // 2
    pattern = drawn.new_zeros(shape)
    pattern[:, :, top : top + rows * side, left : left + columns * side] = tiles
    return _unit(pattern)


def linf_step(point: Tensor, clean: Tensor, epsilon: Tensor, side: int, drawn: Tensor) -> Tensor:
    """In a window, every channel to clean + ε or clean − ε (algorithm 2)."""
    inside = _window(drawn[:, :2], side, point.shape)
    sign = _signs(drawn[:, 2:])[..., None, None]
    size = epsilon.to(clean.dtype).view(-1, 1, 1, 1)
    return within(point + 2 * size * sign * inside, clean, epsilon, "linf")


def l2_step(point: Tensor, clean: Tensor, epsilon: Tensor, side: int, drawn: Tensor) -> Tensor:
    """Move the length of one window's perturbation, and what is left of ε, to another window (algorithm 3)."""
    delta = point - clean
    size = epsilon.to(clean.dtype).view(-1, 1, 1, 1)
    to, origin = _window(drawn[:, :2], side, point.shape), _window(drawn[:, 2:4], side, point.shape)
    there = (delta * to).square().sum(dim=(2, 3), keepdim=True).sqrt()  # (m, C, 1, 1)
    both = (delta * torch.maximum(to, origin)).square().sum(dim=(2, 3), keepdim=True)
    unused = (size.square() - delta.square().sum(dim=(1, 2, 3), keepdim=True)).clamp_min(0)
    turned = (drawn[:, 4] > 0.5).long()
    bump = _pasted(_bump(side, clean.dtype, clean.device)[turned], drawn[:, :2], point.shape)
    fresh = _signs(drawn[:, 5:])[..., None, None] * bump + delta * to / (there + _TINY)
    length = fresh.square().sum(dim=(2, 3), keepdim=True).sqrt() + _TINY
    fresh = fresh / length * (unused / delta.shape[1] + both).sqrt()
    moved = torch.where(to > 0, fresh, torch.where(origin > 0, 0.0, delta))
    return within(clean + moved, clean, epsilon, "l2")


STEPS: dict[str, Step] = {"l2": l2_step, "linf": linf_step}


def _signs(drawn: Tensor) -> Tensor:
    return torch.where(drawn < 0.5, -1.0, 1.0).to(drawn.dtype)


def _unit(delta: Tensor) -> Tensor:
    return delta / delta.flatten(1).norm(dim=1).clamp_min(_TINY).view(-1, 1, 1, 1)


def _corner(drawn: Tensor, side: int, shape: torch.Size) -> Tensor:
    """Where windows begin (m, 2) int64, uniform among the places that there are."""
    places = torch.tensor([shape[2] - side + 1, shape[3] - side + 1], device=drawn.device)
    return (drawn.double() * places).long()


def _offsets(drawn: Tensor, side: int, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """How far below (m, H) and right of (m, W) its window's corner each row and column lies."""
    corner = _corner(drawn, side, shape)
    down, right = (torch.arange(size, device=drawn.device) for size in shape[2:])
    return down - corner[:, :1], right - corner[:, 1:]


def _window(drawn: Tensor, side: int, shape: torch.Size) -> Tensor:
    """1 within a window of each image, else 0: (m, 1, H, W)."""
    rows, columns = ((offset >= 0) & (offset < side) for offset in _offsets(drawn, side, shape))
    return (rows[:, :, None] & columns[:, None, :])[:, None].to(drawn.dtype)


def _pasted(tile: Tensor, drawn: Tensor, shape: torch.Size) -> Tensor:
    """Tiles (m, side, side) at the windows: (m, 1, H, W), 0 outside."""
    side = tile.shape[1]
    rows, columns = (offset.clamp(0, side - 1) for offset in _offsets(drawn, side, shape))
    image = torch.arange(len(tile), device=tile.device)[:, None, None]
    return tile[image, rows[:, :, None], columns[:, None, :]][:, None] * _window(drawn, side, shape)


@cache
def _bump(side: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """η of section 4.3, (2, side, side): a rise and a dip, each half of it, one above the other or side by side."""
    above = torch.zeros(side, side, dtype=dtype)
    above[: side // 2] = _pyramid(side // 2, side)
    above[side // 2 :] = -_pyramid(side - side // 2, side)
    above /= above.norm().clamp_min(_TINY)
    return torch.stack([above, above.T]).to(device)


def _pyramid(rows: int, columns: int) -> Tensor:
    """Nested rectangles around the middle, the k-th of height 1 / k², together of length 1 (equation 2)."""
    row, column = rows // 2, columns // 2
    height = torch.zeros(rows, columns)
    for k in range(1 + max(row, column)):
        height[max(row - k, 0) : row + k + 1, max(column - k, 0) : column + k + 1] += 1 / (k + 1) ** 2
    return height / height.norm().clamp_min(_TINY)
