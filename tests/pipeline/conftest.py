"""Run the whole workflow, tiny, in a temporary folder."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

ROOT = Path(__file__).parents[2]

QUICK = "test_own_alone.py"  # the one whole run among the quick tests


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is here as slow."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.path.name != QUICK:
            item.add_marker(pytest.mark.slow)


# The smallest run that still has every rule in it.
TINY = {
    "run": "tiny",
    "dataset": "digits",
    "n_samples": 4,
    "shards": 2,
    "n_calibration": 100,
    "norms": ["l2", "l0"],
    "threads": {"train": 1, "calibrate": 1, "attack": 1},
    "vae": {"epochs": 2, "batch_size": 64, "refine": {"epochs": 1}},
    "inference": {"prior_samples": 100, "steps": 2},
    "distal": {"labels": [0, 1], "seeds": 1, "steps": 5},
    "certificates": {
        "starts": 1,
        "screened": 4,
        "first_steps": 1,
        "steps": 3,
        "perturbed_restarts": 1,
        "own": 1,
        "seeds": 2,
    },
    "substitute": {"epochs": 1},
    "models": {
        "cnn": {"epochs": 2, "batch_size": 32},
        "binary_cnn": None,
        "madry": None,
        "nearest_neighbor": {},
        "abs": {},
        "binary_abs": None,
    },
}
KEPT_ATTACKS = {
    "fgm": {"doublings": 8},
    "salt_pepper": {"repetitions": 2},
    "gaussian_noise": {"repetitions": 1},
    "boundary": {"steps": 10, "trials": 1, "start_from": ["gaussian_noise"]},
    "newton": {
        "class": "foolbox.attacks.NewtonFoolAttack",
        "arguments": {"steps": 3},
        "norms": ["l2"],
        "models": ["cnn"],
        "label": "NewtonFool",
        "refine_steps": 5,
    },
}


@dataclass
class Workflow:
    """A copy of the checkout with its own results, and snakemake to run in it."""

    folder: Path

    def config(self, **changes) -> Path:
        """Write the tiny config, with `changes` laid over its top level, and return its path."""
        known = yaml.safe_load((self.folder / "config" / "config.yaml").read_text(encoding="utf-8"))[
            "attacks"
        ]
        attacks = {**dict.fromkeys(known), **KEPT_ATTACKS, **changes.pop("attacks", {})}
        path = self.folder / "tiny.yaml"
        path.write_text(yaml.safe_dump({**TINY, **changes, "attacks": attacks}), encoding="utf-8")
        return path

    def snakemake(
        self, *arguments: str, config: Path | None = None, cores: int = 2
    ) -> subprocess.CompletedProcess:
        """Run snakemake; both streams are returned together as stdout."""
        command = [sys.executable, "-m", "snakemake", "--cores", str(cores), *arguments]
        command += ["--configfile", str(config or self.config())]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        return subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def planned(self, *arguments: str, config: Path | None = None) -> set[str]:
        """The outputs that a dry run would make anew, relative to the run's folder."""
        done = self.snakemake("--dry-run", *arguments, config=config)
        assert done.returncode == 0, done.stdout
        lines = [line.strip() for line in done.stdout.splitlines()]
        outputs = [line.removeprefix("output:") for line in lines if line.startswith("output:")]
        return {path.strip().removeprefix("results/tiny/") for line in outputs for path in line.split(",")}


def copied(folder: Path) -> Workflow:
    """A copy of the project in a folder."""
    for name in ("Snakefile", "workflow", "scripts", "src", "config", "envs"):
        source, place = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, place)
    return Workflow(folder)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """A copy of the project in which nothing was run yet."""
    return copied(tmp_path_factory.mktemp("absynth"))


@pytest.fixture(scope="module")
def own_checkout(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """A copy for the tests of one module, which may add files to it."""
    return copied(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Workflow:
    """A workflow whose tiny run is complete. Tests must leave its results as they are.

    The run is made once, by the process of pytest-xdist that needs it first; each process has a copy of its own.
    """
    base = tmp_path_factory.getbasetemp()
    made = (base if worker_id == "master" else base.parent) / "finished"
    with FileLock(f"{made}.lock"):
        if not made.exists():
            new = made.with_name("unfinished")
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            done = copied(new).snakemake()
            assert done.returncode == 0, done.stdout
            new.rename(made)
    folder = tmp_path_factory.mktemp("finished") / "absynth"
    shutil.copytree(made, folder)
    return Workflow(folder)


@pytest.fixture
def copy(finished: Workflow, tmp_path: Path) -> Workflow:
    """A copy of the finished run with all time stamps, in a folder with a blank and a letter beyond ASCII."""
    shutil.copytree(finished.folder, tmp_path / "my cöpy")
    return Workflow(tmp_path / "my cöpy")


@pytest.fixture
def clone(tmp_path: Path) -> Workflow:
    """A new copy of the project, in which nothing was run."""
    (tmp_path / "clone").mkdir()
    return copied(tmp_path / "clone")
