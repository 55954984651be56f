"""How thoroughly lower bounds are searched for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SearchSettings:
    """Config block `certificates`; the schema `workflow/schemas/config.schema.yaml` gives ranges.

    starts: prior samples from which each half of the search starts, per image and rival class
    screened: prior samples of each half among which the starts are chosen by the bound itself
    first_steps: steps before which the pruning share is larger, falling by the same amount each time
    pruning_share: starts whose bound exceeds the image's smallest by more than this share are given up
    steps: further steps, at most
    perturbed_restarts: final starts around the best latent of each half
    own: how often rivals are searched for, at most, each time against another mixture of an image's reconstructions
        by its own class; the largest bound counts
    neighbors: nearest neighbour and prototype ABS: training images or prototypes of its own class that are tried
    mixtures: nearest neighbour and prototype ABS: how many images of the own class the bound may combine; 0 for none
    seeds: draws of prior samples for which the paper's bounds are computed
    batch_size: images whose bounds are searched at a time
    """

    starts: int = 6
    screened: int = 32
    first_steps: int = 3
    pruning_share: float = 0.2
    steps: int = 30
    perturbed_restarts: int = 10
    own: int = 4
    neighbors: int = 4
    mixtures: int = 0
    seeds: int = 10
    batch_size: int = 16
