"""How hard a certificate searches."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Config block `certificates`; see docs/reference/config.md.

    starts: prior samples from which each half of the search starts, an image and rival class
    screened: prior samples among which those are chosen by the bound itself
    margin: starts beyond this share of the best are given up; before each of the `first_steps` the share is larger
    steps: how many follow at most
    perturbed_restarts: starts around the best of each half at the end
    own: explanations of an image by its own class that are tried; the most demanding counts
    neighbors: the same for nearest neighbour, training images
    seeds: draws of prior samples for which the paper's bounds are computed
    batch_size: images certified at a time
    """

    starts: int = 6
    screened: int = 32
    first_steps: int = 3
    margin: float = 0.2
    steps: int = 30
    perturbed_restarts: int = 10
    own: int = 2
    neighbors: int = 4
    seeds: int = 10
    batch_size: int = 16
