"""The files of a run, worked out from its plan: what exists of each kind, and what a rule reads."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

from absynth.errors import InputError
from absynth.models.registry import KINDS
from absynth.reporting.contents import FigureEntry, figure_entries
from absynth.workflow.plan import Plan


class Outputs:
    """The paths of a run's files, relative to the working directory."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.shards = range(len(plan.spans))

    def path(self, path: str) -> str:
        """A path within this run's folder."""
        return f"results/{self.plan.config['run']}/{path}"

    @property
    def data_limits(self) -> dict[str, dict[str, dict[str, Any]]]:
        """What `Plan.takes` says, as plain values, for the rule that finds out what the images of a data set are.

        Nothing for a data set of which that is known, and where all models take any images.
        """
        if self.plan.dataset.format or not self.plan.takes:
            return {}
        return {"takes": {name: asdict(taken) for name, taken in self.plan.takes.items()}}

    def model_files(self, name: str) -> list[str]:
        """All files that building a model reads, those that a user brought included."""
        spec = self.plan.model_spec(name)
        paths = [*spec["weights"], spec["train"], spec["calibration"]]
        return [self.path(path) for path in paths if path] + self.plan.planned(name).user_files

    def uncalibrated_model_files(self, name: str) -> list[str]:
        """`model_files` without the γ that calibration is to find."""
        return [path for path in self.model_files(name) if not path.endswith("calibration.json")]

    def lower_bound_files(self, name: str) -> list[str]:
        """`model_files` of a model for which there are lower bounds; InputError for all others."""
        self.plan.check_lower_bounds(name)
        return self.model_files(name)

    def substitute_files(self, attack: str) -> list[str]:
        """`model_files` of the substitute, for an attack that needs it."""
        return self.model_files("substitute") if self.plan.attacks[attack].substitute else []

    @property
    def weights(self) -> list[str]:
        """The weights of all models of the run, and of the substitute if it is needed or takes such images."""
        fits = self.plan.dataset.format == self.plan.substitute.kind.takes
        wanted = self.plan.transfers or (fits and self.plan.uses_training_images)
        models = [*self.plan.models.values(), *([self.plan.substitute] if wanted else [])]
        return list(dict.fromkeys(self.path(path) for model in models for path in model.weights))

    @property
    def calibrations(self) -> list[str]:
        """The calibration constants of all models."""
        return [self.path(f"models/{model}/calibration.json") for model in self.plan.models]

    def probe(self, model: str) -> str:
        """What the probe of a model found."""
        return self.path(f"models/{model}/probe.json")

    @property
    def trained_vaes(self) -> str:
        """The folder, within the run, into which VAEs are trained; refined ones lie in models/abs."""
        return "models/abs/unrefined" if self.plan.config["vae"]["refine"] else "models/abs"

    def attack_shards(self, model: str, norm: str) -> list[str]:
        """All shards of all attacks on a model in a norm, attack by attack."""
        return [
            self.path(f"attacks/{model}/{norm}/{attack}/{shard}.h5")
            for attack in self.plan.attacks_on(model, norm)
            for shard in self.shards
        ]

    @cached_property
    def all_shards(self) -> list[str]:
        """All shards of the run."""
        return [path for case in self.plan.attacked for path in self.attack_shards(*case)]

    @cached_property
    def attack_records(self) -> list[str]:
        """All shards of attacks and all files of minima: what verification reads.

        Snakemake makes a lost file again only for a job that reads it and is to run, or if it is a target itself.
        """
        return [*self.all_shards, *self.of_attacked("minimal/{model}/{norm}.h5")]

    @cached_property
    def records(self) -> list[str]:
        """`attack_records` and all else between models and tables: targets, so that a lost one is made again."""
        bounds = [
            f"{self.path(f'bounds/{model}/{norm}/{shard}')}{end}.csv"
            for model, norm in self.plan.bounded
            for shard in self.shards
            for end in ("", "_draws")
        ]
        return [
            *self.calibrations,
            *(self.path(f"models/{model}/kept.json") for model in self.plan.own),
            *self.attack_records,
            *self.of_attacked("minimal/{model}/{norm}.csv"),
            *self.of_attacked("verification/{model}/{norm}.csv"),
            *bounds,
            *self.of_bounded("bounds/{model}/{norm}.csv"),
            *(self.path(f"distal/{model}.h5") for model in self.plan.differentiable),
        ]

    def attack_starts(self, model: str, norm: str, attack: str, shard: str) -> list[str]:
        """The shards, of other attacks on the same images, from whose adversarials an attack starts."""
        starts = self.plan.starts(attack, model, norm)
        return [self.path(f"attacks/{model}/{norm}/{start}/{shard}.h5") for start in starts]

    def proved_bounds(self, model: str, norm: str, attack: str, shard: str) -> list[str]:
        """The proved lower bounds by which an attack leaves images out, or ends them; none where it does neither."""
        known = (model, norm) in self.plan.bounded and self.plan.planned(model).kind.proved
        later = self.plan.relay_leg(attack, model, norm) is not None
        ends = self.plan.end(attack, model, norm) is not None
        return [self.path(f"bounds/{model}/{norm}/{shard}.csv")] if known and (later or ends) else []

    def checked_bounds(self, model: str, norm: str) -> list[str]:
        """The proved lower bounds, by shard, with which verification compares images that attacks were done with."""
        ends = self.plan.end_of(model, norm) is not None
        return [self.path(f"bounds/{model}/{norm}/{shard}.csv") for shard in self.shards] if ends else []

    def shards_of_bounds(self, model: str, end: str) -> list[str]:
        """The files `end` of all shards of a model's lower bounds, norm by norm."""
        norms, shards = self.plan.norms, self.shards
        return [self.path(f"bounds/{model}/{norm}/{shard}{end}") for norm in norms for shard in shards]

    def attack_checkpoint(self, model: str, norm: str, attack: str, shard: str) -> str:
        """Where an attack keeps its progress, outside the rule's outputs: those are deleted when a job fails."""
        return self.path(f"checkpoints/attack/{model}-{norm}-{attack}-{shard}.h5")

    def of_attacked(self, template: str) -> list[str]:
        """A path, with {model} and {norm} in it, of each model and norm attacked."""
        return self._of(template, self.plan.attacked)

    def of_bounded(self, template: str) -> list[str]:
        """The same of each model and norm with lower bounds."""
        return self._of(template, self.plan.bounded)

    def of_bracketed(self, template: str) -> list[str]:
        """The same of each model and norm with both."""
        return self._of(template, self.plan.bracketed)

    @property
    def with_brackets(self) -> list[str]:
        """The models with both in any norm."""
        return list(dict.fromkeys(model for model, _ in self.plan.bracketed))

    def _of(self, template: str, cases: Sequence[tuple[str, str]]) -> list[str]:
        return [self.path(template.format(model=model, norm=norm)) for model, norm in cases]

    def minima(self, norm: str) -> list[str]:
        """The minima over attacks in a norm, of all models attacked in it."""
        cases = [case for case in self.plan.attacked if case[1] == norm]
        return self._of("minimal/{model}/{norm}.h5", cases)

    def bracket_tables(self, *stems: str) -> list[str]:
        """Tables that are made of brackets, by their stems; none of them where no model has lower bounds."""
        return [self.path(f"tables/{stem}.csv") for stem in stems] if self.plan.bracketed else []

    @cached_property
    def figures(self) -> list[FigureEntry]:
        """The figures of the run, in the order of its report."""
        return figure_entries(
            norms=self.plan.norms_attacked,
            bracketed=bool(self.plan.bracketed),
            differentiable=bool(self.plan.differentiable),
            generative=bool(self.plan.generative),
            reconstructed=bool(self.plan.reconstructed),
            trained=bool(self.plan.classifier_curves or self.plan.vae_curves),
        )

    def figure_files(self, suffix: str) -> list[str]:
        """The figures of the run as files of one format, "png" or "svg"."""
        return [self.path(f"figures/{figure.stem}.{suffix}") for figure in self.figures]

    @property
    def reported_tables(self) -> list[str]:
        """The stems of the tables that the report shows, but for that of the jobs' running times."""
        distal = ["distal"] if self.plan.differentiable else []
        bounds = ["bracket", "bound_violations"] if self.plan.bracketed else []
        certificates = ["certificates"] if self.plan.bounded else []
        checks = ["verification", "audit", *bounds]
        minima = ["table1", "robustness", "distances", "pairs", "confusion"]
        return [*minima, "models", *certificates, *distal, "attacks", "optimality", *checks]

    def certificates(self) -> list[str]:
        """Lower bounds without attacks: those of each image, their tables and a report of them.

        Raises InputError if no model of the run has any.
        """
        if not self.plan.bounded:
            kinds = ", ".join(kind for kind, entry in KINDS.items() if entry.lower_bound)
            raise InputError(
                f"target certificates: no model of this run has lower bounds; add one of the kinds {kinds}"
            )
        names = (
            "tables/bounds.csv",
            "tables/certificates.csv",
            "tables/certificates.md",
            "certificates.html",
        )
        return [*self.of_bounded("bounds/{model}/{norm}.csv"), *map(self.path, names)]

    def benchmarks(self) -> list[str]:
        """The benchmark files of the costly rules."""
        plan, shards = self.plan, self.shards
        paths = [f"train_vae/{label}" for label in plan.vae_curves]
        paths += [f"refine_vae/{label}" for label in plan.vae_curves if plan.config["vae"]["refine"]]
        paths += [f"train_classifier/{model}" for model in plan.classifier_curves]
        paths += [f"build_prototypes/{model}" for model in plan.with_prototypes]
        paths += [f"calibrate_model/{model}" for model in plan.models]
        paths += [
            f"run_attack/{model}-{norm}-{attack}-{shard}"
            for model, norm in plan.attacked
            for attack in plan.attacks_on(model, norm)
            for shard in shards
        ]
        paths += [
            f"compute_lower_bounds/{model}-{norm}-{shard}" for model, norm in plan.bounded for shard in shards
        ]
        paths += [f"verify_records/{model}-{norm}" for model, norm in plan.attacked]
        paths += [f"generate_distal/{model}" for model in plan.differentiable]
        return [self.path(f"benchmarks/{path}.tsv") for path in paths]
