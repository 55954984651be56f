"""What a run consists of, worked out from its config. No torch, no Snakemake."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from absynth.attacks.outside import named_path
from absynth.attacks.registry import PAPER
from absynth.data.format import DataFormat, distal_labels
from absynth.errors import InputError
from absynth.models.registry import KINDS, LABELS
from absynth.workflow.checks import (
    NOT_OPTIONS,
    check_applies,
    check_attacks,
    check_labels,
    check_models,
    check_sizes,
    check_weights,
)
from absynth.workflow.config import check, read_schema
from absynth.workflow.data_checks import (
    check_data,
    check_description,
    needs_training,
    settle_dataset,
    takes,
)
from absynth.workflow.matrix import Matrix
from absynth.workflow.only import settle_only
from absynth.workflow.presets import expand_presets
from absynth.workflow.relay import add_relay
from absynth.workflow.shards import settle_shards, shard_spans

_PROBE_PRIOR_SAMPLES = 500


class Plan(Matrix):
    """A checked config and the questions that rules ask of it.

    config: as Snakemake merged it; presets are expanded and defaults filled in, in place
    schemas: the folder workflow/schemas
    Raises InputError, naming the key, for whatever the schemas or the registries do not allow.
    """

    def __init__(self, config: dict[str, Any], schemas: str | Path):
        super().__init__(config)
        self.preset_starts = expand_presets(config, schemas)
        check(config, read_schema(schemas, "config"))
        self.notes = settle_only(config)
        settle_shards(config)
        check_description(config, in_place=settle_dataset(config))
        check_models(config, read_schema(schemas, "models"))
        add_relay(config)
        check_attacks(self, read_schema(schemas, "attacks"))
        check_labels(self)
        check_sizes(config)
        check_weights(config)
        check_data(self)

    def check_run(self) -> None:
        """Refuse a config that, sound as it is, makes no run: whose attacks all apply to nothing."""
        check_applies(self)

    def options(self, attack: str, model: str) -> dict[str, Any]:
        """The keyword arguments of an attack's builder, those for this model laid over those for all.

        An attack within a fixed ε gets the config's `epsilons`.
        """
        entry = self.config["attacks"][attack]
        entry = entry | (entry["per_model"].get(model) or {})
        options = {key: value for key, value in entry.items() if key not in NOT_OPTIONS}
        for key in ("class", "function"):
            if key in options:
                options[f"{key}_path"] = options.pop(key)
        if self.attacks[attack].at_epsilons:
            options["epsilon"] = dict(self.config["epsilons"])
        return options

    def user_code(self, *, model: str | None = None, attack: str | None = None) -> list[str]:
        """The "module:name" or "file.py:name" of a user's own code that a model and an attack name."""
        named = [*self.planned(model).user_code.values()] if model else []
        path = named_path(self.config["attacks"][attack]) if attack else None
        return named if path is None else [*named, path]

    def end(self, attack: str, model: str, norm: str) -> dict[str, Any] | None:
        """By what an attack is done with images near a proved bound (`end_of`); None if it goes on.

        The paper's attacks, by their own names, go on: their rows are compared with the paper's.
        """
        return None if attack in PAPER else self.end_of(model, norm)

    def ends_on(self, model: str, norm: str) -> dict[str, dict[str, Any]]:
        """`end` of each attack on a model in a norm that may be done with images; empty where none may."""
        ends = {name: self.end(name, model, norm) for name in self.attacks_on(model, norm)}
        return {name: end for name, end in ends.items() if end is not None}

    def end_of(self, model: str, norm: str) -> dict[str, Any] | None:
        """What `absynth.attacks.tight.end_distances` takes besides bounds and norm; None if nothing ends."""
        tightness = self.config["stop_when_tight"]
        if tightness is None or (model, norm) not in self.bounded or not self.planned(model).kind.proved:
            return None
        return {"tightness": tightness, "epsilon": self.config["epsilons"][norm]}

    def attack_job(self, *, model: str, norm: str, attack: str, shard: str) -> dict[str, Any]:
        """What scripts/attacks/run_attack.py must know of one shard of an attack, besides run and seed."""
        end = self.end(attack, model, norm)
        return {
            "model": model,
            "norm": norm,
            "attack": attack,
            "spec": self.model_spec(model),
            "builder": self.attacks[attack].builder,
            "options": self.options(attack, model),
            "substitute": self.substitute_spec(attack),
            "batch_size": self.config["attacks"][attack]["batch_size"],
            "span": self.spans[int(shard)],
            "relay": self.relay_leg(attack, model, norm),
            **(
                {} if end is None else {"end": end}
            ),  # no key without it: another set of params runs a job again
        }

    def relay_leg(self, attack: str, model: str, norm: str) -> dict[str, Any] | None:
        """What an attack of the relay's second or a later round needs to leave images out; None for all others.

        round: its number; rounds: those of the attacks that it starts from, 0 outside of the relay
        gain, tightness: as in `absynth.attacks.relay.stopped`
        """
        number = self.relay_rounds.get(attack, 0)
        if number < 2:
            return None
        rounds = {start: self.relay_rounds.get(start, 0) for start in self.starts(attack, model, norm)}
        settings = {key: self.config["relay"][key] for key in ("gain", "tightness")}
        return {"round": number, "rounds": rounds, **settings}

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """First and one past the last test image of each shard."""
        return shard_spans(self.config)

    def model_spec(self, name: str) -> dict[str, Any]:
        """What `absynth.models.building.build` needs to build a model of this run."""
        model = self.planned(name)
        options = {key: model.entry[key] for key in model.kind.options if key in model.entry}
        if model.kind is KINDS["custom"]:
            options["name"] = name  # for messages
        if model.generative:
            options |= self.config["inference"]
        return {
            "builder": model.kind.builder,
            "options": options,
            "weights": model.weights,
            "train": "data/train.h5" if model.kind.reads_training_images else None,
            "calibration": f"models/{name}/calibration.json" if model.kind.tuned else None,
        }

    def probe_images(self, name: str) -> int:
        """How many test images the probe asks a model about: few where an answer is costly."""
        kind = self.planned(name).kind
        return 8 if kind.latents else 30 if kind.proved else 100

    def probe_spec(self, name: str) -> dict[str, Any]:
        """The `model_spec` of what the probe builds: the model, but with few prior samples where inference takes any.

        To decode thousands of them costs more than all the probe asks; they are starts of a search, and no fault of
        weights or data hides behind their number.
        """
        spec = self.model_spec(name)
        if self.planned(name).generative:
            spec["options"]["prior_samples"] = min(spec["options"]["prior_samples"], _PROBE_PRIOR_SAMPLES)
        return spec

    def substitute_spec(self, attack: str) -> dict[str, Any] | None:
        """The `model_spec` of the substitute for an attack that needs it, None for all others."""
        return self.model_spec("substitute") if self.attacks[attack].substitute else None

    def builders(self, *, model: str | None = None, attack: str | None = None) -> list[str]:
        """The library modules that registries name for a model, and for an attack and what it needs besides."""
        named = [self.planned(model).kind.builder] if model else []
        if attack:
            entry = self.attacks[attack]
            named += [entry.builder, *([self.substitute.kind.builder] if entry.substitute else [])]
        return [builder.partition(":")[0] for builder in named]

    def weight_sources(self, name: str) -> dict[str, str]:
        """Where the weights that a model is trained to, or made from, come from in place of training, by their paths.

        What the model's own entry says goes first, then the authors' released weights, then those of another run;
        empty where the run trains, or nothing is.
        """
        model = self.planned(name)
        published = self.config["published_weights"]
        own = "trained_weights" in model.entry
        trained = (model.entry if own else self.config)["trained_weights"]
        if published and model.kind.published and not own:
            return dict(
                zip(model.learned, (f"{published}/{file}" for file in model.kind.published), strict=True)
            )
        if trained:
            return {path: f"{trained}/{path.removeprefix('models/')}" for path in model.learned}
        return {}

    @cached_property
    def imported_weights(self) -> dict[str, str]:
        """`weight_sources` of all models and the substitute together."""
        names = [*self.models, "substitute"]
        return {path: source for name in names for path, source in self.weight_sources(name).items()}

    @property
    def imported_vaes(self) -> dict[str, str]:
        """Where the VAEs come from, by their paths; empty where the run trains them or needs none."""
        return {
            path: source for path, source in self.imported_weights.items() if path.startswith("models/abs/")
        }

    @cached_property
    def imported_classifiers(self) -> list[str]:
        """Classifiers, the substitute included, whose weights come from elsewhere."""
        return [name for name in self._classifiers if self.weight_sources(name)]

    @cached_property
    def trained_classifiers(self) -> list[str]:
        """Classifiers, the substitute included, that this run trains."""
        return [name for name in self._classifiers if not self.weight_sources(name)]

    @property
    def _classifiers(self) -> list[str]:
        names = [*self.models, "substitute"]
        return [name for name in names if self.planned(name).kind.trainer == "classifier"]

    @property
    def classifier_curves(self) -> list[str]:
        """The models under attack whose training leaves a curve."""
        return [name for name in self.models if name in self.trained_classifiers]

    @property
    def vae_curves(self) -> list[int]:
        """The labels whose VAE's training leaves a curve: all or none."""
        needed = self.generative or self.with_prototypes
        return list(LABELS) if needed and not self.imported_vaes else []

    @cached_property
    def attacked(self) -> list[tuple[str, str]]:
        """Each (model, norm) in which at least one attack applies."""
        return [(model, norm) for model in self.models for norm in self.norms if self.attacks_on(model, norm)]

    @property
    def norms_attacked(self) -> list[str]:
        """The norms in which at least one model is attacked."""
        return [norm for norm in self.norms if any(norm == attacked for _, attacked in self.attacked)]

    @property
    def with_lower_bounds(self) -> list[str]:
        """The models for which lower bounds can be computed."""
        return [name for name, model in self.models.items() if model.kind.lower_bound]

    @property
    def bounded(self) -> list[tuple[str, str]]:
        """Each (model, norm) in which lower bounds are computed."""
        return [(model, norm) for model in self.with_lower_bounds for norm in self.norms]

    @property
    def bracketed(self) -> list[tuple[str, str]]:
        """Each (model, norm) with lower bounds and attacks."""
        return [case for case in self.bounded if case in self.attacked]

    @property
    def takes(self) -> dict[str, DataFormat]:
        """What models that do not take any images take, and the substitute; by what messages call them."""
        return takes(self)

    @property
    def splits(self) -> list[str]:
        """The splits of the data set that the run uses; without training images models can only be attacked."""
        return ["train", "calibration", "test"] if self.uses_training_images else ["test"]

    @property
    def uses_training_images(self) -> bool:
        """Whether the run takes training images: if there are any, and the config asks for what needs them."""
        if not self.dataset.has_train:
            return False
        names = [*self.models, *(["substitute"] if self.transfers else [])]
        return self.config["distal"] is not None or any(needs_training(self, names))

    @property
    def differentiable(self) -> list[str]:
        """The models with gradients, on which distal adversarials are found by gradient ascent.

        None where the config wants none, and where there are no training images: these calibrate the confidence, and
        distal is what is far from them.
        """
        if self.config["distal"] is None or not self.dataset.has_train:
            return []
        return [name for name, model in self.models.items() if model.gradients]

    @property
    def distal_labels(self) -> list[int] | None:
        """The classes whose confidence is raised; None where the config leaves it to the data, or wants none."""
        if self.config["distal"] is None:
            return None
        chosen, known = self.config["distal"]["labels"], self.dataset.format
        return distal_labels(known.n_classes) if chosen is None and known else chosen

    @property
    def transfers(self) -> bool:
        """Whether any attack needs the substitute."""
        return any(self.attacks[name].substitute for case in self.attacked for name in self.attacks_on(*case))

    @property
    def generative(self) -> list[str]:
        """The models that draw samples of their own."""
        return [name for name, model in self.models.items() if model.generative]

    @property
    def with_prototypes(self) -> list[str]:
        """The models whose weights are prototypes made from VAEs."""
        return [name for name, model in self.models.items() if model.kind.trainer == "prototypes"]

    @property
    def own(self) -> list[str]:
        """The models of a user's own, of which the run keeps a copy."""
        return [name for name, model in self.models.items() if model.user_code or model.own_files]

    @property
    def reconstructed(self) -> list[str]:
        """The generative models under attack, whose reconstructions of adversarials are shown."""
        return [name for name in self.generative if any(name == attacked for attacked, _ in self.attacked)]

    @property
    def labels(self) -> dict[str, str]:
        """The models' names in tables and figures."""
        return {name: model.label for name, model in self.models.items()}

    @property
    def audit_roles(self) -> dict[str, dict[str, Any]]:
        """What `absynth.evaluation.audit.Role` holds, by attack."""
        return {
            name: {
                "gradients": entry.gradients,
                "refines": list(entry.refines),
                "estimates": entry.estimates,
                "round": self.relay_rounds.get(name, 0),
                "repeats": self.repeats[name],
                "at_epsilons": entry.at_epsilons,
                "internals": entry.latents or entry.lower_bound,
            }
            for name, entry in self.attacks.items()
        }

    def check_lower_bounds(self, name: str) -> None:
        """Raise InputError, saying for which models there are any, unless the model has lower bounds."""
        if name not in self.with_lower_bounds:
            kinds = ", ".join(kind for kind, entry in KINDS.items() if entry.lower_bound)
            raise InputError(
                f"lower bounds of {name}: there are none for its kind; "
                f"of this run's models {', '.join(self.with_lower_bounds) or 'none'} have them (kinds {kinds})"
            )

    def shown_norm(self, models: Iterable[str]) -> str:
        """The norm whose adversarials are shown of these models: L2, or the first in which any was attacked."""
        chosen = set(models)
        norms = [norm for norm in self.norms if any((model, norm) in self.attacked for model in chosen)]
        return "l2" if "l2" in norms else norms[0]
