"""A real Slurm of one node on this machine, with two GPUs that are character devices, for the life of a test.

With accounts, Slurm's own database server and a MariaDB behind it run too.
"""

import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

CONFIG = Path("/etc/slurm/slurm.conf")  # where a job step looks for it, which is not told another place
GPUS = 2
_SLURM_CONF = """\
# of a test of absynth, process {process}
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
{accounting}
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,batch_sched_delay=0
MpiDefault=none
ReturnToService=2
GresTypes=gpu
SlurmdParameters=config_overrides
MinJobAge={min_job_age}
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=64000 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
_NO_ACCOUNTS = "AccountingStorageType=accounting_storage/none"
_ACCOUNTS = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge/socket
"""
_SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm_accounts
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
"""
_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
_OF_ACCOUNTS = ("slurmdbd", "mariadbd")
_TABLES = [Path("/usr/share/mysql", f"mysql_system_tables{part}.sql") for part in ("", "_data")]


def missing(accounts: bool = False) -> str | None:
    """Why no Slurm, or none that keeps accounts, can be started here, or None."""
    if os.getuid() != 0:
        return "only root can start a Slurm"
    wanted = (*_PROGRAMS, *_OF_ACCOUNTS) if accounts else _PROGRAMS
    programs = [name for name in wanted if not shutil.which(name)]
    if programs:
        packages = "slurm-wlm munge" + (" slurmdbd mariadb-server-core" if accounts else "")
        return f"{programs[0]} is not installed (apt-get install {packages})"
    if CONFIG.exists() and not _left_behind():
        return f"{CONFIG} exists: this machine has a Slurm of its own"
    return None


def _left_behind() -> bool:
    """Whether the configuration is that of a test that was killed."""
    named = re.match(r"# of a test of absynth, process (\d+)", CONFIG.read_text())
    return named is not None and not Path("/proc", named[1]).exists()


@contextmanager
def slurm(*, accounts: bool = False, min_job_age: int = 3600) -> Iterator[Path]:
    """Run the daemons; yields the file in which each task notes its job and the GPUs made visible to it.

    accounts: whether Slurm keeps accounts, so that sacct answers
    min_job_age: for how many seconds Slurm itself knows a job that has ended
    """
    with ExitStack() as stack:
        # munged wants no folder above its own that others may write to, as /tmp is.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-", dir="/run")))
        folder.chmod(0o755)
        _write_files(folder, accounts, min_job_age)
        for name in ("slurm.conf", "gres.conf", "slurmdbd.conf"):
            stack.callback(CONFIG.with_name(name).unlink, missing_ok=True)
        _daemon(stack, "munged", "--foreground", "--key-file", folder / "munge/key", "--socket",
                folder / "munge/socket", "--pid-file", folder / "munge/pid", "--seed-file", folder / "munge/seed",
                "--log-file", folder / "munge/log")  # fmt: skip
        _wait(lambda: (folder / "munge/socket").exists(), folder / "munge/log")
        if accounts:
            _keep_accounts(stack, folder)
        _daemon(stack, "slurmctld", "-D", "-c")
        _daemon(stack, "slurmd", "-D", "-N", _host())
        _wait(_ready, folder / "slurmctld.log", folder / "slurmd.log")
        yield folder / "visible"


def _write_files(folder: Path, accounts: bool, min_job_age: int) -> None:
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
    accounting = _ACCOUNTS.format(port=_port(2), folder=folder) if accounts else _NO_ACCOUNTS
    ports = {"port": _port(0), "node_port": _port(1)}
    settings = {"accounting": accounting, "min_job_age": min_job_age}
    CONFIG.write_text(
        _SLURM_CONF.format(process=os.getpid(), folder=folder, host=_host(), gpus=GPUS, **ports, **settings)
    )


def _keep_accounts(stack: ExitStack, folder: Path) -> None:
    """Start MariaDB and slurmdbd, and make the cluster known to them."""
    data, password = folder / "database", secrets.token_hex()
    data.mkdir()
    served = [
        "mariadbd",
        "--no-defaults",
        f"--datadir={data}",
        "--user=root",
        "--innodb-buffer-pool-size=32M",
    ]
    # As mariadb-install-db does, which needs a part of the server that its core package lacks.
    tables = "\n".join(path.read_text() for path in _TABLES)
    first = f"CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n{tables}"
    subprocess.run([*served, "--bootstrap"], input=first, text=True, check=True, capture_output=True)
    start = folder / "start.sql"
    start.write_text(
        f"CREATE USER slurm@'127.0.0.1' IDENTIFIED BY '{password}';\n"
        "GRANT ALL ON slurm_accounts.* TO slurm@'127.0.0.1';\n"
    )
    _daemon(stack, *served, "--bind-address=127.0.0.1", f"--port={_port(3)}", f"--init-file={start}",
            f"--socket={folder}/database.socket", f"--pid-file={folder}/database.pid",
            f"--log-error={folder}/database.log")  # fmt: skip
    _wait(lambda: _listens(_port(3)), folder / "database.log")
    config = CONFIG.with_name("slurmdbd.conf")
    config.touch(mode=0o600)
    config.write_text(
        _SLURMDBD_CONF.format(
            folder=folder, host=_host(), port=_port(2), database_port=_port(3), password=password
        )
    )
    _daemon(stack, "slurmdbd", "-D")
    _wait(lambda: _listens(_port(2)), folder / "slurmdbd.log")
    subprocess.run(["sacctmgr", "--immediate", "add", "cluster", "test"], check=True, capture_output=True)


def _port(which: int) -> int:
    return 20000 + os.getpid() % 20000 + which


def _listens(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


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
