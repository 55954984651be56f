"""What all rules share: the checked config, paths of the run, and the library modules a script imports."""

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from absynth.errors import InputError
from absynth.imports import modules_behind
from absynth.models.registry import PUBLISHED_VAE
from absynth.plan import Plan

try:
    PLAN = Plan(config, Path(workflow.basedir) / "workflow" / "schemas")
except InputError as error:
    raise WorkflowError(str(error)) from None


wildcard_constraints:
    model="|".join([*PLAN.models, "substitute"]),
    norm="l0|l2|linf",
    attack="|".join(PLAN.attacks) or "none",
    label=r"\d",
    shard=r"\d+",


def run(path):
    """A path within this run's folder."""
    return f"results/{config['run']}/{path}"


def package(*modules):
    """Files of library modules and of all that they import: the code that a rule's output depends on."""
    library = Path(workflow.basedir) / "scripts" / "absynth"
    return [os.path.relpath(path) for path in modules_behind(modules, library)]


def builder_module(path):
    """The module within the library of a registry's "absynth.module:function"."""
    return path.partition(":")[0].removeprefix("absynth.")


def planned(name):
    return PLAN.substitute if name == "substitute" else PLAN.models[name]


def model_inputs(name):
    """All files of this run that building a model reads."""
    spec = PLAN.model_spec(name)
    paths = [*spec["weights"], spec["train"], spec["calibration"]]
    own = [planned(name).entry["weights"]] if "class" in planned(name).entry else []
    return [run(path) for path in paths if path] + own


def model_package(name, *modules):
    """`package` of the modules named and of those behind a model, with a user's own module if it lies here."""
    imported = planned(name).entry.get("class", "").replace(":", ".").rpartition(".")[0]
    own = Path(*imported.split(".")).with_suffix(".py") if imported else None
    found = [str(own)] if own and own.is_file() else []
    return package(*modules, builder_module(planned(name).kind.builder)) + found


PUBLISHED = config["published_weights"]
IMPORTED = [name for name in [*PLAN.models, "substitute"] if PUBLISHED and planned(name).kind.published]
TRAINED = [
    name
    for name in [*PLAN.models, "substitute"]
    if planned(name).kind.trainer == "classifier" and name not in IMPORTED
]


def published_file(name):
    return f"{PUBLISHED}/{name}"


def uncalibrated_inputs(name):
    """What calibration reads: the model's files without the γ that it is to find."""
    return [path for path in model_inputs(name) if not path.endswith("calibration.json")]


def attack_shards(wildcards):
    """All shards of all attacks on a model in a norm, attack by attack."""
    return [
        run(f"attacks/{wildcards.model}/{wildcards.norm}/{attack}/{shard}.h5")
        for attack in PLAN.attacks_on(wildcards.model, wildcards.norm)
        for shard in range(config["shards"])
    ]


ATTACKED = [(model, norm) for model in PLAN.models for norm in PLAN.norms if PLAN.attacks_on(model, norm)]
LABELS = {name: model.label for name, model in PLAN.models.items()}


def report_results(table, figures):
    """Say where the results are, and show the table."""
    if Path(table).is_file():
        shown = Path(table).read_text(encoding="utf-8")
        print(f"\n{shown}\ntable   {table}\nfigures {figures}/", file=sys.stderr)
