"""What a model is built from, and the function that builds it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from absynth.data.format import DataFormat
from absynth.data.split_files import read_format
from absynth.errors import InputError
from absynth.io.modules import load_module, split_named
from absynth.models.calibration_file import read_calibration


@dataclass(frozen=True)
class ModelFiles:
    """weights: its files, in the order of its kind; train: the training split; gamma: γ_c, if tuned.

    format: what the images of its data set are, None if that is not known
    """

    weights: tuple[Path, ...] = ()
    train: Path | None = None
    gamma: tuple[float, ...] | None = None
    format: DataFormat | None = None


def build(spec: Mapping[str, Any], folder: str | Path) -> nn.Module:
    """Build the model that `spec` describes from the files of the run in `folder`, ready to evaluate.

    spec: builder ("module:function"), options, weights and train (paths within the run), and calibration
        (the path of the JSON that holds γ) if the model needs it; format, what its images are, with the shape and
        the number of classes (`DataFormat`); without, the run's test split says so, if it is there
    """
    folder = Path(folder)
    gamma = None
    if spec.get("calibration"):
        gamma = tuple(read_calibration(folder / spec["calibration"], "gamma")["gamma"])
    files = ModelFiles(
        weights=tuple(folder / path for path in spec["weights"]),
        train=folder / spec["train"] if spec.get("train") else None,
        gamma=gamma,
        format=run_format(spec, folder),
    )
    model = resolve(spec["builder"])(files, **spec["options"])
    return model.eval().requires_grad_(False)


def run_format(spec: Mapping[str, Any], folder: str | Path) -> DataFormat | None:
    """What the images of a run in `folder` are, by a model's `spec` or else its test split; None without either."""
    known = spec.get("format")
    if known:
        channels, height, width = known["shape"]
        return DataFormat((channels, height, width), known["n_classes"])
    test = Path(folder, "data", "test.h5")
    return read_format(test) if test.is_file() else None


def resolve(path: str) -> Any:
    """The object that "module:name", "module.name" or "file.py:name" names. Raises InputError if there is none."""
    module, name = split_named(path)
    try:
        return getattr(load_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{path}: cannot be imported ({error})") from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the code of a user's own module raises, SystemExit included
        message = " ".join([f"{type(error).__name__}:", *str(error).split()])
        raise InputError(f"{path}: cannot be imported ({message})") from error
