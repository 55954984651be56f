"""Import the weights of the variational autoencoders of all classes: the authors' released ones, or another run's."""

import os
from collections.abc import Sequence

from absynth.io.log import start_log
from absynth.models.abs.vae import VAE
from absynth.models.weights import load_weights, save_weights


def main(*, sources: Sequence[str | os.PathLike[str]], weights: Sequence[str | os.PathLike[str]]) -> None:
    """Check names and shapes of the tensors in the state dicts `sources` and write them into the run.

    Raises InputError naming the first tensor that does not fit; nothing is written then.
    """
    vaes = []
    for source in sources:
        vae = VAE()
        load_weights(source, vae)
        vaes.append(vae)
    for vae, path in zip(vaes, weights, strict=True):
        save_weights(path, vae)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(sources=job.input.weights, weights=job.output.weights)
