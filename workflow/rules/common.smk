"""What all rules share: the checked config, paths of the run, and the library modules a script imports."""

import os
import sys
from functools import cache
from pathlib import Path

SRC = Path(workflow.basedir) / "src"
sys.path.insert(0, str(SRC))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SRC), os.environ.get("PYTHONPATH")]))

from absynth.reporting.contents import FIGURES as KNOWN_FIGURES
from absynth.reporting.contents import SECTIONS, figure_entries
from absynth.errors import InputError
from absynth.workflow.imports import imported_files, module_file
from absynth.models.registry import LABELS as VAE_LABELS
from absynth.workflow.plan import Plan
from absynth.workflow.scheduling import drop_default_rate_limit

try:
    PLAN = Plan(config, Path(workflow.basedir) / "workflow" / "schemas")
except InputError as error:
    raise SystemExit(str(error)) from None  # a WorkflowError would add where in this file it was raised


SHARDS = range(config["shards"])
planned = PLAN.planned


wildcard_constraints:
    model="|".join([*PLAN.models, "substitute"]),
    norm="l0|l2|linf",
    attack="|".join(PLAN.attacks) or "none",
    label=r"\d",
    shard=r"\d+",


def run(path):
    """A path within this run's folder."""
    return f"results/{config['run']}/{path}"


@cache
def sources(script, model=None, attack=None):
    """The library modules that a script's result depends on: what it imports, and what registries name for it.

    script (its path within scripts/, without suffix); model, attack: those that it builds
    """
    named = PLAN.builders(model=model, attack=attack)
    files = [
        Path(workflow.basedir, "scripts", f"{script}.py"),
        *(module_file(SRC, module) for module in named),
    ]
    found = [os.path.relpath(path) for path in imported_files(files, SRC)]
    return [path for path in found if path != os.path.relpath(SRC / "absynth" / "__init__.py")] + own_sources(
        model
    )


def own_sources(model):
    """The file of a user's own model class, if it lies here."""
    imported = planned(model).entry.get("class", "") if model else ""
    file = module_file(".", imported.replace(":", ".").rpartition(".")[0]) if imported else None
    return [str(path) for path in imported_files([file], ".")] if file else []


def model_inputs(name):
    """All files of this run that building a model reads."""
    spec = PLAN.model_spec(name)
    paths = [*spec["weights"], spec["train"], spec["calibration"]]
    own = [planned(name).entry["weights"]] if "class" in planned(name).entry else []
    return [run(path) for path in paths if path] + own


def certified_inputs(name):
    """`model_inputs` of a model that offers a certificate; others are refused."""
    try:
        PLAN.check_certified(name)
    except InputError as error:
        raise WorkflowError(str(error)) from None
    return model_inputs(name)


def substitute_inputs(attack):
    """All files of this run that building the substitute reads, for an attack that needs it."""
    return model_inputs("substitute") if PLAN.attacks[attack].substitute else []


WITH_WEIGHTS = [name for name in [*PLAN.models, "substitute"] if planned(name).kind.trainer]
# Where files of weights come from that are not trained, by their paths within the run.
SOURCES = {path: source for name in WITH_WEIGHTS for path, source in PLAN.weight_sources(name).items()}
VAES_IMPORTED = "models/abs/vae_0.pt" in SOURCES
CLASSIFIERS = [name for name in WITH_WEIGHTS if planned(name).kind.trainer == "classifier"]
IMPORTED = [name for name in CLASSIFIERS if f"models/{name}/weights.pt" in SOURCES]
TRAINED = [name for name in CLASSIFIERS if name not in IMPORTED]


def uncalibrated_inputs(name):
    """What calibration reads: the model's files without the γ that it is to find."""
    return [path for path in model_inputs(name) if not path.endswith("calibration.json")]


def shards_on(model, norm):
    """All shards of all attacks on a model in a norm, attack by attack."""
    return [
        run(f"attacks/{model}/{norm}/{attack}/{shard}.h5")
        for attack in PLAN.attacks_on(model, norm)
        for shard in SHARDS
    ]


def attack_starts(wildcards):
    """The shards, of other attacks on the same images, from whose adversarials an attack starts."""
    return [
        run(f"attacks/{wildcards.model}/{wildcards.norm}/{attack}/{wildcards.shard}.h5")
        for attack in PLAN.starts(wildcards.attack, wildcards.model, wildcards.norm)
    ]


def attack_shards(wildcards):
    return shards_on(wildcards.model, wildcards.norm)


def scaled(amount):
    """A resource of which each further attempt at a job gets as much again."""
    return lambda wildcards, attempt: amount * attempt


def attack_checkpoint(wildcards):
    """Where an attack keeps what it has done, outside the rule's outputs: those are deleted when a job fails."""
    name = "-".join([wildcards.model, wildcards.norm, wildcards.attack, wildcards.shard])
    return run(f"checkpoints/attack/{name}.h5")


ATTACKED = [(model, norm) for model in PLAN.models for norm in PLAN.norms if PLAN.attacks_on(model, norm)]
ALL_SHARDS = [path for model, norm in ATTACKED for path in shards_on(model, norm)]
CERTIFIED = [(model, norm) for model in PLAN.certified for norm in PLAN.norms]
BRACKETED = [pair for pair in CERTIFIED if pair in ATTACKED]
NORMS_ATTACKED = [norm for norm in PLAN.norms if any(norm == attacked for _, attacked in ATTACKED)]
CLIMBED = [name for name, model in PLAN.models.items() if model.gradients]
GENERATIVE = [name for name, model in PLAN.models.items() if model.generative]
EXPLAINED = [name for name in GENERATIVE if any(name == attacked for attacked, _ in ATTACKED)]
LABELS = {name: model.label for name, model in PLAN.models.items()}
ATTACK_TITLES = {
    norm: {name: entry.norms[norm] for name, entry in PLAN.attacks.items() if norm in entry.norms}
    for norm in PLAN.norms
}
CURVES = [name for name in PLAN.models if name in TRAINED]
UNREFINED = "models/abs/unrefined" if config["vae"]["refine"] else "models/abs"
VAE_CURVES = list(VAE_LABELS) if GENERATIVE and not VAES_IMPORTED else []


def shown_norm(models):
    """The norm whose adversarials are shown of these models: L2, or the first in which any was attacked."""
    attacked = [norm for norm in PLAN.norms if any((model, norm) in ATTACKED for model in models)]
    return "l2" if "l2" in attacked else attacked[0]


def minima_in(norm):
    """The nearest adversarials in a norm of all models attacked in it."""
    return [run(f"minimal/{model}/{attacked}.h5") for model, attacked in ATTACKED if attacked == norm]


FIGURES = figure_entries(
    norms=NORMS_ATTACKED,
    bracketed=bool(BRACKETED),
    climbed=bool(CLIMBED),
    generative=bool(GENERATIVE),
    explained=bool(EXPLAINED),
    trained=bool(CURVES or VAE_CURVES),
)
REPORTED_TABLES = ["table1", "robustness", "models", *(["distal"] if CLIMBED else []), "attacks", "runtime"]


def drawn(figure, stem=None):
    """The PNG of a figure, and where Snakemake's report shows it."""
    return report(
        run(f"figures/{stem or figure}.png"),
        caption=f"../report/{figure}.rst",
        category=SECTIONS[KNOWN_FIGURES[figure].section]["title"],
        labels={"figure": KNOWN_FIGURES[figure].title},
    )


def captions():
    """The caption of each figure, in order."""
    folder = Path(os.path.relpath(workflow.basedir)) / "workflow" / "report"
    return [str(folder / f"{figure.figure}.rst") for figure in FIGURES]


def report_template():
    return os.path.relpath(Path(workflow.basedir) / "workflow" / "report" / "report.html.j2")


def benchmarks():
    """The benchmark files of the costly rules."""
    paths = [f"train_vae/{label}" for label in VAE_CURVES]
    paths += [f"refine_vae/{label}" for label in VAE_CURVES if config["vae"]["refine"]]
    paths += [f"train_classifier/{model}" for model in CURVES]
    paths += [f"calibrate_model/{model}" for model in PLAN.models]
    paths += [
        f"run_attack/{model}-{norm}-{attack}-{shard}"
        for model, norm in ATTACKED
        for attack in PLAN.attacks_on(model, norm)
        for shard in SHARDS
    ]
    paths += [f"compute_lower_bounds/{model}-{norm}-{shard}" for model, norm in CERTIFIED for shard in SHARDS]
    paths += [f"verify_records/{model}-{norm}" for model, norm in ATTACKED]
    paths += [f"generate_distal/{model}" for model in CLIMBED]
    return [run(f"benchmarks/{path}.tsv") for path in paths]


def report_results(table, figures, report):
    """Say where the results are, and show the table."""
    if Path(table).is_file():
        shown = Path(table).read_text(encoding="utf-8")
        places = {"table": table, "figures": f"{figures}/", "report": report}
        lines = [f"{name:8}{path}" for name, path in places.items() if Path(path).exists()]
        print("", shown, *lines, sep="\n", file=sys.stderr)
