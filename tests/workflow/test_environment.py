"""One set of pins: pyproject.toml, the constraints that set-up uses, and the conda environment agree."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from absynth.attacks.outside import LIBRARIES

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"[A-Za-z0-9_.-]+")


def pins(lines: list[str]) -> dict[str, str]:
    found = [line.split("==") for line in lines if "==" in line]
    return {NAME.match(name).group().lower(): version.strip() for name, version in found}


def constraints() -> dict[str, str]:
    return pins((ROOT / "envs" / "constraints.txt").read_text(encoding="utf-8").splitlines())


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def name_of(requirement: str) -> str:
    return NAME.match(requirement).group().lower()


def test_torch_is_pinned_exactly():
    assert constraints()["torch"] == "2.13.0"


@pytest.mark.parametrize("group", ["dependencies", "test", "docs", "cluster", "kubernetes"])
def test_every_requirement_is_pinned(group):
    optional = project()["optional-dependencies"]
    required = project()["dependencies"] if group == "dependencies" else optional[group]
    assert optional.keys() == {"test", "docs", "cluster", "kubernetes", "peers", *extras()}
    assert {name_of(requirement) for requirement in required} <= constraints().keys()


def extras() -> list[str]:
    """The extras of libraries whose attacks a config may name, as messages call them."""
    return [package.replace("_", "-") for package in LIBRARIES]


def test_libraries_of_attacks_are_pinned_and_no_other_set_up_installs_them():
    optional = project()["optional-dependencies"]
    for extra, distribution in zip(extras(), LIBRARIES.values(), strict=True):
        (requirement,) = optional[extra]
        assert re.fullmatch(rf"{distribution}==[\d.]+", requirement)
        assert distribution not in constraints()
    assert optional["peers"] == [f"absynth[{','.join(sorted(extras()))}]"]


def test_the_conda_environment_has_the_same_pins():
    environment = yaml.safe_load((ROOT / "envs" / "absynth.yaml").read_text(encoding="utf-8"))
    listed = pins(environment["dependencies"][-1]["pip"])
    assert listed.keys() == {name_of(requirement) for requirement in project()["dependencies"]}
    assert all(constraints()[name] == version for name, version in listed.items())


def test_hooks_run_what_make_lint_does():
    """Each before a commit, by pre-commit."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = re.search(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)[1].replace("$(BIN)", ".venv/bin")
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0][
        "hooks"
    ]
    assert [hook["entry"] for hook in hooks] == [line.strip() for line in commands.splitlines()]


def test_what_the_test_of_kubernetes_installs_is_its_extra():
    (line,) = re.findall(r"--target .venv/kubernetes (.*)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert line.split() == project()["optional-dependencies"]["kubernetes"]


@pytest.mark.parametrize("target", ["lint", "test-all", "docs"])
def test_every_change_must_pass(target):
    assert f"make {target}\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_every_rule_names_the_environment():
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        text = path.read_text(encoding="utf-8")
        assert text.count("    script:") == text.count('"../../envs/absynth.yaml"'), path
