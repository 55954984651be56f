"""What becomes of a command line: absynth's own words, Snakemake's, and values."""

import pytest

from absynth.cli.arguments import config_entries, mapping
from absynth.cli.main import main
from absynth.cli.others import check_plan, runs, split
from absynth.errors import InputError

OWN = ("--data", "--images", "-c")


@pytest.mark.parametrize(
    ("line", "ours", "others"),
    [
        ("my.py:Net w.pt --data mnist", "my.py:Net w.pt --data mnist", ""),
        ("--executor slurm my.py:Net --data d", "my.py:Net --data d", "--executor slurm"),
        ("-n my.py:Net --images 5", "my.py:Net --images 5", "-n"),
        (
            "my.py:Net --resources gpu=1 mem_mb=9 --data d -p",
            "my.py:Net --data d",
            "--resources gpu=1 mem_mb=9 -p",
        ),
        ("my.py:Net --latency-wait=9 w.pt", "my.py:Net w.pt", "--latency-wait=9"),
        ("my.py:Net -c4 -j4 w.pt", "my.py:Net -c 4 w.pt", "-j 4"),
        ("my.py:Net -npk -qrules", "my.py:Net", "-n -p -k -q rules"),
        ("my.py:Net --mean -0.5", "my.py:Net --mean -0.5", ""),
    ],
)
def test_what_absynth_does_not_know_goes_to_snakemake_with_its_values(line, ours, others):
    assert split(line.split(), (*OWN, "--mean")) == (ours.split(), others.split())


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("--image", "--image: unknown to absynth and to Snakemake; did you mean --images?"),
        ("--snakefile", "the workflow is that of this project"),
        ("-d", "results go to the folder"),
        ("-d/elsewhere", "results go to the folder"),
        ("-n!", "-!: unknown to absynth and to Snakemake"),
        ("--configfile=a.yaml", "absynth's own --config"),
    ],
)
def test_options_that_neither_knows_or_absynth_sets_are_refused(word, said):
    with pytest.raises(InputError) as raised:
        split(["my.py:Net", word, "5"], OWN)
    assert said in str(raised.value)


def test_whether_jobs_run():
    assert runs(["--resources", "gpu=1"])
    assert not runs(["-n"])
    assert not runs(["--report=x.html"])


def test_a_plan_takes_options_that_leave_the_list_of_jobs():
    check_plan(["--dry-run", "--resources", "gpu=1", "-p", "--forceall"])


def test_values_have_types():
    found = mapping(["width=16", "lr=1e-3", "bias=false", "sizes=[1, 2]", "name=a b", "none=null"], "--x")
    assert found == {"width": 16, "lr": 0.001, "bias": False, "sizes": [1, 2], "name": "a b", "none": None}


@pytest.mark.parametrize(
    ("entries", "said"), [(["width"], "KEY=VALUE"), (["a=1", "a=2"], "twice"), (["=3"], "KEY=VALUE")]
)
def test_entries_that_say_nothing_are_refused(entries, said):
    with pytest.raises(InputError, match=said):
        mapping(entries, "--model-args")


def test_config_is_a_file_and_changes(tmp_path):
    file = tmp_path / "c.yaml"
    file.touch()
    assert config_entries([str(file), "seed=3"]) == (str(file), ["seed=3"])
    assert config_entries(["seed=3"]) == (None, ["seed=3"])
    with pytest.raises(InputError, match="is no file, and no KEY=VALUE"):
        config_entries(["nowhere.yaml"])
    with pytest.raises(InputError, match="one is allowed"):
        config_entries([str(file), "other.yaml"])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("evaluate", "a model and --data are needed"),
        ("evaluate my.module:Net --data nowhere", "--data: found 'nowhere'"),
        ("plan my_models.py --data digits", "for a model, allowed are my_models.py:Net"),
        ("plan my_models.py:Net --data digits", "my_models.py is no file"),
        ("plan -q rules --config a=1", "-q: changes what Snakemake says"),
        ("plan --config a=1 --quiet", "--quiet: changes what Snakemake says"),
        ("plan --summary", "--summary: changes what Snakemake says"),
        ("plan --dag", "--dag: changes what Snakemake says"),
        ("plan --unlock", "--unlock: changes what Snakemake says"),
        ("evaluate my.module:Net --data digits --norms L2", "--norms: invalid choice: 'L2' (choose from "),
        (
            "evaluate my.module:Net --data digits --images few",
            "--images: found 'few', a number of images, 1 or more",
        ),
        (
            "evaluate my.module:Net --data d.npz --n-classes 1",
            "--n-classes: found '1', a number of classes, 2 or more",
        ),
        ("compare", "the following arguments are required: RUN; see absynth compare --help"),
        ("show nothing", "nothing: no run here and none in results/; there is none"),
        ("compare a b", "a: no run here"),
        ("evaluate --config nowhere.yaml", "nowhere.yaml is no file"),
    ],
)
def test_bad_input_ends_in_one_line_and_exit_code_2(line, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"absynth {line.split()[0]}: ")
    assert said in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("line", ["", "evalaute my.module:Net"])
def test_a_command_that_there_is_not_ends_in_one_line_as_well(line, capsys):
    assert main(line.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith("absynth: ")
    assert "COMMAND" in said
    assert said.count("\n") == 1


def test_a_package_without_the_workflow_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ABSYNTH_WORKFLOW", str(tmp_path))
    (tmp_path / "my_models.py").write_text("Net = None")
    assert main(["plan", "my_models.py:Net", "--data", "digits"]) == 2
    assert f"{tmp_path} holds no workflow: that is part of a checkout" in capsys.readouterr().err


def test_every_command_explains_itself(capsys):
    for command in ("evaluate", "plan", "show", "compare"):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        assert f"absynth {command}" in capsys.readouterr().out
