"""The shards of a run: the ranges of test images that single jobs take."""

from collections.abc import Mapping
from typing import Any

from absynth.errors import InputError

# Where a config says nothing. With fewer a job may take longer to start than to attack.
IMAGES_PER_SHARD = 100

_KEYS = ("images_per_shard", "shards")


def settle_shards(config: dict[str, Any]) -> None:
    """Leave the one of the keys `images_per_shard` and `shards` that divides the images, in place.

    If neither is given, or both are null, that is `images_per_shard` with its default.
    Raises InputError if both are given, and for more shards than images.
    """
    given = {key: config[key] for key in _KEYS if config.get(key) is not None}
    if len(given) > 1:
        raise InputError(
            f"config key shards: found {given['shards']} beside images_per_shard: {given['images_per_shard']}, "
            "allowed is one of them; set the other to null"
        )
    if given.get("shards", 0) > config["n_samples"]:
        raise InputError(
            f"config key shards: found {given['shards']}, allowed is n_samples = {config['n_samples']} or less"
        )
    for key in _KEYS:
        config.pop(key, None)
    config |= given or {"images_per_shard": IMAGES_PER_SHARD}


def shard_spans(config: Mapping[str, Any]) -> list[tuple[int, int]]:
    """First and one past the last test image of each shard, in order, by a config that `settle_shards` has settled.

    With `images_per_shard` all shards but the last have that many images, so that more images leave them as they are;
    with `shards`, that many are as even as can be.
    """
    n = config["n_samples"]
    if "shards" in config:
        shards = config["shards"]
        return [(shard * n // shards, (shard + 1) * n // shards) for shard in range(shards)]
    size = config["images_per_shard"]
    return [(first, min(first + size, n)) for first in range(0, n, size)]
