"""What the jobs of a run would cost, estimated before any of them runs."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from absynth.cli.attack_costs import AttackCosts, Range
from absynth.cli.model_speed import Speed
from absynth.cli.workflow_process import PlannedJob
from absynth.workflow.plan import Plan

# CPU seconds that a job's process takes to start, by its rule: docs/results/performance.md, Starting a job.
_START = {"run_attack": 2.4, "plot": 1.7, "light": 0.3}
_TORCH = ("probe_model", "calibrate_model", "verify_records", "compute_lower_bounds", "compare_bounds", "train_vae",
          "train_classifier", "refine_vae", "build_prototypes", "generate_distal", "sample_prior",
          "reconstruct_images", "import_vaes", "import_classifier")  # fmt: skip
_TORCH_START = 1.7
UNCERTAINTY = 1.5  # factor, either way, by which attacks on another model may cost more or less than measured
_PROBE_PASSES = 60  # of a batch of test images, about, with and without gradients
_NOT_ESTIMATED = ("train_vae", "refine_vae", "train_classifier", "build_prototypes", "generate_distal",
                  "compute_lower_bounds", "compare_bounds", "sample_prior", "reconstruct_images")  # fmt: skip
TARGETS = ("all", "train", "verify", "audit", "certificates", "report")  # which run nothing themselves
Speeds = dict[str, Callable[[int], Speed]]


@dataclass
class Estimate:
    """Jobs by rule; seconds by stage; what could not be estimated, and of how many jobs."""

    jobs: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, Range] = field(default_factory=dict)
    unknown: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> Range:
        """All stages together."""
        return sum(self.seconds.values(), Range(0.0, 0.0))

    def add(self, stage: str, seconds: Range) -> None:
        """Count seconds for a stage."""
        self.seconds[stage] = self.seconds.get(stage, Range(0.0, 0.0)) + seconds


def estimated(
    plan: Plan, jobs: Sequence[PlannedJob], costs: AttackCosts, speeds: Speeds, values: int, n_test: int
) -> Estimate:
    """Estimate the jobs of a dry run.

    speeds: of each model that could be measured, by the size of a batch
    values: pixel values of an image; n_test: test images there are
    """
    found = Estimate()
    for job in jobs:
        if job.rule in TARGETS:
            continue
        found.jobs[job.rule] += 1
        found.add("starting jobs", _start(job.rule))
        if job.rule == "run_attack":
            _add_attack(found, plan, PurePosixPath(job.outputs[0]), costs, speeds, values)
        elif job.rule in _NOT_ESTIMATED:
            found.unknown[job.rule] += 1
        elif job.rule in ("probe_model", "calibrate_model", "verify_records"):
            _add_passes(found, plan, job, speeds, n_test)
    return found


def _start(rule: str) -> Range:
    kind = "plot" if rule.startswith("plot_") else rule
    seconds = _START.get(kind, _TORCH_START if rule in _TORCH else _START["light"])
    return Range(0.8 * seconds, 1.2 * seconds)


def _add_attack(
    found: Estimate, plan: Plan, shard: PurePosixPath, costs: AttackCosts, speeds: Speeds, values: int
) -> None:
    """Count one shard of an attack: results/{run}/attacks/{model}/{norm}/{attack}/{shard}.h5."""
    model, norm, attack = shard.parts[-4:-1]
    entry = plan.config["attacks"][attack]
    job = plan.attack_job(model=model, norm=norm, attack=attack, shard=shard.stem)
    images = job["span"][1] - job["span"][0]
    batches = batch_sizes(images, job["batch_size"])
    seconds = None
    if model in speeds:
        kind = entry.get("kind", attack)
        seconds = costs.seconds(kind, norm, job["options"], batches, values, speeds[model])
    if seconds is None:
        found.unknown[f"{attack} on {model} in {norm}"] += 1
    else:
        found.add("attacks", Range(seconds.low / UNCERTAINTY, seconds.high * UNCERTAINTY))


def _add_passes(found: Estimate, plan: Plan, job: PlannedJob, speeds: Speeds, n_test: int) -> None:
    """Count the passes of a probe, a calibration or a verification."""
    parts = PurePosixPath(job.outputs[0]).parts
    model = parts[-2]
    if model not in speeds:
        found.unknown[f"{job.rule} of {model}"] += 1
        return
    batch = min(100, n_test)
    one = speeds[model](batch)
    if job.rule == "probe_model":
        seconds = _PROBE_PASSES * (one.forward + one.backward)
    elif job.rule == "calibrate_model":
        seconds = min(n_test, plan.config["n_accuracy"] or n_test) / batch * one.forward
    else:
        records = len(plan.attacks_on(model, parts[-1].partition(".")[0])) + 2
        seconds = records * plan.config["n_samples"] / batch * one.forward
    found.add("probe, calibration and verification", Range(0.5 * seconds, 1.5 * seconds))


def batch_sizes(images: int, batch: int) -> list[int]:
    """The sizes of the batches into which an attack divides images."""
    return [min(batch, images - first) for first in range(0, images, batch)]


def duration(seconds: float) -> str:
    """Seconds as a reader takes them: 40 s, 12 min, 3.5 h."""
    if not math.isfinite(seconds):
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def span(seconds: Range) -> str:
    """A range as a reader takes it."""
    low, high = duration(seconds.low), duration(seconds.high)
    return low if low == high else f"{low} to {high}"
