"""What was found about each image: its best adversarial, and the lower bound on its distance."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Images = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Minima:
    """The best adversarials over all attacks on a model in a norm, one row per image.

    index (n,): positions in the test split, ascending
    clean, adversarial (n, C, H, W) float32 in [0, 1]: the same where the clean image is misclassified and where every
        attack failed
    label, prediction (n,): the class of the clean image, and that predicted for the adversarial
    distance (n,) float64: 0 where the clean image is misclassified, inf where every attack failed
    attack (n,): the name of the attack that found it, "" in both of these cases
    """

    model: str
    norm: str
    index: Integers
    clean: Images
    adversarial: Images
    label: Integers
    prediction: Integers
    distance: npt.NDArray[np.float64]
    attack: npt.NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.index)

    def frame(self) -> pd.DataFrame:
        """All but the images, one row per image."""
        names = ("index", "label", "prediction", "distance", "attack")
        return pd.DataFrame({name: getattr(self, name) for name in names})


@dataclass(frozen=True)
class Bounds:
    """Lower bounds on the distances of a model's images in a norm, one row per image.

    index, label (n,): position in the test split, and class
    lower (n,) float64: no smaller perturbation changes the decision; 0 where the clean image is misclassified
    basis (n,): what that rests on, "proved" or "searched" (docs/reference/outputs.md, Bounds)
    """

    model: str
    norm: str
    index: Integers
    label: Integers
    lower: npt.NDArray[np.float64]
    basis: npt.NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.index)

    def frame(self) -> pd.DataFrame:
        """One row per image."""
        names = ("index", "label", "lower", "basis")
        return pd.DataFrame({name: getattr(self, name) for name in names})
