"""Made-up results of a run, in the form that figures and the report read."""

import numpy as np
import pandas as pd

LABELS = {"cnn": "CNN", "abs": "ABS", "mine": "My model"}
TITLES = {
    "l2": {"fgm": "FGM", "ddn": "DDN"},
    "linf": {"fgsm": "FGSM"},
    "l0": {"pointwise": "Pointwise attack"},
}
EPSILONS = {"l2": 1.5, "linf": 0.3, "l0": 12}
_SCALES = {"l2": 1.0, "linf": 0.2, "l0": 10.0}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def images(n: int, seed: int = 0) -> np.ndarray:
    """Noise (n, 1, 28, 28) float32."""
    return rng(seed).random((n, 1, 28, 28), dtype=np.float32)


def minimal(n: int = 8, norm: str = "l2", distance=None, classes: int = 10, seed: int = 0) -> dict:
    """Columns of `absynth.io.records.MINIMAL`; the adversarials are noise."""
    distance = rng(seed).gamma(4, 0.4, n) * _SCALES[norm] if distance is None else np.array(distance, float)
    label = np.arange(len(distance)) % classes
    return {
        "index": np.arange(len(distance)),
        "label": label,
        "distance": distance,
        "attack": np.array(["ddn"] * len(distance), dtype=object),
        "adversarial": images(len(distance), seed),
        "adversarial_prediction": (label + 1) % 10,
    }


def distances(columns: dict[tuple[str, str], dict]) -> pd.DataFrame:
    """tables/distances.csv of minimal adversarials by model and norm."""
    names = ("index", "label", "distance", "attack")
    frames = [
        pd.DataFrame({"model": model, "norm": norm, **{name: found[name] for name in names}})
        for (model, norm), found in columns.items()
    ]
    return pd.concat(frames) if frames else pd.DataFrame(columns=["model", "norm", *names])


def ascents(labels=range(3), seeds=(0, 1), steps: int = 5) -> dict:
    """Columns of `absynth.io.records.DISTAL`: every other ascent reached the confidence."""
    n = len(labels) * len(seeds)
    return {
        "index": np.arange(n),
        "label": np.repeat(list(labels), len(seeds)),
        "seed": np.tile(list(seeds), len(labels)),
        "image": images(n),
        "reached": np.arange(n) % 2,
        "steps": np.full(n, steps),
        "final_confidence": np.linspace(0.1, 0.95, n),
        "confidence": np.tile(np.linspace(0.1, 0.9, steps + 1), (n, 1)),
        "moved": np.ones(n),
        "nearest": np.full(n, 9.0),
    }


def reconstructed(n: int = 3) -> dict:
    """Columns of `absynth.io.records.RECONSTRUCTIONS`: the label has the lower energy on the clean image,
    the rival on the adversarial."""
    return {
        "index": np.arange(n),
        "label": np.arange(n),
        "rival": np.arange(n) + 1,
        "clean": images(n),
        "adversarial": images(n, 1),
        "reconstruction": np.tile(images(n)[:, None, None], (1, 2, 2, 1, 1, 1)),
        "energy": np.tile([[10.0, 20.0], [16.5, 16.25]], (n, 1, 1)),
    }


def statistics(models=LABELS, titles=TITLES) -> pd.DataFrame:
    """tables/attacks.csv"""
    rows = [
        {"model": model, "norm": norm, "attack": attack, "n": 8, "found": 7, "minima": i + 1,
         "queries": 100.0 * (i + 1), "gradients": 50.0, "nonfinite": 0, "near_bound": 0,
         "seconds": 16.0, "device": "cpu"}
        for norm, attacks in titles.items()
        for i, attack in enumerate(attacks)
        for model in models
    ]  # fmt: skip
    columns = [
        "model",
        "norm",
        "attack",
        "n",
        "found",
        "minima",
        "queries",
        "gradients",
        "nonfinite",
        "near_bound",
    ]
    return pd.DataFrame(rows, columns=[*columns, "seconds", "device"])


def curve(epochs: int = 3, **last: float) -> pd.DataFrame:
    """The curve of a training: each quantity falls to its last value."""
    falling = {name: np.linspace(2 * value, value, epochs) for name, value in last.items()}
    return pd.DataFrame({"epoch": range(1, epochs + 1), **falling})
