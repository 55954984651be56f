"""Import the weights of a classifier: the authors' released ones, or another run's."""

import os

from absynth.data.split_files import read_format
from absynth.io.log import start_log
from absynth.models.cnn import NETWORKS
from absynth.models.weights import load_weights, save_weights


def main(
    *,
    source: str | os.PathLike[str],
    images: str | os.PathLike[str],
    weights: str | os.PathLike[str],
    network: str,
) -> None:
    """Check names and shapes of the tensors in the state dict `source` and write it into the run.

    images: a split of the run, whose format the network is made for
    Raises InputError naming the first tensor that does not fit.
    """
    model = NETWORKS[network](read_format(images))
    load_weights(source, model)
    save_weights(weights, model)


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        source=job.input.weights,
        images=job.input.images,
        weights=job.output.weights,
        network=job.params.network,
    )
