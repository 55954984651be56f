"""A user's own model as its run keeps it: loaded anywhere, from copies of its weights and its code."""

import json
import logging
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from scripts.models.keep_model import main as keep_model
from torch import nn

import absynth
from absynth.errors import InputError

SOURCES = {
    "nets/net.py": """
import json
import kept_helpers as helpers
from torch import nn
from .layers import head

class Net(nn.Module):
    def __init__(self, n_classes=3):
        super().__init__()
        self.head = head(8, n_classes)

    def forward(self, x):
        import kept_late
        from nets import layers
        assert layers.head is head
        return kept_late.FACTOR * self.head(helpers.flat(x))
""",
    "nets/layers.py": "from torch.nn import Linear as head\n",
    "kept_helpers.py": "import nets.layers\n\ndef flat(x):\n    assert nets.layers.head\n    return x.flatten(1)\n",
    "kept_late.py": "FACTOR = 2\n",
}
X = torch.arange(16.0).view(2, 1, 2, 4) / 16
WHERE = Path(__file__).parents[2] / "src"


def kept_run(folder, changes=None, *, named="nets.net:Net", weights="net.pt"):
    """A run of a user's model, whose own files are deleted once it is kept; returns its folder and the weights."""
    here = folder / "here"
    for name, text in {**SOURCES, **(changes or {})}.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(text)
    torch.manual_seed(0)
    linear = nn.Linear(8, 3)
    torch.save({f"head.{name}": value for name, value in linear.state_dict().items()}, here / weights)
    model = folder / "run" / "models" / "mine"
    names = {**SOURCES, **(changes or {})}
    keep_model(
        manifest=model / "kept.json",
        kept=model / "kept",
        named={"class": named},
        files={"weights": str(here / weights)},
        modules={name: str(here / name) for name in names},
    )
    options = {"class": named, "weights": weights, "name": "mine", "arguments": {}}
    spec = {"builder": "absynth.models.custom:build_custom", "options": options, "weights": []}
    (model / "calibration.json").write_text(json.dumps({"model": spec}))
    for path in [*names, weights]:
        (here / path).unlink()
    return folder / "run", linear


@pytest.fixture
def run(tmp_path):
    return kept_run(tmp_path)


def test_a_kept_model_answers_as_its_weights_do(run):
    folder, linear = run
    x = X.clone().requires_grad_()
    logits = absynth.open_run(folder).load_model("mine")(x)
    torch.testing.assert_close(logits, 2 * linear(X.flatten(1)))
    logits.sum().backward()
    assert x.grad.abs().sum() > 0


def test_it_does_so_in_another_process_and_folder(run, tmp_path):
    code = (
        "import sys, torch, absynth; model = absynth.load_model(sys.argv[1], 'mine');"
        "print(model(torch.zeros(1, 1, 2, 4)).tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(run[0])],
        cwd=tmp_path, env={"PYTHONPATH": str(WHERE)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [pytest.approx((2 * run[1].bias).tolist())]


def test_modules_of_the_same_names_are_left_alone(run, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    (other / "kept_helpers.py").write_text("HERE = True\n")
    monkeypatch.syspath_prepend(str(other))
    import kept_helpers

    before = set(sys.modules)
    absynth.load_model(run[0], "mine")(X)
    assert sys.modules["kept_helpers"] is kept_helpers
    assert kept_helpers.HERE
    new = set(sys.modules) - before
    assert not {"nets", "kept_late"} & set(sys.modules)
    assert any(name.endswith(".kept_late") for name in new)


def test_models_of_two_runs_whose_code_differs_are_both_themselves(tmp_path):
    (tmp_path / "b").mkdir()
    first, linear = kept_run(tmp_path / "a")
    second, _ = kept_run(tmp_path / "b", {"kept_late.py": "FACTOR = 5\n"})
    models = [absynth.load_model(folder, "mine") for folder in (first, second)]
    for model, factor in zip(models, (2, 5), strict=True):
        torch.testing.assert_close(model(X), factor * linear(X.flatten(1)))


def test_opening_a_run_executes_nothing_of_it_and_loading_does(tmp_path):
    mark = tmp_path / "executed"
    code = f"open({str(mark)!r}, 'w').close()\n" + SOURCES["nets/layers.py"]
    folder, _ = kept_run(tmp_path, {"nets/layers.py": code})
    run = absynth.open_run(folder)
    repr(run)
    assert not mark.exists()
    run.load_model("mine")
    assert mark.exists()


def test_nothing_is_written_into_the_run(run):
    before = sorted(run[0].rglob("*"))
    absynth.load_model(run[0], "mine")(X)
    assert sorted(run[0].rglob("*")) == before


@pytest.mark.parametrize("name", ["weights.pt", "code/kept_helpers.py"])
def test_a_changed_copy_is_refused(run, name):
    path = run[0] / "models" / "mine" / "kept" / name
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(
        InputError, match=rf"{name}: not the file that was kept; delete .*kept\.json and rerun"
    ):
        absynth.load_model(run[0], "mine")


def test_a_lost_copy_is_named(run):
    (run[0] / "models" / "mine" / "kept" / "code" / "kept_late.py").unlink()
    with pytest.raises(InputError, match=r"kept_late\.py: no such file"):
        absynth.load_model(run[0], "mine")


def test_what_could_not_be_kept_is_said_when_it_is_kept_and_when_it_is_missed(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="absynth"):
        folder, _ = kept_run(tmp_path, {"nets/layers.py": "import gone_for_good\nimport h5py\nhead = 1\n"})
    assert "the module gone_for_good is not kept (imported by nets/layers.py, found nowhere)" in caplog.text
    manifest = json.loads((folder / "models" / "mine" / "kept.json").read_text())
    assert manifest["packages"] == {name: f"{name} {version(name)}" for name in ("torch", "h5py")}
    with pytest.raises(
        InputError,
        match=r"cannot be imported .*not found here, and not kept: gone_for_good \(imported by nets",
    ):
        absynth.load_model(folder, "mine")


def test_code_named_by_its_file_and_preprocessing_are_kept_too(tmp_path):
    front = (
        "from torch import nn\n\nclass Front(nn.Module):\n    def forward(self, x):\n        return 1 - x\n"
    )
    (tmp_path / "kept_front.py").write_text(front)
    folder, linear = kept_run(tmp_path)
    model = folder / "models" / "mine"
    options = json.loads((model / "calibration.json").read_text())["model"]["options"]
    own = {"preprocessing": f"{tmp_path}/kept_front.py:Front"}
    code = {path: model / "kept" / "code" / path for path in SOURCES}
    copies = {path: file.rename(tmp_path / path.replace("/", "_")) for path, file in code.items()}
    weights = (model / "kept" / "weights.pt").rename(tmp_path / "w.pt")
    keep_model(
        manifest=model / "kept.json",
        kept=model / "kept",
        named={"class": "nets.net:Net", "preprocessing": own["preprocessing"]},
        files={"weights": str(weights)},
        modules={**copies, "kept_front.py": tmp_path / "kept_front.py"},
    )
    spec = {"builder": "absynth.models.custom:build_custom", "options": {**options, **own}, "weights": []}
    (model / "calibration.json").write_text(json.dumps({"model": spec}))
    (tmp_path / "kept_front.py").unlink()
    logits = absynth.load_model(folder, "mine")(X)
    torch.testing.assert_close(logits, 2 * linear((1 - X).flatten(1)))


def test_an_installed_class_is_imported_as_it_is(tmp_path):
    folder, _ = kept_run(tmp_path, named="torch.nn.Linear")
    path = folder / "models" / "mine" / "calibration.json"
    content = json.loads(path.read_text())
    content["model"]["options"]["arguments"] = {"in_features": 4, "out_features": 3}
    path.write_text(json.dumps(content))
    with pytest.raises(
        InputError, match=r"weights\.pt: "
    ):  # those of another module: it was built, and by torch
        absynth.load_model(folder, "mine")


def test_a_run_without_a_copy_says_how_to_get_one(run):
    (run[0] / "models" / "mine" / "kept.json").unlink()
    with pytest.raises(
        InputError, match=r"keeps no copy of it; run the workflow again, which makes kept\.json"
    ):
        absynth.load_model(run[0], "mine")


def test_a_model_of_which_no_copy_is_kept_is_built_with_a_warning(tmp_path, caplog):
    folder, _ = kept_run(tmp_path, named="torch.nn.Linear")
    model = folder / "models" / "mine"
    content = json.loads((model / "calibration.json").read_text())
    torch.save(nn.Linear(4, 3).state_dict(), tmp_path / "own.pt")
    own = {"arguments": {"in_features": 4, "out_features": 3}, "weights": str(tmp_path / "own.pt")}
    content["model"]["options"] |= own
    (model / "calibration.json").write_text(json.dumps(content))
    (model / "kept.json").unlink()
    with caplog.at_level(logging.WARNING, logger="absynth"):
        absynth.load_model(folder, "mine")
    assert (
        "keeps no copy of the model, which is built from what is found here; run the workflow" in caplog.text
    )
