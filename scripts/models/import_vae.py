"""Import the weights of one class's variational autoencoder: the authors' released ones, or another run's."""

import os

from absynth.io.log import start_log
from absynth.models.abs.vae import VAE
from absynth.models.weights import load_weights, save_weights


def main(*, source: str | os.PathLike[str], weights: str | os.PathLike[str]) -> None:
    """Check names and shapes of the tensors in the state dict `source` and write it into the run.

    Raises InputError naming the first tensor that does not fit.
    """
    vae = VAE()
    load_weights(source, vae)
    save_weights(weights, vae)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(source=job.input.weights, weights=job.output.weights)
