"""How far an attack on a shard has come, kept on disk: a job that is killed loses one batch at most."""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from absynth.errors import InputError
from absynth.io.log import LOGGER
from absynth.io.opening import MADE, NotOpenedError, opening
from absynth.io.records import SHARD, read_record, write_record


class Progress:
    """The images of a shard that were attacked so far, in a file outside the rule's outputs.

    settings: identifies the work (`fingerprint`): a file of other work is not continued
    index (n,): positions in the test split of the shard's images
    """

    def __init__(self, path: str | Path, settings: str, norm: str, index: Tensor):
        self.path, self.norm = Path(path), norm
        self.settings, self.index = settings, index.cpu().numpy()
        self._earlier, self._began = 0.0, time.monotonic()

    @property
    def seconds(self) -> float:
        """Spent on what is in the file and since, without what was lost with a batch."""
        return self._earlier + time.monotonic() - self._began

    def resume(self) -> dict[str, Tensor]:
        """The columns of the first images, as an earlier job left them; {} to start afresh.

        A file that is damaged or of other settings is ignored with a warning. Raises NotOpenedError if there is one
        that cannot be opened: what it holds may be whole, and would be lost.
        """
        if not os.path.lexists(self.path):
            return {}
        try:
            columns, attributes = read_record(self.path, SHARD, {"settings": self.settings})
        except NotOpenedError:
            raise
        except InputError as error:
            LOGGER.warning("checkpoint ignored: %s", str(error).removesuffix(f"; {MADE}"))
            return {}
        n = len(columns["index"])
        if not np.array_equal(columns["index"], self.index[:n]):
            LOGGER.warning("checkpoint ignored: %s: holds other images", self.path)
            return {}
        self._earlier = float(attributes["seconds"])
        LOGGER.info("resumed from %s after %d of %d images", self.path, n, len(self.index))
        return {name: torch.from_numpy(values) for name, values in columns.items()}

    def save(self, columns: Mapping[str, Tensor]) -> None:
        """Keep the columns of the images attacked so far, atomically."""
        attributes = {"norm": self.norm, "settings": self.settings, "seconds": self.seconds}
        write_record(
            self.path, {name: values.cpu().numpy() for name, values in columns.items()}, attributes, SHARD
        )

    def discard(self) -> None:
        """Remove the file: the shard that it was for is whole."""
        self.path.unlink(missing_ok=True)


def fingerprint(settings: Sequence[Any], files: Iterable[str | Path]) -> str:
    """A digest of settings (JSON values) and of the content of files, on which a result depends.

    It changes with any of them; the files' names and times count for nothing.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for path in files:
        with opening(path), Path(path).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
