"""The files of a small finished run of attacks, for tests of what reads them."""

import csv

import numpy as np
import torch
from linear_models import Linear, images
from scripts.verification import summarize_verification, verify_records

from absynth.data.split_files import read_split, write_split
from absynth.evaluation.minima import Minimum
from absynth.io.records import MINIMAL, SHARD, write_record

RUN = {"run": "toy", "model": "mine", "norm": "l2"}
SPANS = [(0, 3), (3, 5)]
SHARES = {"far": 0.95, "near": 0.8}  # how far each attack moves images towards their inverse
MISCLASSIFIED, FAILED = 0, 1  # samples; `far` succeeds on all others, `near` on all but one of them


class RecordedRun:
    """A run of two attacks in two shards on a linear model with two classes.

    kind: the class in `linear_models` that verification asks
    """

    def __init__(self, folder, kind="Linear"):
        self.folder, self.kind = folder, kind
        self.model = Linear(n_classes=2)
        torch.save(self.model.state_dict(), folder / "mine.pt")
        x = (images(self.model)[0] * 255).round().to(torch.uint8)
        labels = self.predict(x.numpy() / np.float32(255))
        labels[MISCLASSIFIED] = 1 - labels[MISCLASSIFIED]
        write_split(folder / "test.h5", x[:, 0].numpy(), labels.astype(np.uint8), "toy", "test")
        self.images, self.labels = read_split(folder / "test.h5")
        self.shards = {
            (name, i): self.attacked(name, *span) for name in SHARES for i, span in enumerate(SPANS)
        }
        self.minimal_changes = {}
        self.bounds, self.ends = [], {}  # as verify_records takes them

    def predict(self, x):
        with torch.no_grad():
            return self.model(torch.from_numpy(x)).argmax(dim=1).numpy()

    def attacked(self, name, first, last):
        """The columns of a valid shard."""
        rows = np.arange(first, last)
        x, label, clean = self.images[rows], self.labels[rows], self.predict(self.images[rows])
        failed = (rows == FAILED) | ((rows == last - 1) & (name == "near"))
        changed = ~failed & (clean == label)
        adversarial = x + SHARES[name] * (1 - 2 * x) * changed[:, None, None, None]
        prediction = self.predict(adversarial)
        assert (prediction[changed] != label[changed]).all()
        distance = np.linalg.norm((adversarial.astype(float) - x).reshape(len(x), -1), axis=1)
        distance[failed] = np.inf
        columns = {"index": rows, "label": label, "clean_prediction": clean, "distance": distance}
        columns |= {"adversarial": adversarial, "adversarial_prediction": prediction}
        return columns | {"queries": np.ones(len(x), int), "gradients": np.zeros(len(x), int)}

    def path(self, name, shard):
        return self.folder / name / f"{shard}.h5"

    def write(self, attributes):
        """Write all files; `attributes` override those of the first shard of `far`."""
        best = Minimum(RUN)
        for (name, shard), columns in self.shards.items():
            write_record(self.path(name, shard), columns, {**RUN, "attack": name}, SHARD)
            best.add(name, self.path(name, shard))
        minimal = best.columns() | {
            name: change(best.columns()) for name, change in self.minimal_changes.items()
        }
        write_record(self.folder / "l2.h5", minimal, RUN, MINIMAL)
        if attributes:
            path, columns = self.path("far", 0), self.shards["far", 0]
            write_record(path, columns, {**RUN, "attack": "far", **attributes}, SHARD)

    def verified(self, attributes=None, written=True):
        """The rows of findings, by attack and shard."""
        if written:
            self.write(attributes)
        path = self.folder / "verification" / "mine" / "l2.csv"
        verify_records.main(
            images=self.folder / "test.h5",
            shards=[self.path(*key) for key in self.shards],
            minimal=self.folder / "l2.h5",
            findings=path,
            folder=self.folder,
            spec={
                "builder": "absynth.models.custom:build_custom",
                "options": {
                    "class": f"linear_models.{self.kind}",
                    "arguments": {"n_classes": 2},
                    "weights": self.folder / "mine.pt",
                },
                "weights": [],
            },
            **RUN,
            spans=SPANS,
            bounds=self.bounds,
            ends=self.ends,
            device=torch.device("cpu"),
        )
        with path.open(encoding="utf-8") as file:
            return {(row["attack"], row["shard"]): row for row in csv.DictReader(file)}

    def summarize(self):
        summarize_verification.main(
            findings=[self.folder / "verification" / "mine" / "l2.csv"],
            table=self.folder / "verification.csv",
        )
