"""Which attack applies to which model in which norm, read off a config. No torch, no Snakemake."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from absynth.attacks.registry import ATTACKS, AttackEntry, foolbox_entry
from absynth.models.registry import KINDS, ModelKind


def kind_of(name: str, entry: Mapping[str, Any]) -> str:
    """The kind of a model by its config entry: a key of `absynth.models.registry.KINDS` if the entry is sound."""
    return "custom" if "class" in entry else entry.get("kind", name)


@dataclass(frozen=True)
class PlannedModel:
    """A model of the run: its name, its kind, its config entry."""

    name: str
    kind: ModelKind
    entry: Mapping[str, Any]

    @property
    def label(self) -> str:
        """Its title in tables and figures: the label of the config or, for a kind under its own name, of the kind."""
        own = KINDS.get(self.name) is self.kind and self.kind.label
        return self.entry.get("label") or own or self.name

    @property
    def gradients(self) -> bool:
        """Whether it is differentiable."""
        return self.entry.get("gradients", self.kind.gradients)

    @property
    def generative(self) -> bool:
        """Whether it has a decoder for each class, from which it can draw samples."""
        return self.kind.trainer == "vae"

    @property
    def user_class(self) -> str | None:
        """The "module.Class" or "module:Class" of a user's own model, None for all other kinds."""
        return self.entry.get("class")

    @property
    def network(self) -> str:
        """The key in `absynth.models.cnn.NETWORKS` of a classifier to train or import."""
        return self.entry.get("kind", self.name)

    @property
    def training(self) -> dict[str, Any]:
        """The settings of its training."""
        outside = ("kind", "label", *self.kind.options)
        return {key: value for key, value in self.entry.items() if key not in outside}

    @property
    def weights(self) -> list[str]:
        """Paths of its weights within the run."""
        return [f"models/{path.format(name=self.name)}" for path in self.kind.weights]

    def lacks(self, attack: AttackEntry) -> str | None:
        """The first thing that an attack needs and this model does not offer, None if there is none."""
        offers = {
            "gradients": self.gradients,
            "latents": self.kind.latents,
            "lower_bound": self.kind.lower_bound,
            "input_threshold": self.entry.get("binarises", self.kind.input_threshold),
        }
        return next((name for name, offered in offers.items() if getattr(attack, name) and not offered), None)


class Matrix:
    """Models, norms and attacks of a config with its defaults filled in.

    Its entries may still be wrong: `absynth.workflow.checks` asks a Matrix what it needs to find out.
    """

    def __init__(self, config: dict[str, Any]):
        self.config = config

    @cached_property
    def models(self) -> dict[str, PlannedModel]:
        """The models under attack: the paper's in its order, then those that the config adds."""
        entries = {name: entry for name, entry in self.config["models"].items() if entry is not None}
        order = [
            *(name for name in KINDS if name in entries),
            *(name for name in entries if name not in KINDS),
        ]
        return {
            name: PlannedModel(name, KINDS[kind_of(name, entries[name])], entries[name]) for name in order
        }

    @cached_property
    def substitute(self) -> PlannedModel:
        """The model on which transfer attacks are computed; never attacked itself."""
        return PlannedModel("substitute", KINDS["substitute"], self.config["substitute"])

    @cached_property
    def attacks(self) -> dict[str, AttackEntry]:
        """The attacks of the run: the registry's in its order, then those that the config names by class."""
        chosen = {name: entry for name, entry in self.config["attacks"].items() if entry is not None}
        own = {
            name: foolbox_entry(entry["label"] or name, entry["norms"])
            for name, entry in chosen.items()
            if "class" in entry
        }
        return {name: entry for name, entry in ATTACKS.items() if name in chosen} | own

    @property
    def norms(self) -> list[str]:
        """The norms of the run, in the order of its config."""
        return self.config["norms"]

    def planned(self, name: str) -> PlannedModel:
        """A model under attack, or the substitute."""
        return self.substitute if name == "substitute" else self.models[name]

    def applies(self, attack: str, model: str, norm: str) -> bool:
        """Whether the attack minimises the norm, the model offers what it needs, and the config allows it."""
        entry, chosen = self.attacks[attack], self.config["attacks"][attack]
        able = norm in entry.norms and not self.models[model].lacks(entry)
        return able and norm in chosen.get("norms", entry.norms) and model in chosen.get("models", [model])

    def attacks_on(self, model: str, norm: str) -> list[str]:
        """Names of the attacks that apply to a model in a norm."""
        return [name for name in self.attacks if self.applies(name, model, norm)]

    def starts(self, attack: str, model: str, norm: str) -> list[str]:
        """Names of the attacks from whose adversarials this one starts on a model in a norm."""
        chosen = self.config["attacks"][attack]["start_from"]
        return [name for name in chosen if self.applies(name, model, norm)]
