"""Designs of prototype ABS compared on calibration images: which images, with which offsets.

    python benchmarks/prototype_designs.py --weights DIR --data DIR --output FILE.jsonl [--images 1000] [--first 0]
        [--designs NAME …] [--accuracy] [--threads 1]

DIR of weights: ABS_0.net … ABS_9.net, or vae_0.pt … vae_9.pt; DIR of data: MNIST's IDX files. Prototypes come from
the first 55,000 training images, the calibration images are from the last 5,000. Adds one line of JSON per design to
the output, and leaves out designs that it has. `--designs` are names of `DESIGNS`; all if left out.

With --accuracy: clean accuracy alone, decided in float32, with offsets times 0, ½, 1 and 2. Else also what a *quick*
estimate of the bound in L2 reaches: in float32, only with the 150 rivals of least energy at the image, and in the box
only in so far as pixels at its ends cannot move outwards. It compares designs, and is no bound. Lines of the two
kinds do not go into one file.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch
from inference import load_vaes
from torch import Tensor
from torch.nn.functional import pad

from absynth.certificates.pairs import Pairs
from absynth.certificates.search import descend
from absynth.models.abs.decoders import Decoders
from absynth.models.abs.energy import energies
from absynth.models.abs.prior import prior_samples
from absynth.models.abs.vae import VAE
from certificates import read

TRAINING = 55000
OWN, RIVALS = 6, 150  # prototypes of an image's class, and of all others, that the quick bound compares
BATCH = 256
FACTORS = (0.0, 0.5, 1.0, 2.0)  # of offsets, with which accuracy alone is compared
WAYS = (1, 0), (0, 1), (-1, 0), (0, -1)  # pixels down and to the right

Prototypes = list[tuple[Tensor, Tensor]]  # images (N_c, d) and offsets (N_c,) of each class


@dataclass(frozen=True)
class Sources:
    """What designs choose from: VAEs and training images (N, 1, 28, 28) with labels (N,)."""

    vaes: list[VAE]
    images: Tensor
    labels: Tensor
    latents: dict[int, list[Tensor]] = field(default_factory=dict)

    @cached_property
    def decoders(self) -> list[Decoders]:
        return [Decoders([vae.Decoder]) for vae in self.vaes]

    def of_class(self, label: int) -> Tensor:
        return self.images[self.labels == label]

    def raw(self) -> Prototypes:
        """The training images themselves: nearest neighbour."""
        every = [self.of_class(c).flatten(1) for c in range(len(self.vaes))]
        return [(images, torch.zeros(len(images))) for images in every]

    def means(self, steps: int = 0) -> Prototypes:
        """Decoded posterior means of all training images, by the encoder, then by steps of inference."""
        if steps not in self.latents:
            self.latents[steps] = [self._infer(c, steps) for c in range(len(self.vaes))]
        return self._decoded(self.latents[steps])

    def prior(self, count: int, temperature: float = 1.0, seed: int = 3) -> Prototypes:
        """Decoded prior samples, the same latents for all classes."""
        return self._decoded([temperature * prior_samples(count, seed)] * len(self.vaes))

    def moved(self) -> Prototypes:
        """Decoded posterior means of training images moved by a pixel each way, by the encoder."""
        return together(*(self._moved_all(*way) for way in WAYS))

    def moved_in_turn(self) -> Prototypes:
        """The same of each training image moved one way: down, right, up, left, and so on."""
        found = []
        for c, vae in enumerate(self.vaes):
            images = self.of_class(c).clone()
            for k, way in enumerate(WAYS):
                images[k :: len(WAYS)] = moved(images[k :: len(WAYS)], *way)
            found.append(encoded(vae, images))
        return self._decoded(found)

    def _moved_all(self, down: int, right: int) -> Prototypes:
        images = [moved(self.of_class(c), down, right) for c in range(len(self.vaes))]
        return self._decoded([encoded(vae, of) for vae, of in zip(self.vaes, images, strict=True)])

    def _decoded(self, latents: list[Tensor]) -> Prototypes:
        pairs = zip(self.decoders, latents, strict=True)
        return [
            (torch.cat([decoder(part, [len(part)]) for part in z.split(4096)]), 0.5 * z.square().sum(dim=1))
            for decoder, z in pairs
        ]

    def _infer(self, label: int, steps: int) -> Tensor:
        found = []
        for part in self.of_class(label).split(BATCH):
            target, z = part.flatten(1), encoded(self.vaes[label], part)

            def objective(pairs: Pairs, images: Tensor, target: Tensor = target) -> tuple[Tensor, Tensor]:
                return energies(images, target[pairs.sample], pairs.z), target[pairs.sample]

            pairs = Pairs(torch.arange(len(z)), torch.zeros(len(z), dtype=torch.int64), z)
            found.append(
                descend(self.decoders[label], objective, pairs, steps=steps, prior=1, tolerance=0.02)[0].z
            )
        return torch.cat(found)


def moved(images: Tensor, down: int, right: int) -> Tensor:
    """Images (n, 1, h, w) moved; black comes in."""
    margin = max(abs(down), abs(right))
    padded = pad(images, (margin,) * 4).roll((down, right), (2, 3))
    return padded[:, :, margin:-margin, margin:-margin]


def encoded(vae: VAE, images: Tensor) -> Tensor:
    """Posterior means (n, 8)."""
    return torch.cat([vae.Encoder(part)[0] for part in images.split(BATCH)])


def together(*parts: Prototypes) -> Prototypes:
    return [
        tuple(torch.cat(values) for values in zip(*of_class, strict=True))
        for of_class in zip(*parts, strict=True)
    ]


def scaled(prototypes: Prototypes, factor: float) -> Prototypes:
    """With offsets `factor` ½‖z‖²."""
    return [(images, factor * offsets) for images, offsets in prototypes]


def averaged(prototypes: Prototypes, count: int, offsets: Prototypes | None = None) -> Prototypes:
    """Each image replaced by the mean of the `count` of its class nearest to it, itself included."""
    found = []
    for (images, own), (_, given) in zip(prototypes, offsets or prototypes, strict=True):
        squares, means = images.square().sum(dim=1), []
        for part in images.split(1000):
            places = torch.addmm(squares, part, images.T, alpha=-2).topk(count, largest=False).indices
            means.append(sum(images[column] for column in places.T) / count)
        found.append((torch.cat(means), given if offsets else own))
    return found


def best_fitted(sources: Sources, share: float) -> Prototypes:
    """Of the inferred posterior means of each class the share that reconstructs its training image best."""
    found = []
    for c, (images, offsets) in enumerate(sources.means(3)):
        error = (images - sources.of_class(c).flatten(1)).square().sum(dim=1)
        kept = error <= error.quantile(share)
        found.append((images[kept], offsets[kept]))
    return found


DESIGNS: dict[str, Callable[[Sources], Prototypes]] = {
    "training images": lambda s: s.raw(),
    "encoded": lambda s: s.means(),
    "inferred": lambda s: s.means(3),
    "inferred, offsets x 0": lambda s: scaled(s.means(3), 0),
    "inferred, offsets x 2": lambda s: scaled(s.means(3), 2),
    "inferred, offsets x 4": lambda s: scaled(s.means(3), 4),
    "inferred, best 90 %": lambda s: best_fitted(s, 0.9),
    "inferred, best 75 %": lambda s: best_fitted(s, 0.75),
    "inferred and means of 10 training images": lambda s: together(
        s.means(3), averaged(s.raw(), 10, s.means(3))
    ),
    "8,000 prior samples and encoded": lambda s: together(s.means(), s.prior(8000)),
    "8,000 prior samples and inferred": lambda s: together(s.means(3), s.prior(8000)),
    "8,000 prior samples and inferred, offsets x 2": lambda s: scaled(together(s.means(3), s.prior(8000)), 2),
    "8,000 prior samples": lambda s: s.prior(8000),
    "20,000 prior samples and encoded": lambda s: together(s.means(), s.prior(8000), s.prior(12000, seed=11)),
    "8,000 prior samples, encoded, moved in turn": lambda s: together(
        s.prior(8000), s.means(), s.moved_in_turn()
    ),
    "8,000 prior samples, encoded, moved four ways": lambda s: together(s.prior(8000), s.means(), s.moved()),
    "20,000 prior samples, encoded, moved four ways": lambda s: together(
        s.prior(8000), s.prior(12000, seed=11), s.means(), s.moved()
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--designs", nargs="+", choices=list(DESIGNS), default=list(DESIGNS))
    parser.add_argument("--accuracy", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    images = read(options.data, "train-images-idx3")[:, None].float() / 255
    labels = read(options.data, "train-labels-idx1").long()
    sources = Sources(load_vaes(options.weights), images[:TRAINING], labels[:TRAINING])
    chosen = slice(TRAINING + options.first, TRAINING + options.first + options.images)
    known = options.output.read_text().splitlines() if options.output.exists() else []
    done = {json.loads(line)["design"] for line in known}
    for name in (name for name in options.designs if name not in done):
        began = time.process_time()
        found = (accuracy if options.accuracy else measure)(
            DESIGNS[name](sources), images[chosen].flatten(1), labels[chosen]
        )
        line = json.dumps({"design": name, **found, "cpu_s": round(time.process_time() - began, 1)})
        with options.output.open("a") as file:
            file.write(line + "\n")


def measure(prototypes: Prototypes, x: Tensor, y: Tensor) -> dict[str, float]:
    """The values that this file's docstring lists."""
    size = quick_bounds(prototypes, x, y)
    result = {
        "prototypes": sum(len(images) for images, _ in prototypes),
        "clean": (size > 0).double().mean().item(),
        "quick_at_0.3": (size >= 0.3).double().mean().item(),
        "quick_at_1.58": (size >= 1.58).double().mean().item(),
        "quick_median": size.median().item(),
    }
    return {key: round(value, 4) for key, value in result.items()}


def accuracy(prototypes: Prototypes, x: Tensor, y: Tensor) -> dict[str, float]:
    """Clean accuracy, decided in float32, with offsets times each of `FACTORS`."""
    least = torch.full((len(x), len(prototypes), len(FACTORS)), torch.inf)
    for c, (images, offsets) in enumerate(prototypes):
        squares = images.square().sum(dim=1)
        for part, found in zip(x.split(BATCH), least.split(BATCH), strict=True):
            energy = torch.addmm(squares, part, images.T, alpha=-2)
            for k, factor in enumerate(FACTORS):
                found[:, c, k] = (energy + factor * offsets).amin(dim=1)
    correct = (least.argmin(dim=1) == y[:, None]).double().mean(dim=0).tolist()
    clean = {
        f"clean_offsets_x_{factor:g}": round(share, 4) for factor, share in zip(FACTORS, correct, strict=True)
    }
    return {"prototypes": sum(len(images) for images, _ in prototypes), **clean}


def quick_bounds(prototypes: Prototypes, x: Tensor, y: Tensor) -> Tensor:
    """Quick bounds (n,) of x (n, d), 0 where misclassified."""
    images, offsets = (torch.cat(parts) for parts in zip(*prototypes, strict=True))
    counts = [len(part) for part, _ in prototypes]
    found = []
    for part, label in zip(x.split(BATCH), y.split(BATCH), strict=True):
        energy = torch.addmm(images.square().sum(dim=1) + offsets, part, images.T, alpha=-2)
        nearest = [
            of_class.topk(min(RIVALS, of_class.shape[1]), largest=False)
            for of_class in energy.split(counts, 1)
        ]
        for i, c in enumerate(label.tolist()):
            first = [sum(counts[:k]) for k in range(len(counts))]
            own = nearest[c].indices[i, :OWN] + first[c]
            others = torch.cat([n.indices[i] + first[k] for k, n in enumerate(nearest) if k != c])
            rivals = others[energy[i, others].topk(min(RIVALS, len(others)), largest=False).indices]
            w = images[rivals][:, None] - images[own]
            w *= torch.where(w > 0, part[i] < 1, part[i] > 0)
            margin = energy[i, rivals][:, None] - energy[i, own]
            found.append((margin / (2 * w.norm(dim=2)).clamp_min(1e-9)).amax(dim=1).amin())
    return torch.stack(found).clamp_min(0)


if __name__ == "__main__":
    main()
