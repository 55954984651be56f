"""The plan for a model at hand, given as an object and not named in a config: what the workflow would run on it."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from torch import nn

from absynth.attacks.sequence import Step
from absynth.errors import InputError
from absynth.models.building import resolve
from absynth.workflow.plan import Plan

# The schemas, and the presets and the paper's config where presets are looked for: in the package, installed or not.
SCHEMAS = Path(__file__).parent / "files" / "workflow" / "schemas"
MODEL = "model"  # its name in the plan


def plan_at_hand(
    attacks: Any, norms: Sequence[str], model: Mapping[str, Any], epsilons: Mapping[str, float] | None = None
) -> Plan:
    """The plan of an evaluation of one model.

    attacks: as a config's key of this name, or a mapping of `attacks` and `relay` as a file of a preset has
    model: its entry in `models`, without class and weights of its own
    epsilons: by norm, for attacks within a fixed ε
    Raises InputError as `Plan`, for attacks and options that there are not.
    """
    own = {} if "kind" in model else {"class": "model.Model", "weights": "weights.pt"}
    both = isinstance(attacks, Mapping) and "attacks" in attacks and attacks.keys() <= {"attacks", "relay"}
    config = {
        "run": "at-hand",
        "dataset": {"load": "data:images", "train": True},
        "n_samples": 1,
        "norms": list(norms),
        "epsilons": dict(epsilons or {}),
        "models": {MODEL: {**own, **model}},
        **deepcopy(dict(attacks) if both else {"attacks": attacks}),
    }
    try:
        return Plan(config, SCHEMAS)
    except InputError as error:
        raise InputError(str(error).removeprefix("config key ")) from None


def step_of(plan: Plan, attack: str, model: str, norm: str, needs: Mapping[str, nn.Module]) -> Step:
    """An attack of a plan, built for a model and norm; needs: what its builder takes besides its options."""
    return Step(
        attack,
        resolve(plan.attacks[attack].builder)(norm, **plan.options(attack, model), **needs),
        plan.config["attacks"][attack]["batch_size"],
        plan.starts(attack, model, norm),
        plan.relay_leg(attack, model, norm),
    )
