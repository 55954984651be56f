"""Pictures of a page: eight bits a pixel, packed so that a script of the page draws them."""

import base64
import io
import math
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

LARGEST_SIDE = 64  # pixels; pictures of larger images are reduced
Bytes = npt.NDArray[np.uint8]


def pictures(images: npt.NDArray[np.float32]) -> Bytes:
    """Pictures of images (n, C, H, W) float32 in [0, 1], rounded to 1/255: (n, 1 or 3, h, w) uint8.

    Of other numbers of channels than 1 and 3 the mean is shown. If a side exceeds `LARGEST_SIDE`, each pixel is the
    mean of a square of the image's pixels; rows and columns that fill no square are left out.
    """
    if images.shape[1] not in (1, 3):
        images = images.mean(axis=1, keepdims=True)
    step = reduction(images.shape[1:])
    if step > 1:
        n, channels, rows, columns = images.shape
        rows, columns = rows // step, columns // step
        squares = images[:, :, : rows * step, : columns * step]
        images = squares.reshape(n, channels, rows, step, columns, step).mean(axis=(3, 5))
    return np.rint(255 * images).astype(np.uint8)


def reduction(shape: Sequence[int]) -> int:
    """How many pixels of an image (C, H, W) are one of its picture, along each side."""
    return min(math.ceil(max(shape[1:]) / LARGEST_SIDE), *shape[1:])


def sheet(shown: Bytes, columns: int) -> str:
    """Pictures (n, C, h, w) side by side, `columns` in a row, as a data URI of a PNG."""
    n, channels, rows, width = shown.shape
    lines = math.ceil(n / columns)
    filled = np.zeros((lines * columns, channels, rows, width), np.uint8)
    filled[:n] = shown
    laid = filled.reshape(lines, columns, channels, rows, width).transpose(0, 3, 1, 4, 2)
    laid = laid.reshape(lines * rows, columns * width, channels)
    file = io.BytesIO()
    Image.fromarray(laid[:, :, 0] if channels == 1 else laid).save(file, "PNG", compress_level=6)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def packed(parts: Sequence[Bytes]) -> str:
    """The bytes of all parts one after the other, compressed (zlib), in base64."""
    content = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
    return base64.b64encode(zlib.compress(content, 6)).decode("ascii")
