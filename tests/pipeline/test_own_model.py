"""A user's own model, in modules beside the Snakefile that are called as modules of classifiers usually are."""

import pytest
import torch
from torch import nn

pytestmark = pytest.mark.workflow

# None of these names may be taken by a module of this project.
FILES = {
    "models.py": """
from torch import nn
from attack import LOGITS
from data import PIXELS
from nets.layers import head
from report import scale
from workflow.blocks import flat

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = head(PIXELS, LOGITS)

    def forward(self, x):
        return scale(self.head(flat(x)))
""",
    "attack.py": "LOGITS = 10\n",
    "data.py": "PIXELS = 28 * 28\n",
    "report.py": "def scale(logits):\n    return 2 * logits\n",
    "workflow/blocks.py": "def flat(x):\n    return x.flatten(1)\n",
    "nets/layers.py": "from .parts import Linear as head\n",
    "nets/parts.py": "from torch.nn import Linear\n",
    "unused.py": "X = 1\n",
}
SMALL = {
    "run": "own",
    "norms": ["l2"],
    "models": {
        "mine": {"class": "models.Net", "weights": "net.pt", "label": "Mine"},
        "nearest_neighbor": {},
        **dict.fromkeys(("cnn", "binary_cnn", "madry", "binary_abs", "abs")),
    },
    "attacks": {
        "fgm": {"doublings": 4},
        "newton": {
            "class": "foolbox.attacks.NewtonFoolAttack",
            "arguments": {"steps": 2},
            "norms": ["l2"],
            "models": ["nearest_neighbor"],
        },
        **dict.fromkeys(("salt_pepper", "gaussian_noise", "boundary")),
    },
}
TARGETS = ["results/own/tables/verification.csv", "results/own/distal/mine.h5"]


@pytest.fixture(scope="module")
def attacked(own_checkout):
    """A finished run of the user's model and another."""
    folder = own_checkout.folder
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    torch.manual_seed(0)
    linear = nn.Linear(28 * 28, 10)
    torch.save({f"head.{name}": value for name, value in linear.state_dict().items()}, folder / "net.pt")
    done = own_checkout.snakemake(*TARGETS, config=own_checkout.config(**SMALL))
    assert done.returncode == 0, done.stdout
    return own_checkout


def planned(attacked, **changes) -> set[str]:
    outputs = attacked.planned(*TARGETS, config=attacked.config(**{**SMALL, **changes}))
    return {path.removeprefix("results/own/") for path in outputs}


BUILT_FROM_IT = {
    "models/mine/probe.json",
    "models/mine/calibration.json",
    "attacks/mine/l2/fgm/0.h5",
    "attacks/mine/l2/fgm/1.h5",
    "minimal/mine/l2.h5",
    "minimal/mine/l2.csv",
    "verification/mine/l2.csv",
    "distal/mine.h5",
    "tables/verification.csv",
}


def test_a_finished_run_has_nothing_left_to_do(attacked):
    assert planned(attacked) == set()


@pytest.mark.parametrize("name", FILES)
def test_an_edit_reruns_what_is_built_from_it_and_nothing_else(attacked, name):
    path = attacked.folder / name
    before = path.read_text(encoding="utf-8")
    try:
        path.write_text(before + "\n# edited\n", encoding="utf-8")
        assert planned(attacked) == (set() if name == "unused.py" else BUILT_FROM_IT)
    finally:
        path.write_text(before, encoding="utf-8")


def test_a_touch_reruns_nothing(attacked):
    (attacked.folder / "nets" / "parts.py").touch()
    assert planned(attacked) == set()


def test_a_module_that_is_not_valid_python_ends_in_one_line(attacked):
    path = attacked.folder / "report.py"
    before = path.read_text(encoding="utf-8")
    try:
        path.write_text("def scale(logits:\n", encoding="utf-8")
        done = attacked.snakemake("--dry-run", *TARGETS, config=attacked.config(**SMALL))
    finally:
        path.write_text(before, encoding="utf-8")
    assert done.returncode != 0
    assert "report.py, line 1: not valid Python (" in done.stdout
    assert "Traceback" not in done.stdout
