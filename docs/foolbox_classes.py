"""Run every attack class of Foolbox on a small linear model, and write what came of it to docs/reference/foolbox.md.

python docs/foolbox_classes.py           # after an update of Foolbox; the tests compare, class by class
"""

import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import foolbox
import torch
from foolbox.attacks.base import Attack
from torch import Tensor, nn

from absynth.attacks.foolbox.bridge import foolbox_attack
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.errors import InputError
from absynth.norms import NORMS

PAGE = Path(__file__).parent / "reference" / "foolbox.md"
N, SIZE, CLASSES = 5, 28, 10
_TABLE = re.compile(r"(?P<begin><!-- foolbox: begin -->\n).*?(?P<end><!-- foolbox: end -->)", re.DOTALL)

# Few steps, for the classes that have such arguments, and what some classes cannot be made without.
FEWER = {
    **{"steps": 10, "binary_search_steps": 2, "max_directions": 5, "directions": 5, "repeats": 5},
    **{"initial_gradient_eval_steps": 5, "max_gradient_eval_steps": 5},
}
NOT_RUN = "BrendelBethge"  # numba compiles it for half a minute
NEEDED = {"VirtualAdversarialAttack": {"steps": 10}}


@dataclass(frozen=True)
class Outcome:
    """What came of one class.

    norms: those in which it can be built; found: images with an adversarial in the first of them, None if there is no
    norm, or it is not run; queries: the smallest number that any image was asked for; reasons: why the other norms
    are refused
    """

    norms: tuple[str, ...]
    found: int | None
    queries: int
    reasons: tuple[str, ...]


class Linear(nn.Module):
    """Logits w_c · (x − ½)."""

    def __init__(self) -> None:
        super().__init__()
        weight = torch.randn(CLASSES, SIZE * SIZE, generator=torch.Generator().manual_seed(0))
        self.weight = nn.Parameter(weight / SIZE, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return (x.flatten(1) - 0.5) @ self.weight.T


def attacked() -> Target:
    """A linear model and N images at different distances from the boundary, in l2 until it is told otherwise."""
    model = Linear().eval()
    y = torch.arange(N)
    unit = nn.functional.normalize(model.weight)
    x = 0.5 + torch.linspace(0.5, 1.5, N)[:, None] * (unit[y] + 0.5 * unit[y + 1])
    return Target(model, x.view(N, 1, SIZE, SIZE).clamp(0, 1), y, "l2")


def every_class() -> dict[str, Mapping[str, Any]]:
    """The attack classes that Foolbox has, by import path, and arguments with few steps."""
    found = {}
    for module in pkgutil.iter_modules(foolbox.attacks.__path__, "foolbox.attacks."):
        for name, kind in vars(importlib.import_module(module.name)).items():
            if inspect.isclass(kind) and issubclass(kind, Attack) and kind.__module__ == module.name:
                known = inspect.signature(kind).parameters
                fewer = {argument: value for argument, value in FEWER.items() if argument in known}
                found[f"{module.name}.{name}"] = NEEDED.get(name, {}) | fewer
    return found


def outcome(class_path: str, arguments: Mapping[str, Any]) -> Outcome:
    """Build a class in each norm, and run it in the first in which that succeeds."""
    built, reasons = {}, []
    for norm in NORMS:
        try:
            built[norm] = foolbox_attack(
                norm, class_path=class_path, arguments=arguments, doublings=4, bisections=1
            )
        except InputError as error:
            reasons.append(str(error).removeprefix(f"{class_path}: ").partition(", which is not the norm")[0])
    if not built:
        return Outcome((), None, 0, tuple(dict.fromkeys(reasons)))
    norm, attack = next(iter(built.items()))
    if NOT_RUN in class_path:
        return Outcome(tuple(built), None, 0, ())
    clean = attacked()
    target = Target(clean.model, clean.x, clean.y, norm)
    attack(target, SampleRandom(0, "foolbox", range(N), target.x.device))
    found = int(target.best_distance.isfinite().sum())
    return Outcome(tuple(built), found, int(target.queries.min()), tuple(dict.fromkeys(reasons)))


def row(class_path: str, result: Outcome) -> str:
    """One line of the table."""
    name = class_path.removeprefix("foolbox.attacks.")
    norms = ", ".join(NORMS[norm].title for norm in result.norms)
    if not result.norms:
        return f"| `{name}` | – | refused | {'; '.join(result.reasons)} |"
    if result.found is None:
        return f"| `{name}` | {norms} | not run | numba compiles it for half a minute |"
    return f"| `{name}` | {norms} | {result.found} of {N} | |"


def rows_on_page() -> dict[str, str]:
    """The lines of the table as they stand in the page, by class."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    return {f"foolbox.attacks.{line.split('`')[1]}": line for line in lines}


def main() -> None:
    """Write the table anew."""
    head = ["| class | norms | found | why it is refused or not run |", "|---|---|---|---|"]
    rows = []
    for class_path, arguments in every_class().items():
        rows.append(row(class_path, outcome(class_path, arguments)))
        print(rows[-1], file=sys.stderr)
    lines = [f"Foolbox {version('foolbox')}, torch {version('torch').partition('+')[0]}.", "", *head, *rows]
    table = "\n".join(lines)
    text = _TABLE.sub(lambda block: f"{block['begin']}\n{table}\n\n{block['end']}", PAGE.read_text("utf-8"))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
