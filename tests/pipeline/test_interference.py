"""Full disks, two runs at once, stale locks and bad configs: what a user is told, and how it goes on."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.workflow

SMALL = {
    "norms": ["l2"],
    "models": {
        "nearest_neighbor": {},
        "cnn": None,
        "binary_cnn": None,
        "madry": None,
        "abs": None,
        "binary_abs": None,
    },
    "attacks": {
        "fgm": {"doublings": 8},
        **dict.fromkeys(("salt_pepper", "gaussian_noise", "boundary")),
        "newton": {
            "class": "foolbox.attacks.NewtonFoolAttack",
            "norms": ["l2"],
            "models": ["nearest_neighbor"],
        },
    },
}
SHARDS = [f"attacks/nearest_neighbor/l2/fgm/{i}.h5" for i in (0, 1)]


def mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk(checkout):
    """The folder of the run `full`, on a disk of 4 MB."""
    folder = checkout.folder / "results" / "full"
    folder.mkdir(parents=True)
    if os.getuid() != 0 or not mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)):
        pytest.skip("only root can mount a small disk, where it may mount at all")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(disk) -> None:
    """Write until nothing more fits."""
    with (disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def reasons(output: str) -> set[str]:
    """What the jobs' logs complain of, without the time."""
    return {line.split(" ERROR ")[1] for line in output.splitlines() if " ERROR " in line}


def test_a_full_disk_is_named_and_the_run_goes_on_once_there_is_space(checkout, small_disk):
    config = checkout.config(**SMALL, run="full")
    first, second = (f"results/full/{shard}" for shard in SHARDS)
    assert checkout.snakemake(first, config=config).returncode == 0
    whole = (checkout.folder / first).read_bytes()
    fill(small_disk)
    done = checkout.snakemake(second, config=config)
    assert done.returncode != 0
    assert reasons(done.stdout) == {
        f"{second}: cannot be written (No space left on device); make space and run again"
    }
    assert "Traceback" not in done.stdout
    assert (checkout.folder / first).read_bytes() == whole
    assert not [path for path in small_disk.rglob(".*") if path.is_file()]
    (small_disk / "filler").unlink()
    done = checkout.snakemake(first, second, config=config)
    assert done.returncode == 0, done.stdout
    assert (checkout.folder / first).read_bytes() == whole
    assert mount("-o", "remount,ro", str(small_disk))
    done = checkout.snakemake(second, "--forcerun", second, config=config)
    assert mount("-o", "remount,rw", str(small_disk))
    assert done.returncode != 0
    assert "Write-protected output files" in done.stdout


def test_a_second_run_in_the_folder_is_told_of_the_first_and_a_stale_lock_is_lifted(checkout):
    config = checkout.config(**SMALL, run="locked")
    target = f"results/locked/{SHARDS[0]}"
    command = [sys.executable, "-m", "snakemake", "--cores", "1", target, "--configfile", str(config)]
    first = subprocess.Popen(
        command, cwd=checkout.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    locks = checkout.folder / ".snakemake" / "locks"
    try:
        while not (locks.exists() and any(locks.iterdir())):
            assert first.poll() is None
            time.sleep(0.02)
        first.send_signal(signal.SIGSTOP)  # so that it cannot end, and unlock, before the second has looked
        second = checkout.snakemake(target, "--rerun-incomplete", config=config)
        assert second.returncode != 0
        assert "Directory cannot be locked" in second.stdout
        assert "--unlock" in second.stdout
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    stale = checkout.snakemake(target, "--rerun-incomplete", config=config)
    assert "Directory cannot be locked" in stale.stdout
    unlock = [sys.executable, "-m", "snakemake", "--unlock"]
    assert subprocess.run(unlock, cwd=checkout.folder, check=False, capture_output=True).returncode == 0
    done = checkout.snakemake(target, "--rerun-incomplete", config=config)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("n_samples: .inf", "config key n_samples: found inf, allowed is a whole number"),
        ("rün: x", "config key rün: unknown; did you mean run?"),
        ("models: [cnn]", "config key models: found ['cnn'], allowed is a mapping"),
        ("seed: 99999999999999999999", "allowed is 4294967295 or less"),
        ("run: 'a\\tb'", "config key run: found"),
    ],
)
def test_a_bad_config_ends_in_one_line(checkout, tmp_path, text, found):
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    done = checkout.snakemake("--dry-run", config=path)
    assert done.returncode != 0
    said = [line for line in done.stdout.splitlines() if not line.startswith("Config file ")]
    assert len(said) == 1, done.stdout
    assert found in said[0]


def test_what_is_no_yaml_is_refused(checkout, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("models: {cnn: [", encoding="utf-8")
    done = checkout.snakemake("--dry-run", config=path)
    assert done.returncode != 0
    assert "Config file is not valid JSON or YAML" in done.stdout
    assert "Traceback" not in done.stdout
