"""What short lists save nearest neighbour under attack: every query of an attack, answered from lists and in full.

    python benchmarks/shortlist.py --data DIR [--images 20] [--queries 30000] [--attacks boundary …] [--threads 1]

DIR: MNIST's four IDX files; the model is all 60,000 training images. Each attack runs on a session until it has asked
for so many queries; the model itself then answers the same queries in the same batches. Prints one line of JSON per
attack: queries, how many answers are equal to the bit (labels, or logits where the attack asks for those), CPU
milliseconds a query of the model and of the session, and their ratio. Takes some three CPU ms a query.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch
from inference import load_images, load_labels
from torch import Tensor

from absynth.attacks.boundary import boundary
from absynth.attacks.estimation import fgm_ge
from absynth.attacks.minimum_norm import ddn
from absynth.attacks.pointwise import pointwise
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.data.idx import read_idx
from absynth.models.base import NeighbourLogits, Session, StatelessSession, predict_labels
from absynth.models.nearest_neighbor import NearestNeighbor

ATTACKS = {
    "boundary": (boundary, "l2", {"steps": 5000}),
    "pointwise_l2": (pointwise, "l2", {"repetitions": 1}),
    "pointwise_l0": (pointwise, "l0", {"repetitions": 1}),
    "ddn": (ddn, "l2", {"steps": 100}),
    "fgm_ge": (fgm_ge, "l2", {}),
}


class EnoughError(Exception):
    """Ends an attack."""


class Logged:
    """A session that keeps its queries and answers, and the CPU seconds that these took."""

    def __init__(self, session: Session, queries: int):
        self.session, self.left = session, queries
        self.calls: list[tuple[Tensor, Tensor, Tensor, bool]] = []
        self.seconds = 0.0

    def logits(self, queries: Tensor, rows: Tensor) -> Tensor:
        return self._answer(queries, rows, decisions=False)

    def predict(self, queries: Tensor, rows: Tensor) -> Tensor:
        return self._answer(queries, rows, decisions=True)

    def neighbour_logits(self, queries: Tensor, rows: Tensor) -> NeighbourLogits:
        return lambda neighbours, position: self.logits(neighbours, rows[position])

    def drop_adversarials(self, rows: Tensor) -> None:
        self.session.drop_adversarials(rows)

    def _answer(self, queries: Tensor, rows: Tensor, *, decisions: bool) -> Tensor:
        if self.left <= 0:
            raise EnoughError
        began = time.process_time()
        answer = (self.session.predict if decisions else self.session.logits)(queries, rows)
        self.seconds += time.process_time() - began
        self.calls.append((queries.detach().clone(), rows, answer.detach(), decisions))
        self.left -= len(rows)
        return answer


def measure(model: NearestNeighbor, x: Tensor, y: Tensor, name: str, queries: int) -> dict[str, object]:
    """One attack on images x with labels y."""
    build, norm, options = ATTACKS[name]
    logged = Logged(model.start_session(x, y), queries)
    try:
        random = SampleRandom(0, f"{name}/{norm}", range(len(x)), x.device)
        build(norm, **options)(Target(model, x, y, norm, session=logged), random)
    except EnoughError:
        pass
    full, seconds, equal = StatelessSession(model), 0.0, 0
    for asked, rows, answer, decisions in logged.calls:
        began = time.process_time()
        expected = (full.predict if decisions else full.logits)(asked, rows)
        seconds += time.process_time() - began
        same = expected == answer
        equal += int((same if decisions else same.all(dim=1)).sum())
    count = sum(len(rows) for _, rows, *_ in logged.calls)
    return {
        "attack": name,
        "images": len(x),
        "queries": count,
        "equal": equal,
        "full_ms": round(1e3 * seconds / count, 3),
        "session_ms": round(1e3 * logged.seconds / count, 3),
        "ratio": round(seconds / logged.seconds, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--queries", type=int, default=30_000)
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=list(ATTACKS))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    images = torch.from_numpy(read_idx(options.data / "train-images-idx3-ubyte.gz")).float().div(255)
    labels = torch.from_numpy(read_idx(options.data / "train-labels-idx1-ubyte.gz")).long()
    model = NearestNeighbor(images.flatten(1), labels).eval()
    began = time.process_time()
    metric, measured = model.metric, time.process_time()
    quantized = model.quantized
    made = {
        "metric_seconds": round(measured - began, 2),
        "axes": len(metric.axes),
        "quantized_seconds": round(time.process_time() - measured, 2),
        "pixels": len(quantized.pixels),
    }
    print(json.dumps(made), flush=True)
    x, y = load_images(options.data, options.images), load_labels(options.data, options.images)
    correct = predict_labels(model, x) == y
    for name in options.attacks:
        print(json.dumps(measure(model, x[correct], y[correct], name, options.queries)), flush=True)


if __name__ == "__main__":
    main()
