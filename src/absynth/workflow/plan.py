"""What a run consists of, worked out from its config: models, attacks, shards. No torch, no Snakemake."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from absynth.attacks.registry import ATTACKS, AttackEntry, foolbox_entry
from absynth.data.sources import find_dataset
from absynth.errors import InputError
from absynth.models.registry import KINDS, ModelKind
from absynth.workflow.config import check, check_entry, check_known, read_schema

# Keys of an attack's entry that are not keyword arguments of its builder.
_NO_BUDGET = ("models", "norms", "batch_size", "label", "start_from", "per_model")


@dataclass(frozen=True)
class PlannedModel:
    """A model of the run: its name, its kind, its config entry."""

    name: str
    kind: ModelKind
    entry: Mapping[str, Any]

    @property
    def label(self) -> str:
        return self.entry.get("label") or self.kind.label or self.name

    @property
    def gradients(self) -> bool:
        return self.entry.get("gradients", self.kind.gradients)

    def lacks(self, attack: AttackEntry) -> str | None:
        """What an attack needs and this model does not offer, if anything."""
        offers = {
            "gradients": self.gradients,
            "latents": self.kind.latents,
            "certificate": self.kind.certificate,
        }
        return next((name for name, offered in offers.items() if getattr(attack, name) and not offered), None)

    @property
    def generative(self) -> bool:
        """Whether it explains images by samples of its own."""
        return self.kind.trainer == "vae"

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


class Plan:
    """A checked config and the questions that rules ask of it.

    Raises InputError, naming the key, for whatever the schemas or the registries do not allow.
    """

    def __init__(self, config: dict[str, Any], schemas: str | Path):
        check(config, read_schema(schemas, "config"))
        self.config = config
        self._check_models(read_schema(schemas, "models"))
        self._check_attacks(read_schema(schemas, "attacks"))
        self._check_sizes()
        self._check_weights()

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
        return self.config["norms"]

    def attacks_on(self, model: str, norm: str) -> list[str]:
        """Names of the attacks that apply to a model in a norm."""
        return [name for name in self.attacks if self.applies(name, model, norm)]

    def applies(self, attack: str, model: str, norm: str) -> bool:
        """Whether the attack minimises the norm, the model offers what it needs, and the config allows it."""
        entry, chosen = self.attacks[attack], self.config["attacks"][attack]
        able = norm in entry.norms and not self.models[model].lacks(entry)
        return able and norm in chosen.get("norms", entry.norms) and model in chosen.get("models", [model])

    def budget(self, attack: str, model: str) -> dict[str, Any]:
        """The keyword arguments of an attack's builder, those for this model laid over those for all."""
        entry = self.config["attacks"][attack]
        entry = entry | (entry["per_model"].get(model) or {})
        budget = {key: value for key, value in entry.items() if key not in _NO_BUDGET}
        if "class" in budget:
            budget["class_path"] = budget.pop("class")
        return budget

    def starts(self, attack: str, model: str, norm: str) -> list[str]:
        """Names of the attacks from whose adversarials this one starts on a model in a norm."""
        chosen = self.config["attacks"][attack]["start_from"]
        return [name for name in chosen if self.applies(name, model, norm)]

    def planned(self, name: str) -> PlannedModel:
        """A model under attack, or the substitute."""
        return self.substitute if name == "substitute" else self.models[name]

    def model_spec(self, name: str) -> dict[str, Any]:
        """What `absynth.models.building.build` needs to build a model of this run."""
        model = self.planned(name)
        options = {key: model.entry[key] for key in model.kind.options if key in model.entry}
        if model.kind.trainer == "vae":
            options |= self.config["inference"]
        return {
            "builder": model.kind.builder,
            "options": options,
            "weights": model.weights,
            "train": "data/train.h5" if model.kind.reads_training_images else None,
            "calibration": f"models/{name}/calibration.json" if model.kind.tuned else None,
        }

    def weight_sources(self, name: str) -> dict[str, str]:
        """Where the files of a model's weights come from in place of training, by their paths within the run.

        The authors' released weights go before those of another run; empty where the run trains, or nothing is.
        """
        model = self.planned(name)
        published, trained = self.config["published_weights"], self.config["trained_weights"]
        if published and model.kind.published:
            return dict(
                zip(model.weights, (f"{published}/{file}" for file in model.kind.published), strict=True)
            )
        if trained:
            return {path: f"{trained}/{path.removeprefix('models/')}" for path in model.weights}
        return {}

    def builders(self, *, model: str | None = None, attack: str | None = None) -> list[str]:
        """The library modules that registries name for a model, and for an attack and what it needs besides."""
        named = [self.planned(model).kind.builder] if model else []
        if attack:
            entry = self.attacks[attack]
            named += [entry.builder, *([self.substitute.kind.builder] if entry.substitute else [])]
        return [builder.partition(":")[0] for builder in named]

    def substitute_spec(self, attack: str) -> dict[str, Any] | None:
        """The `model_spec` of the substitute for an attack that needs it, None for all others."""
        return self.model_spec("substitute") if self.attacks[attack].substitute else None

    @property
    def certified(self) -> list[str]:
        """The models that offer a certificate."""
        return [name for name, model in self.models.items() if model.kind.certificate]

    def check_certified(self, name: str) -> None:
        """Raise InputError, saying which models have one, unless the model offers a certificate."""
        if name not in self.certified:
            kinds = ", ".join(kind for kind, entry in KINDS.items() if entry.certificate)
            raise InputError(
                f"bounds of {name}: it offers no certificate; "
                f"of this run's models {', '.join(self.certified) or 'none'} do (kinds {kinds})"
            )

    def shard_range(self, shard: int) -> tuple[int, int]:
        """First and one past the last test image of a shard: contiguous, as even as can be."""
        n, shards = self.config["n_samples"], self.config["shards"]
        return shard * n // shards, (shard + 1) * n // shards

    def _check_models(self, schemas: Mapping[str, Any]) -> None:
        for name, entry in self.config["models"].items():
            if name == "substitute":
                raise InputError(
                    "config key models.substitute: the substitute is never attacked; name yours otherwise"
                )
            if entry is None:
                check_known(name, schemas, f"models.{name}")
                continue
            check(entry, {"type": "object", "properties": {"kind": {"type": "string"}}}, f"models.{name}")
            kind = kind_of(name, entry)
            kinds = [known for known in schemas if known != "substitute"]
            if kind != name and kind not in kinds:
                raise InputError(
                    f"config key models.{name}.kind: found {kind}, allowed are {', '.join(kinds)}"
                )
            check_entry(kind, entry, schemas, f"models.{name}")
        if not self.models:
            raise InputError("config key models: none is left to attack; name at least one")
        check(self.config["substitute"], schemas["substitute"], "substitute")

    def _check_attacks(self, schemas: Mapping[str, Any]) -> None:
        known = {name: schema for name, schema in schemas.items() if name != "foolbox"}
        for name, entry in self.config["attacks"].items():
            key = f"attacks.{name}"
            if entry is None:
                check_known(name, known, key)
                continue
            if "class" in entry:
                if name in known:
                    raise InputError(
                        f"config key {key}.class: {name} is an attack of this project; name yours otherwise"
                    )
                check(entry, schemas["foolbox"], key)
                _check_foolbox(entry, key)
            else:
                check_entry(name, entry, known, key)
            _check_per_model(entry, schemas["foolbox" if "class" in entry else name], key)
        for name, attack in self.attacks.items():  # built from entries that are all checked by now
            self._check_selection(self.config["attacks"][name], attack, f"attacks.{name}")
        for name in self.attacks:
            self._check_starts(name)
        _check_cycles({name: self.config["attacks"][name]["start_from"] for name in self.attacks})

    def _check_selection(self, entry: Mapping[str, Any], attack: AttackEntry, key: str) -> None:
        """Refuse norms and models that an entry names but the attack cannot take; models set to null it may name."""
        for norm in entry.get("norms", []):
            if norm not in attack.norms:
                raise InputError(
                    f"config key {key}.norms: found {norm}, allowed are {', '.join(attack.norms)}"
                )
        lacks = {name: model.lacks(attack) for name, model in self.models.items()}
        able = [name for name, lack in lacks.items() if lack is None]
        left_out = [name for name, model in self.config["models"].items() if model is None]
        for choice in ("models", "per_model"):
            for model in entry.get(choice, []):
                if model not in [*able, *left_out]:
                    reason = f", which has no {lacks[model]}" if model in lacks else ""
                    raise InputError(
                        f"config key {key}.{choice}: found {model}{reason}; "
                        f"allowed are {', '.join(able) or 'none'}"
                    )

    def _check_starts(self, name: str) -> None:
        """Refuse starts that the attack cannot take, or that no other attack of the run provides."""
        chosen, key = self.config["attacks"][name]["start_from"], f"config key attacks.{name}.start_from"
        if chosen and not self.attacks[name].takes_start:
            able = ", ".join(other for other, entry in ATTACKS.items() if entry.takes_start)
            raise InputError(
                f"{key}: found {', '.join(chosen)}, but {name} takes no start; allowed with {able}"
            )
        for start in chosen:
            if start not in self.attacks:
                others = ", ".join(other for other in self.attacks if other != name)
                raise InputError(f"{key}: found {start}, no attack of this run; allowed are {others}")
            pairs = [(model, norm) for model in self.models for norm in self.norms]
            if not any(self.applies(name, *pair) and self.applies(start, *pair) for pair in pairs):
                raise InputError(f"{key}: found {start}, which shares no model and norm with {name}")

    def _check_sizes(self) -> None:
        n, shards = self.config["n_samples"], self.config["shards"]
        if shards > n:
            raise InputError(f"config key shards: found {shards}, allowed is n_samples = {n} or less")
        dataset = find_dataset(self.config["dataset"], self.config["datasets"].get(self.config["dataset"]))
        if dataset.n_test is not None and n > dataset.n_test:
            raise InputError(
                f"config key n_samples: found {n}, "
                f"allowed are the {dataset.n_test} test images of {dataset.name}"
            )

    def _check_weights(self) -> None:
        own = Path("results", self.config["run"], "models")
        trained = self.config["trained_weights"]
        if trained and Path(trained).resolve() == own.resolve():
            raise InputError(f"config key trained_weights: found {trained}, allowed is that of another run")


def kind_of(name: str, entry: Mapping[str, Any]) -> str:
    """The kind of a model by its config entry."""
    return "custom" if "class" in entry else entry.get("kind", name)


def _check_cycles(starts: Mapping[str, Sequence[str]]) -> None:
    """Refuse attacks that start, through others or directly, from themselves."""
    try:
        TopologicalSorter(starts).prepare()
    except CycleError as error:
        cycle = error.args[1][::-1]  # each attack starts from the next
        raise InputError(
            f"config key attacks.{cycle[0]}.start_from: {' starts from '.join(cycle)}; leave one of them out"
        ) from None


def _check_per_model(entry: Mapping[str, Any], schema: Mapping[str, Any], key: str) -> None:
    """Refuse what an attack's schema does not allow in a model's own budget, and all that is no budget."""
    fixed = {*_NO_BUDGET, "class"}
    properties = {name: part for name, part in schema["properties"].items() if name not in fixed}
    budget = {"type": ["object", "null"], "additionalProperties": False, "properties": properties}
    for model, own in entry["per_model"].items():
        check(deepcopy(own), budget, f"{key}.per_model.{model}")  # a copy, for the defaults are the entry's
        if own and "class" in entry:
            _check_foolbox(entry | own, f"{key}.per_model.{model}")


def _check_foolbox(entry: Mapping[str, Any], key: str) -> None:
    """Let Foolbox itself say whether class and arguments are sound; imported only where a config asks for it."""
    from absynth.attacks.foolbox.bridge import check_foolbox

    for norm in entry["norms"]:
        try:
            check_foolbox(entry["class"], entry["arguments"], norm)
        except InputError as error:
            raise InputError(f"config key {key}: {error}") from None
