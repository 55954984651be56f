"""Scikit-learn's digits as data sets of other shapes: tinted on textured grounds, in twelve classes; and as they are.

Stands alone: the test of the whole workflow copies it beside the Snakefile.
"""

import numpy as np

SIDE, CLASSES = 32, 12


def tinted(n: int, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 32, 32, 3) uint8 and labels (n,): class 10 is a mirrored 2, class 11 a mirrored 7.

    first: the position of the first digit taken
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    rng = np.random.default_rng(first)
    labels = np.arange(n) % CLASSES
    digits = {10: 2, 11: 7}
    images = np.empty((n, SIDE, SIDE, 3), np.uint8)
    for i, label in enumerate(labels):
        digit = digits.get(int(label), int(label))
        rows = np.flatnonzero(bunch.target == digit)
        shape = bunch.images[rows[(first + i) % len(rows)]] / 16  # (8, 8)
        shape = shape[:, ::-1] if label in digits else shape
        shape = np.kron(shape, np.ones((SIDE // 8, SIDE // 8)))[..., None]
        ground = np.kron(rng.uniform(0, 0.4, (8, 8, 3)), np.ones((SIDE // 8, SIDE // 8, 1)))
        tint = rng.uniform(0.6, 1, 3)
        images[i] = np.round(255 * (ground * (1 - shape) + tint * shape))
    return images, labels


def tinted_splits() -> dict:
    """What a data set's `load` names: 360 training images and 60 for the test."""
    return {"train": tinted(360), "test": tinted(60, first=360)}


def unresized(n: int) -> tuple[np.ndarray, np.ndarray]:
    """The last n digits as they are, (n, 8, 8) floats in [0, 1], and labels (n,)."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return bunch.images[-n:] / 16, bunch.target[-n:]
