"""A real Slurm of one node on this machine, with two GPUs that are character devices, for the life of a test."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

CONFIG = Path("/etc/slurm/slurm.conf")  # where a job step looks for it, which is not told another place
GPUS = 2
_SLURM_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={node_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog={folder}/prolog
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,batch_sched_delay=0
MpiDefault=none
ReturnToService=2
GresTypes=gpu
SlurmdParameters=config_overrides
MinJobAge=3600
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=64000 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Why no Slurm can be started here, or None."""
    if os.getuid() != 0:
        return "only root can start a Slurm"
    programs = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if not shutil.which(name)]
    if programs:
        return f"{programs[0]} is not installed (apt-get install slurm-wlm munge)"
    if CONFIG.exists():
        return f"{CONFIG} exists: this machine has a Slurm of its own"
    return None


@contextmanager
def slurm() -> Iterator[Path]:
    """Run the daemons; yields the file in which each task notes its job and the GPUs made visible to it."""
    with ExitStack() as stack:
        # munged wants no folder above its own that others may write to, as /tmp is.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-", dir="/run")))
        folder.chmod(0o755)
        _write_files(folder)
        stack.callback(CONFIG.unlink, missing_ok=True)
        stack.callback(CONFIG.with_name("gres.conf").unlink, missing_ok=True)
        _daemon(stack, "munged", "--foreground", "--key-file", folder / "munge/key", "--socket",
                folder / "munge/socket", "--pid-file", folder / "munge/pid", "--seed-file", folder / "munge/seed",
                "--log-file", folder / "munge/log")  # fmt: skip
        _wait(lambda: (folder / "munge/socket").exists(), folder / "munge/log")
        _daemon(stack, "slurmctld", "-D", "-c")
        _daemon(stack, "slurmd", "-D", "-N", _host())
        _wait(_ready, folder / "slurmctld.log", folder / "slurmd.log")
        yield folder / "visible"


def _write_files(folder: Path) -> None:
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(mode=0o755)
    (folder / "munge/key").write_bytes(os.urandom(128))
    (folder / "munge/key").chmod(0o400)
    prolog = folder / "prolog"
    prolog.write_text(
        f'#!/bin/sh\necho "$SLURM_JOB_ID ${{CUDA_VISIBLE_DEVICES:-none}}" >> {folder}/visible\n'
    )
    prolog.chmod(0o755)
    lines = []
    for i in range(GPUS):
        os.mknod(folder / f"nvidia{i}", 0o20666, os.makedev(1, 3))
        lines.append(f"Name=gpu File={folder}/nvidia{i}\n")
    CONFIG.parent.mkdir(exist_ok=True)
    CONFIG.with_name("gres.conf").write_text("".join(lines))
    port = 20000 + os.getpid() % 20000
    text = _SLURM_CONF.format(folder=folder, host=_host(), port=port, node_port=port + 1, gpus=GPUS)
    CONFIG.write_text(text)


def _host() -> str:
    return os.uname().nodename.partition(".")[0]


def _daemon(stack: ExitStack, *command: str | Path) -> None:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def end() -> None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    stack.callback(end)


def _ready() -> bool:
    done = subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True, check=False)
    return done.stdout.strip() == "idle"


def _wait(condition, *logs: Path) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            said = [path.read_text()[-1500:] for path in logs if path.exists()]
            raise RuntimeError("Slurm did not start:\n" + "\n".join(said))
        time.sleep(0.2)
