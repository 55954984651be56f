"""Where a run's config comes from: several files, options, another folder, another Snakefile."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml
from configs import overlaid, shipped

pytestmark = pytest.mark.workflow

ON = "attacks: {fgsm: {doublings: 2}, carlini_wagner: {}}\n"
MODULE = """
configfile: "config/config.yaml"

module absynth:
    snakefile: "{folder}/Snakefile"
    config: config["robustness"]
{more}
use rule * from absynth as robust_*
"""


@pytest.fixture(scope="module")
def configs(checkout, tmp_path_factory):
    """A tiny config with most attacks off, and one that turns some of them on again."""
    folder = tmp_path_factory.mktemp("configs")
    off = {"fgsm": None, "carlini_wagner": None}
    tiny = checkout.config(run="laid_over", norms=["l2", "linf"], shards=1, attacks=off)
    shutil.move(tiny, folder / "tiny.yaml")
    (folder / "on.yaml").write_text(ON, encoding="utf-8")
    return folder / "tiny.yaml", folder / "on.yaml"


def snakemake(folder, *arguments):
    """Run snakemake in a folder; both streams are returned together."""
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", *map(str, arguments)],
        cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


def shards(output):
    """The attacks, model and norm first, of which a dry run plans shards."""
    lines = [line.strip() for line in output.splitlines()]
    paths = [line.split()[1] for line in lines if line.startswith("output: results/")]
    return {path.partition("/attacks/")[2].rpartition("/")[0] for path in paths if "/attacks/" in path}


def test_an_empty_mapping_turns_on_an_attack_that_another_file_turned_off(checkout, configs):
    tiny, on = configs
    before = snakemake(checkout.folder, "-n", "--configfile", tiny)
    done = snakemake(checkout.folder, "-n", "--configfile", tiny, on)
    assert before.returncode == done.returncode == 0, done.stdout
    added = {"cnn/linf/fgsm", "nearest_neighbor/linf/fgsm", "abs/linf/fgsm"}
    wagner = {f"{model}/l2/carlini_wagner" for model in ("cnn", "nearest_neighbor", "abs")}
    assert shards(done.stdout) - shards(before.stdout) == added | wagner


def test_jobs_of_their_own_process_take_the_same_config(checkout, configs):
    """As on a cluster: nested options and two files reach a job through Snakemake's command line."""
    nested = "attacks={carlini_wagner: {steps: 2, binary_search_steps: 1}}"
    target = "results/sent/attacks/cnn/l2/carlini_wagner/0.h5"
    done = snakemake(
        checkout.folder, target, "--executor", "cluster-generic", "--cluster-generic-submit-cmd", "sh", "--jobs", "1",
        "--latency-wait", "5", "--configfile", *configs, "--config", nested, "run=sent",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert (checkout.folder / target).is_file()
    again = snakemake(checkout.folder, "-n", target, "--configfile", *configs, "--config", nested, "run=sent")
    assert "Nothing to be done" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--configfile", "A", "--configfile", "A"],
            "--configfile and then --configfile: the second replaces",
        ),
        (["--config", "seed=1", "--config", "seed=2"], "--config and then --config: the second replaces"),
        (["--config", "seed=1", "seed=2"], "--config: seed is given twice"),
        (["--replace-workflow-config"], "--replace-workflow-config: Snakemake does not hand it on"),
        (["--config", "n_samples='many'"], "config key n_samples: found 'many', allowed is a"),
    ],
)
def test_what_would_be_dropped_is_refused_in_one_line(checkout, configs, arguments, message):
    given = [str(configs[0]) if word == "A" else word for word in arguments]
    done = snakemake(checkout.folder, "-n", *given)
    assert done.returncode != 0
    assert [line for line in done.stdout.splitlines() if message in line]
    assert "Traceback" not in done.stdout
    assert len([line for line in done.stdout.splitlines() if not line.startswith("Config file")]) == 1


@pytest.mark.parametrize("content", ["run: x\nrun: y\n", "", "- x\n", "vae:\n\tepochs: 2\n", "run: \xff\n"])
def test_a_bad_config_of_the_working_directory_is_named(checkout, tmp_path, content):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_bytes(content.encode("latin-1"))
    done = snakemake(tmp_path, "-n", "-s", checkout.folder / "Snakefile")
    assert done.returncode != 0
    (line,) = done.stdout.splitlines()
    assert line.startswith("config/config.yaml")


def test_a_run_from_another_folder_is_that_of_the_project(checkout, configs, tmp_path):
    """By the path of the Snakefile, and by --directory."""
    tiny, _ = configs
    here = snakemake(checkout.folder, "-n", "--configfile", tiny)
    there = snakemake(tmp_path, "-n", "-s", checkout.folder / "Snakefile", "--configfile", tiny)
    directory = snakemake(checkout.folder, "-n", "--directory", tmp_path, "--configfile", tiny)
    assert here.returncode == there.returncode == directory.returncode == 0, there.stdout
    assert shards(here.stdout) == shards(there.stdout) == shards(directory.stdout) != set()


def outer(checkout, tmp_path, configs, more=""):
    """A folder with a Snakefile that uses the project as a module, with a part of its own config."""
    (tmp_path / "config").mkdir()
    tiny = yaml.safe_load(configs[0].read_text(encoding="utf-8"))
    config = {"robustness": overlaid(shipped(), tiny), "other": 5}
    (tmp_path / "config" / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    text = MODULE.format(folder=checkout.folder, more=more)
    (tmp_path / "Snakefile").write_text(text, encoding="utf-8")
    return tmp_path


def test_another_workflow_uses_this_one_as_a_module(checkout, configs, tmp_path):
    folder = outer(checkout, tmp_path, configs)
    (folder / "on.yaml").write_text("robustness: {attacks: {carlini_wagner: {}}}\n", encoding="utf-8")
    planned = snakemake(folder, "-n", "--configfile", "on.yaml")
    assert planned.returncode == 0, planned.stdout
    assert {name for name in shards(planned.stdout) if name.endswith("carlini_wagner")}
    target = "results/laid_over/minimal/nearest_neighbor/linf.csv"
    done = snakemake(folder, target, "--config", "robustness={attacks: {fgsm: {doublings: 1}}}")
    assert done.returncode == 0, done.stdout
    assert (folder / target).is_file()


def test_a_module_with_a_prefix_is_refused(checkout, configs, tmp_path):
    folder = outer(checkout, tmp_path, configs, more='    prefix: "sub"\n')
    done = snakemake(folder, "-n")
    assert done.returncode != 0
    assert done.stdout.splitlines() == [
        "module absynth: `prefix` and `replace_prefix` are not taken; the config key run names the folder"
    ]


def test_weights_may_be_missing_only_while_the_data_to_train_on_are_made(own_checkout):
    folder = own_checkout.folder
    (folder / "net.py").write_text("class Net: ...\n", encoding="utf-8")
    mine = {"class": "net.py:Net", "weights": "made-later.pt"}
    config = own_checkout.config(models={"only": ["mine"], "mine": mine})
    assert "data/train.h5" in own_checkout.planned("results/tiny/data/train.h5", config=config)
    done = own_checkout.snakemake("--dry-run", config=config)
    assert done.returncode == 1
    assert "config key models.mine.weights: made-later.pt is no file\n" in done.stdout
