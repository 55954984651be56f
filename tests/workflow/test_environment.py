"""One set of pins: pyproject.toml, the constraints that set-up uses, and the conda environment agree."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"[A-Za-z0-9_.-]+")


def pins(lines: list[str]) -> dict[str, str]:
    found = [line.split("==") for line in lines if "==" in line]
    return {NAME.match(name).group().lower(): version.strip() for name, version in found}


def constraints() -> dict[str, str]:
    return pins((ROOT / "envs" / "constraints.txt").read_text(encoding="utf-8").splitlines())


def requirements() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["dependencies"] + project["optional-dependencies"]["test"]


def test_torch_is_pinned_exactly():
    assert constraints()["torch"] == "2.13.0"


def test_every_requirement_is_pinned():
    missing = {
        NAME.match(requirement).group().lower() for requirement in requirements()
    } - constraints().keys()
    assert not missing


def test_the_conda_environment_has_the_same_pins():
    environment = yaml.safe_load((ROOT / "envs" / "absynth.yaml").read_text(encoding="utf-8"))
    listed = pins(environment["dependencies"][-1]["pip"])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert listed.keys() == {
        NAME.match(requirement).group().lower() for requirement in project["dependencies"]
    }
    assert all(constraints()[name] == version for name, version in listed.items())


def test_every_rule_names_the_environment():
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        text = path.read_text(encoding="utf-8")
        assert text.count("    script:") == text.count('"../../envs/absynth.yaml"'), path
