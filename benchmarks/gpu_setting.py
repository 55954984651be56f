"""What the parts of benchmarks/gpu.py share: sizes, images, models and clocks."""

import functools
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from inference import load_vaes
from laid_over import ROOT
from torch import Tensor, nn

from absynth import __version__
from absynth.data.sources import find_dataset
from absynth.data.splits import load_dataset
from absynth.models.abs.enumeration import PrototypeSettings, enumerate_abs
from absynth.models.building import build
from absynth.models.calibration_file import read_calibration
from absynth.models.nearest_neighbor import NearestNeighbor
from certificates import read

RUN = ROOT / "resources" / "weights" / "mnist-small"


def shipped_model(name: str, prior_samples: int) -> nn.Module:
    """A model that ships, on the CPU; ABS starts from `prior_samples` of each class."""
    spec = read_calibration(RUN / "models" / name / "calibration.json", "model")["model"]
    if "prior_samples" in spec["options"]:
        spec["options"]["prior_samples"] = prior_samples
    return build(spec, RUN)


@dataclass(frozen=True)
class Size:
    """How large the parts are.

    digits: whether they use the bundled digits in place of MNIST
    product: of the square matrices whose product gives the ceiling; batches: images asked for at once
    attacked, bounded: images; attacked_models: those that attacks run on; steps: factor of the attacks' steps
    prototypes: prior samples of a class, of ABS too, and encoded images
    trained: images of one class; epochs
    workflow: settings of the run by Snakemake, over config/mnist-bracket.yaml
    """

    digits: bool
    product: int
    batches: tuple[int, ...]
    attacked: int
    attacked_models: tuple[str, ...]
    bounded: int
    steps: float
    prototypes: tuple[int, int]
    trained: int
    epochs: int
    workflow: dict[str, Any]


SIZES = {
    "full": Size(
        digits=False,
        product=8192,
        batches=(1, 100, 1000),
        attacked=1000,
        attacked_models=("abs", "cnn", "madry"),
        bounded=200,
        steps=1.0,
        prototypes=(8000, 5400),
        trained=6000,
        epochs=2,
        workflow={"n_samples": 1000, "shards": 2},
    ),
    "tiny": Size(
        digits=True,
        product=64,
        batches=(2,),
        attacked=2,
        attacked_models=("cnn", "abs"),
        bounded=2,
        steps=0.05,
        prototypes=(20, 20),
        trained=40,
        epochs=1,
        workflow={
            "dataset": "digits",
            "n_samples": 2,
            "shards": 1,
            "n_calibration": 100,
            "norms": ["l2"],
            "models": {"abs": None, "prototype_abs": None},
            "attacks": {"ddn": {"steps": 2}, "certificate": {"steps": 2}},
        },
    ),
}


@dataclass(frozen=True)
class Setting:
    """Where and how large the parts run, until when (`time.monotonic`), and the models built so far."""

    device: torch.device
    size: Size
    data: Path | None
    deadline: float
    models: dict[str, nn.Module] = field(default_factory=dict)

    def seconds_left(self) -> float:
        return self.deadline - time.monotonic()

    def machine(self) -> dict[str, Any]:
        """What a figure was measured on."""
        on_cuda = self.device.type == "cuda"
        return {
            "device": torch.cuda.get_device_name(self.device) if on_cuda else platform.processor() or "cpu",
            "torch": torch.__version__,
            "cuda": torch.version.cuda if on_cuda else None,
            "absynth": __version__,
            "python": platform.python_version(),
            "threads": torch.get_num_threads(),
            "date": time.strftime("%Y-%m-%d"),
        }

    @functools.cached_property
    def splits(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Training images (n, 1, 28, 28) and labels, then those of the test split, on the CPU."""
        if self.size.digits:
            arrays = load_dataset(find_dataset("digits", None), None, ROOT / "results" / "downloads")
            train_x, train_y, test_x, test_y = (torch.from_numpy(array) for array in arrays)
        else:
            assert self.data is not None
            files = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
            train_x, train_y, test_x, test_y = (read(self.data, file) for file in files)
        return train_x[:, None].float() / 255, train_y.long(), test_x[:, None].float() / 255, test_y.long()

    def images(self, n: int) -> tuple[Tensor, Tensor]:
        """The first n test images and their labels, on the device."""
        return tuple(part[:n].to(self.device) for part in self.splits[2:])  # type: ignore[return-value]

    def model(self, name: str) -> nn.Module:
        """A model that ships, or one of the training images; built once."""
        if name not in self.models:
            self.models[name] = self._build(name).to(self.device).eval().requires_grad_(False)
        return self.models[name]

    def _build(self, name: str) -> nn.Module:
        images, labels = self.splits[:2]
        if name == "nearest_neighbor":
            return NearestNeighbor(images.flatten(1), labels)
        if name == "prototype_abs":
            settings = PrototypeSettings(*self.size.prototypes)
            return enumerate_abs(load_vaes(RUN / "models" / "abs"), images, labels, settings, self.device)
        return shipped_model(name, self.size.prototypes[0])

    def timed(self, run: Callable[[], object], repeats: int = 3) -> float:
        """Seconds of the fastest of some calls, after one to warm up; of fewer where a call is long."""
        self.once(run)
        best = float("inf")
        for _ in range(repeats):
            best = min(best, self.once(run))
            if best > 2:
                break
        return best

    def once(self, run: Callable[[], object]) -> float:
        """Seconds of one call, until the device has finished."""
        self.wait()
        began = time.perf_counter()
        run()
        self.wait()
        return time.perf_counter() - began

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def peak_memory_mb(self) -> float | None:
        """The most memory of the device allocated since the last call."""
        if self.device.type != "cuda":
            return None
        peak = torch.cuda.max_memory_allocated(self.device) / 2**20
        torch.cuda.reset_peak_memory_stats(self.device)
        return round(peak)
