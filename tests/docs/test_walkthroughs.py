"""docs/walkthroughs.md: its files are written, its commands typed, and what they say is what the page shows.

Numbers and the order of jobs depend on the machine, so each line shown must come, by its first words, whatever its
numbers.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from absynth.attacks.foreign.build import ADAPTERS
from absynth.attacks.foreign.library import import_library
from absynth.attacks.outside import LIBRARIES
from absynth.errors import InputError

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "walkthroughs.md").read_text(encoding="utf-8")
FILE = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.M | re.S)
SESSION = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)
LEFT_OUT = "…"
WORDS = 3  # of a line, that must be the same


@dataclass(frozen=True)
class Command:
    text: str
    shown: tuple[str, ...]

    @property
    def peers(self) -> bool:
        return "peers" in self.text


def commands() -> list[Command]:
    found = []
    for session in SESSION.findall(PAGE):
        for part in re.split(r"^\$ ", session, flags=re.M)[1:]:
            text, *shown = part.rstrip("\n").splitlines()
            found.append(Command(text, tuple(line for line in shown if line.strip() not in ("", LEFT_OUT))))
    return found


def run(command: Command, folder: Path) -> list[str]:
    """The lines that a command prints, where a reader would have activated the environment."""
    path = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        ["bash", "-c", command.text], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    refused = any(line.startswith("absynth evaluate: ") for line in command.shown)
    assert bool(done.returncode) is refused, f"{command.text}:\n{done.stdout}"
    return done.stdout.splitlines()


def key(line: str) -> list[str]:
    """The first words of a line, their numbers left out."""
    return [re.sub(r"[\d.]+", "#", word) for word in line.split()[:WORDS]]


def missing(command: Command, printed: list[str]) -> list[str]:
    """The lines shown that do not come in what was printed."""
    known = [key(line) for line in printed]
    return [line for line in command.shown if key(line) not in known]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's folder with the files of the page, in which `absynth` is a command."""
    made = tmp_path_factory.mktemp("walkthroughs")
    for title, text in FILE.findall(PAGE):
        (made / title).write_text(text, encoding="utf-8")
    (made / "bin").mkdir()
    script = made / "bin" / "absynth"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m absynth "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return made


@pytest.fixture(scope="module")
def followed(folder):
    """What each command printed that needs no library of others."""
    return folder, [(command, run(command, folder)) for command in commands() if not command.peers]


@pytest.mark.slow
@pytest.mark.workflow
def test_the_commands_say_what_the_page_shows(followed):
    _, said = followed
    assert len(said) >= 7
    for command, printed in said:
        assert not missing(command, printed), "\n".join([command.text, *printed])


def test_a_line_that_is_not_said_is_missed():
    shown = Command("", ("Net  L2  20  0.5", "Net  L∞  20"))
    assert missing(shown, ["…", "Net L2 19 0.7 more", "Net  L∞   5"]) == []
    assert missing(shown, ["Net  L∞  20", "net  L2  20"]) == ["Net  L2  20  0.5"]


@pytest.mark.slow
@pytest.mark.workflow
@pytest.mark.peers
def test_attacks_of_other_libraries_say_what_the_page_shows(followed):
    for package, (catalogue, _) in ADAPTERS.items():
        try:
            version(LIBRARIES[package])
            import_library(package, catalogue.folder)
        except (PackageNotFoundError, InputError) as error:
            pytest.skip(f"{LIBRARIES[package]} cannot be used here: {error}")
    folder, _ = followed
    for command in filter(lambda command: command.peers, commands()):
        printed = run(command, folder)
        assert not missing(command, printed), "\n".join([command.text, *printed])
