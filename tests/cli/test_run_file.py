"""The config that `absynth evaluate` writes for a run, and what it adds later."""

import pytest
from configs import SCHEMAS

from absynth.cli import run_file
from absynth.cli.main import _parsers
from absynth.cli.run_file import attacks, epsilon_sizes, run_path, settled, write
from absynth.cli.workflow_process import Call
from absynth.errors import InputError
from absynth.workflow.config_files import read_config
from absynth.workflow.presets import read_preset
from absynth.workflow.shards import shard_spans

FIRST = "my_models.py:Net w.pt --data digits --images 20 --norms linf l2 --preset quick --name mine"


def options(line):
    return _parsers()[1]["evaluate"].parse_args(line.split())


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_models.py").write_text("class Net: ...\nclass Other: ...\n")
    for name in ("w.pt", "v.pt", "whole-net.pt2", "net.pt", "net.pth", "net.ts"):
        (tmp_path / name).touch()
    return tmp_path


def made(line=FIRST):
    """The config of a first call, written."""
    path, config = settled(options(line))
    write(path, config)
    return path, config


def test_a_first_call_makes_a_config_that_the_workflow_takes(folder):
    path, config = made()
    assert path.as_posix() == "results/mine/config.yaml"
    assert read_config(path) == config == {
        "run": "mine",
        "dataset": "digits",
        "n_samples": 20,
        "norms": ["l2", "linf"],
        "attacks": "quick",
        "threads": {"train": 1, "calibrate": 1, "attack": 1},
        "models": {"only": True, "Net": {"class": "my_models.py:Net", "weights": "w.pt"}},
    }  # fmt: skip
    plan = Call(path, [], "1", []).plan()
    assert list(plan.models) == ["Net"]
    assert plan.splits == ["test"]
    assert plan.attacks_on("Net", "linf") == ["fmn", "boundary_descent", "hop_skip_jump"]


def test_without_words_the_usual_is_asked_for():
    _, config = settled(options("my_models.py:Net w.pt --data digits"))
    assert (config["run"], config["n_samples"], config["attacks"]) == ("Net-digits", 100, "standard")
    assert config["norms"] == ["l2", "linf", "l0"]


def test_a_second_call_adds_to_the_run():
    path, first = made()
    line = "my_models.py:Net w.pt --data digits --images 40 --norms l0 --preset strong --name mine"
    line += " --epsilons linf=8/255"
    same, config = settled(options(line))
    assert same == path
    assert config["n_samples"] == 40
    assert config["norms"] == ["l2", "linf", "l0"]
    assert config["attacks"] == "strong"
    assert config["epsilons"] == {"linf": 8 / 255}
    assert config["models"] == first["models"]


def test_a_run_of_few_images_grows_in_shards_of_the_usual_size():
    path, _ = made(FIRST.replace("--images 20", "--images 10"))
    write(path, settled(options(FIRST.replace("--images 20", "--images 200")))[1])
    assert shard_spans(Call(path, [], "1", []).plan().config) == [(0, 100), (100, 200)]
    path, config = made()
    write(path, {**config, "images_per_shard": 7})
    assert settled(options(FIRST))[1]["images_per_shard"] == 7


def test_fewer_images_and_weaker_presets_take_nothing_away():
    path, _ = made(FIRST.replace("quick", "standard"))
    (path.parent / "data").mkdir()
    (path.parent / "data" / "test.h5").touch()
    _, config = settled(options(FIRST.replace("20", "5")))
    assert (config["n_samples"], config["attacks"]) == (20, "standard")


def test_a_number_of_images_that_the_data_do_not_have_is_corrected_by_the_next_call():
    """The first call wrote it down, and ended before anything was taken from the data."""
    made(FIRST.replace("20", "5000"))
    assert settled(options(FIRST))[1]["n_samples"] == 20
    assert settled(options(FIRST.replace("--images 20 ", "")))[1]["n_samples"] == 5000


def test_what_was_edited_stays():
    path, config = made()
    config["seed"], config["models"]["Net"]["label"] = 7, "My net"
    write(path, config)
    assert settled(options(FIRST))[1] == config


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"models": None}, "config key models: found None"),
        ({"models": {"only": True, "Net": 5}}, "config key models.Net: found 5"),
        ({"n_samples": "5"}, "config key n_samples: found '5'"),
        ({"norms": "l2"}, "config key norms: found 'l2'"),
        ({"norms": ["l3"]}, "config key norms.0: found 'l3'"),
        ({"epsilons": None}, "config key epsilons: found None"),
        ({"attacks": 5}, "attacks"),
        ({"attacks": [["quick"]]}, "attacks"),
        ({"threads": 2}, "config key threads: found 2"),
        ({"images": 2}, "config key images: unknown"),
    ],
)
def test_an_edited_config_is_checked_before_it_is_added_to(edit, said):
    path, config = made()
    write(path, {**config, **edit})
    before = path.read_text()
    with pytest.raises(InputError) as raised:
        settled(options(FIRST))
    assert str(raised.value).startswith(f"{path}: ")
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert path.read_text() == before


def probed(name="Net", run="mine"):
    """Leave what the probe of a model leaves that has passed."""
    probe = run_path(run).parent / "models" / name / "probe.json"
    probe.parent.mkdir(parents=True)
    probe.touch()


def prepared(run="mine"):
    """Leave the test split."""
    (run_path(run).parent / "data").mkdir()
    (run_path(run).parent / "data" / "test.h5").touch()


def test_a_second_model_joins_the_run_under_a_name_of_its_own():
    made()
    probed()
    with pytest.raises(
        InputError,
        match=r"run mine has a model Net with weights 'w.pt', found 'v.pt'; .*--as .* edit results/mine/config\.yaml",
    ):
        settled(options(FIRST.replace("w.pt", "v.pt")))
    _, config = settled(options(FIRST.replace("w.pt", "v.pt") + " --as retrained"))
    assert list(config["models"]) == ["only", "Net", "retrained"]


@pytest.mark.parametrize(
    ("slip", "told"),
    [
        (FIRST.replace(" w.pt", ""), "models.Net was {'class': 'my_models.py:Net'}, and is now"),
        (FIRST + " --model-args widht=8", "was {'class': 'my_models.py:Net', 'weights': 'w.pt', 'arguments'"),
        (FIRST + " --mean 0.5 --std 1", "'preprocessing': {'mean': [0.5], 'std': [1.0]}}, and is now"),
        (FIRST.replace(":Net", ":net"), "models.net was {'class': 'my_models.py:net'"),
    ],
    ids=["weights", "arguments", "normalisation", "class"],
)
def test_a_call_that_failed_at_once_is_put_right_by_the_next(slip, told, capsys):
    right = settled(options(FIRST))[1]
    made(slip)
    assert settled(options(FIRST))[1] == right
    said = capsys.readouterr().err
    assert said.startswith("results/mine/config.yaml: models.")
    assert told in said
    assert said.count("\n") == 1


def test_of_two_spellings_the_one_that_was_probed_stays():
    made(FIRST.replace(":Net", ":net"))
    probed("net")
    assert list(settled(options(FIRST))[1]["models"]) == ["only", "net", "Net"]


def test_other_data_and_runs_made_otherwise_are_refused(folder):
    made()
    prepared()
    said = r"--data: run mine is on digits, found mnist; .*--name, or edit results/mine/config\.yaml"
    with pytest.raises(InputError, match=said):
        settled(options(FIRST.replace("digits", "mnist")))
    (folder / "results" / "other").mkdir()
    with pytest.raises(InputError, match=r"a run without config\.yaml"):
        settled(options(FIRST.replace("mine", "other")))


def test_data_that_were_not_read_may_be_replaced(capsys):
    made(FIRST.replace("digits", "my_data.py:load") + " --data-args sied=3")
    line = FIRST.replace("digits", "my_data.py:load")
    assert settled(options(line))[1]["dataset"] == {"load": "my_data.py:load"}
    assert "dataset was {'load': 'my_data.py:load', 'arguments': {'sied': 3}}" in capsys.readouterr().err
    assert settled(options(FIRST))[1]["dataset"] == "digits"


def test_a_run_that_is_there_needs_neither_model_nor_data():
    _, first = made()
    _, config = settled(options("--name mine --images 40"))
    assert config == {**first, "n_samples": 40}
    _, config = settled(options("my_models.py:Other v.pt --name mine"))
    assert (config["dataset"], list(config["models"])) == ("digits", ["only", "Net", "Other"])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--name mien", "a model and --data are needed: .*; there is no run mien"),
        ("my_models.py:Net --name mien", "a model and --data are needed"),
        ("--name mine --mean 0.5", "--mean: says more of MODEL"),
        ("--name mine --keys x y", "--keys: says more of --data"),
        ("--name mine --n-classes 5", "--n-classes: states the classes of data of your own, .* is digits"),
    ],
)
def test_what_neither_call_nor_run_names_is_asked_for(line, said):
    made()
    with pytest.raises(InputError, match=said):
        settled(options(line))


def test_classes_may_be_stated_until_a_model_was_probed(folder):
    (folder / "pictures").mkdir()
    made(FIRST.replace("digits", "pictures"))
    prepared()
    line = FIRST.replace("digits", "pictures") + " --n-classes 5"
    expected = {"folder": "pictures", "test": ".", "n_classes": 5}
    assert settled(options(line))[1]["dataset"] == expected
    assert settled(options("--name mine --n-classes 5"))[1]["dataset"] == expected
    with pytest.raises(InputError, match="--data: run mine is on"):
        settled(options(line.replace("pictures", "mnist").replace(" --n-classes 5", "")))
    probed()
    with pytest.raises(InputError, match="--data: run mine is on"):
        settled(options(line))


@pytest.mark.parametrize(
    ("line", "name", "entry"),
    [
        *((f"net{suffix}", "net", {"program": f"net{suffix}"}) for suffix in (".pt", ".pth", ".ts")),
        ("whole-net.pt2", "whole_net", {"program": "whole-net.pt2"}),
        ("package.models:make", "make", {"class": "package.models:make"}),
        (
            "my_models.py:Net w.pt --mean 0.5 --std 0.25 0.2 0.1 --model-args width=8 --model-keys gradients=false",
            "Net",
            {
                "class": "my_models.py:Net",
                "weights": "w.pt",
                "arguments": {"width": 8},
                "preprocessing": {"mean": [0.5], "std": [0.25, 0.2, 0.1]},
                "gradients": False,
            },
        ),
    ],
)
def test_models_of_all_kinds(line, name, entry):
    assert run_file.model_entry(options(line)) == (name, entry)


@pytest.mark.parametrize(
    ("line", "said"),
    [("Net", "for a model"), ("x.py:Net", "x.py is no file"), ("my_models.py:Net u.pt", "u.pt is no file"),
     ("whole-net.pt2 w.pt", "a program, which has its weights")],
)  # fmt: skip
def test_models_that_cannot_be_are_refused(line, said):
    with pytest.raises(InputError, match=said):
        run_file.model_entry(options(line))


@pytest.mark.parametrize(
    ("known", "presets", "found"),
    [
        ([], [], "standard"),
        ([], ["quick", "autoattack"], ["quick", "autoattack"]),
        ("quick", ["autoattack"], ["quick", "autoattack"]),
        ("strong", ["standard"], "strong"),
        (["quick", "autoattack"], ["strong"], ["autoattack", "strong"]),
        ({"preset": "quick", "ddn": None}, ["standard"], {"preset": "standard", "ddn": None}),
        ({"ddn": {}}, [], {"ddn": {}}),
    ],
)
def test_presets_add_up(known, presets, found):
    assert attacks(known, presets) == found


def test_of_the_three_presets_each_has_the_attacks_of_the_one_before():
    quick, standard, strong = (
        set(read_preset(name, SCHEMAS)["attacks"]) for name in ("quick", "standard", "strong")
    )
    assert quick <= standard <= strong


@pytest.mark.parametrize("entry", [{"l3": 1}, {"l2": "a"}, {"l2": "1/0"}, {"l2": -1}])
def test_epsilons_that_are_none_are_refused(entry):
    with pytest.raises(InputError, match="--epsilons: found"):
        epsilon_sizes(entry)


def test_a_data_set_may_say_more_in_the_file_than_on_the_command_line(folder):
    (folder / "pictures").mkdir()
    line = FIRST.replace("digits", "pictures")
    path, config = made(line)
    config["dataset"]["n_classes"] = 12
    write(path, config)
    assert settled(options(line))[1]["dataset"]["n_classes"] == 12
