"""Which attack applies to which model in which norm, read off a config. No torch, no Snakemake."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Any

from absynth.attacks.outside import outside_entry, outside_kind
from absynth.attacks.registry import ATTACKS, PAPER, AttackEntry
from absynth.data.sources import Dataset, find_dataset
from absynth.models.registry import KINDS, ModelKind
from absynth.workflow.relay import relay_rounds


def kind_of(name: str, entry: Mapping[str, Any]) -> str:
    """The kind of a model by its config entry: a key of `absynth.models.registry.KINDS` if the entry is sound."""
    kind = entry.get("kind", name)
    own = "class" in entry or "program" in entry or ("weights" in entry and kind not in KINDS)
    return "custom" if own else kind


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
    def binarises(self) -> bool:
        """Whether it binarises its input."""
        return self.entry.get("binarises", self.kind.input_threshold)

    @property
    def generative(self) -> bool:
        """Whether it has a decoder for each class, from which it can draw samples."""
        return self.kind.trainer == "vae"

    @property
    def user_code(self) -> dict[str, str]:
        """The "module:name" or "file.py:name" of a user's own model, by the keys of its entry."""
        named = {key: self.entry.get(key) for key in ("class", "preprocessing")}
        return {key: path for key, path in named.items() if isinstance(path, str)}

    @property
    def user_files(self) -> list[str]:
        """The files that a user's own model is read from, besides code: its weights or its program."""
        return [*self.own_files.values()]

    @property
    def own_files(self) -> dict[str, str]:
        """The user's own files that it is made from, by the option of its builder that names each."""
        return {
            key: self.entry[key] for key in ("weights", "program") if isinstance(self.entry.get(key), str)
        }

    @property
    def network(self) -> str:
        """The key in `absynth.models.cnn.NETWORKS` of a classifier to train or import."""
        return self.entry.get("kind", self.name)

    @property
    def training(self) -> dict[str, Any]:
        """The settings of its training, or of whatever makes its weights."""
        outside = ("kind", "label", "trained_weights", *self.kind.options)
        return {key: value for key, value in self.entry.items() if key not in outside}

    @property
    def weights(self) -> list[str]:
        """Paths of its weights within the run."""
        return [f"models/{path.format(name=self.name)}" for path in self.kind.weights]

    @property
    def learned(self) -> list[str]:
        """Paths within the run of what is trained or imported: its weights, or those that they are made from."""
        return [f"models/{path}" for path in self.kind.sources] or self.weights

    def lacks(self, attack: AttackEntry) -> str | None:
        """The first thing that an attack needs and this model does not offer, None if there is none."""
        offers = {
            "gradients": self.gradients,
            "latents": self.kind.latents,
            "lower_bound": self.kind.lower_bound,
            "input_threshold": self.binarises,
        }
        return next((name for name, offered in offers.items() if getattr(attack, name) and not offered), None)


def _attack(name: str, entry: Mapping[str, Any], round_of_relay: int | None) -> AttackEntry:
    """An attack by its name and config entry: by class or function, or of the registry, with titles of its own."""
    label = entry.get("label")
    if (kind := outside_kind(entry)) is not None:
        return outside_entry(kind, label or name, entry["norms"], entry["gradients"])
    attack = ATTACKS[entry.get("kind", name)]
    if label is None and name in ATTACKS:
        return attack
    suffix = f" ({name})" if round_of_relay is None else f", round {round_of_relay}"
    return replace(attack, norms={norm: label or f"{title}{suffix}" for norm, title in attack.norms.items()})


class Matrix:
    """Models, norms and attacks of a config with its defaults filled in.

    Its entries may still be wrong: `absynth.workflow.checks` asks a Matrix what it needs to find out.
    """

    def __init__(self, config: dict[str, Any]):
        self.config = config
        self.preset_starts: frozenset[str] = frozenset()  # attacks that start from what their preset names

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
        """The attacks of the run: the registry's in its order, then those under other names."""
        chosen = {name: entry for name, entry in self.config["attacks"].items() if entry is not None}
        order = [
            *(name for name in ATTACKS if name in chosen),
            *(name for name in chosen if name not in ATTACKS),
        ]
        return {name: _attack(name, chosen[name], self.relay_rounds.get(name)) for name in order}

    @cached_property
    def relay_rounds(self) -> dict[str, int]:
        """The attacks of the run's relay, in their order, and the round of each."""
        return relay_rounds(self.config["relay"])

    @cached_property
    def repeats(self) -> dict[str, str]:
        """For each attack, the first of the run that differs from it in name and label alone: in random numbers."""
        first: dict[str, str] = {}
        return {name: first.setdefault(self._all_but_name(name), name) for name in self.attacks}

    def _all_but_name(self, attack: str) -> str:
        entry = self.config["attacks"][attack]
        kept = {key: value for key, value in entry.items() if key not in ("kind", "label")}
        return json.dumps([entry.get("kind", attack), kept], sort_keys=True, default=str)

    @property
    def dataset(self) -> Dataset:
        """The data set of the run, registered or described by the config."""
        return find_dataset(self.config["dataset"], self.config["datasets"].get(self.config["dataset"]))

    @property
    def norms(self) -> list[str]:
        """The norms of the run, in the order of its config."""
        return self.config["norms"]

    @property
    def attack_titles(self) -> dict[str, dict[str, str]]:
        """The attacks' names in tables and figures, by norm and attack."""
        return {
            norm: {name: entry.norms[norm] for name, entry in self.attacks.items() if norm in entry.norms}
            for norm in self.norms
        }

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

    def paper_attacks_on(self, model: str, norm: str) -> list[str]:
        """Those of `attacks_on` that the paper has."""
        return [name for name in self.attacks_on(model, norm) if name in PAPER]

    def starts(self, attack: str, model: str, norm: str) -> list[str]:
        """Names of the attacks from whose adversarials this one starts on a model in a norm."""
        chosen = self.config["attacks"][attack]["start_from"]
        return [name for name in chosen if self.applies(name, model, norm)]

    def in_order(self, model: str, norm: str) -> list[str]:
        """The attacks that apply to a model in a norm, each after those that it starts from."""
        graph = {name: self.starts(name, model, norm) for name in self.attacks_on(model, norm)}
        return list(TopologicalSorter(graph).static_order())
