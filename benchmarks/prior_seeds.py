"""Which draw of prior samples gives the lowest energies: means under fast inference, seed by seed.

    python benchmarks/prior_seeds.py --weights DIR --data DIR [--seeds 7] [--images 5000]

Uses the last training images, on which no VAE of a run is trained. Prints one line of JSON per seed: the mean energy
of the true class, that of the predicted class, and the accuracy. DIR is as for inference.py.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch
from inference import load_vaes

from absynth.data.idx import read_idx
from absynth.models.abs.decoders import PIXELS
from absynth.models.abs.model import ABS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=7)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    vaes = load_vaes(options.weights)
    images, labels = (
        torch.from_numpy(read_idx(min(options.data.glob(f"train-{kind}*")))[-options.images :])
        for kind in ("images", "labels")
    )
    x, y = images.float()[:, None] / 255, labels.long()
    for seed in range(options.seeds):
        energies = -PIXELS * ABS(vaes, prior_seed=seed)(x)
        result = {
            "seed": seed,
            "own_energy": energies.gather(1, y[:, None]).mean().item(),
            "least_energy": energies.min(dim=1).values.mean().item(),
            "accuracy": (energies.argmin(dim=1) == y).float().mean().item(),
        }
        print(json.dumps({key: round(value, 5) for key, value in result.items()}), flush=True)


if __name__ == "__main__":
    main()
