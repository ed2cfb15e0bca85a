# SPDX-License-Identifier: Apache-2.0
"""A Slurm cluster of a test's own on this machine: munged, slurmctld, and a slurmd for each of its virtual nodes."""
import os
import pathlib
import secrets
import shutil
import socket
import subprocess
import tempfile
import time

PROGRAMS = {name: shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
            for name in ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "sinfo")}
CONFIG = """\
ClusterName=keyturn
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def why_not():
    """None, or what this machine lacks."""
    lacking = [name for name, path in PROGRAMS.items() if not path]
    if lacking:
        return f"machine: no {', '.join(lacking)} (packages slurm-wlm, munge)"
    return None if os.geteuid() == 0 else "machine: Slurm's daemons are started as root"


def free_ports(number):
    probes = [socket.socket() for _ in range(number)]
    for probe in probes:
        probe.bind(("", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class Slurm:
    def __init__(self, nodes):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="keyturn-slurm-"))
        self.folder.chmod(0o755)
        self.processes = []
        self.env = {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}
        host = socket.gethostname().partition(".")[0]
        port, *ports = free_ports(1 + len(nodes))
        lines = [f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={at} CPUs=1 State=UNKNOWN"
                 for name, at in zip(nodes, ports)]
        (self.folder / "state").mkdir()
        for name in nodes:
            (self.folder / f"spool-{name}").mkdir()
        (self.folder / "slurm.conf").write_text(CONFIG.format(host=host, port=port, folder=self.folder,
                                                              nodes="\n".join(lines)))
        if " 22." not in subprocess.run([PROGRAMS["slurmd"], "-V"], capture_output=True, text=True).stdout:
            (self.folder / "cgroup.conf").write_text("CgroupPlugin=disabled\n")
        try:
            self.begin(nodes)
        except Exception:
            print(self.logs())
            self.close()
            raise

    def begin(self, nodes):
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        at = self.folder
        self.launch("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={at}/munge.socket",
                    f"--pid-file={at}/munged.pid", f"--log-file={at}/munged.log", f"--seed-file={at}/munged.seed")
        self.until("munged listens", lambda: (at / "munge.socket").exists())
        self.launch("slurmctld", "-D", "-i")
        for name in nodes:
            self.launch("slurmd", "-D", "-N", name)
        self.until("every node is idle", lambda: self.ask("sinfo", "-h", "-N", "-o", "%t", check=False).split() ==
                   ["idle"] * len(nodes))

    def launch(self, name, *args):
        with open(self.folder / f"{name}.out", "ab") as out:
            self.processes.append(subprocess.Popen([PROGRAMS[name], *args], env=self.env, stdin=subprocess.DEVNULL,
                                                   stdout=out, stderr=out))

    def until(self, what, true, seconds=60):
        deadline = time.monotonic() + seconds
        while not true():
            ended = [p.args[0] for p in self.processes if p.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"{what}: not within {seconds} s {ended}\n{self.logs()}")
            time.sleep(0.05)

    def ask(self, name, *args, check=True):
        done = subprocess.run([PROGRAMS[name], *args], env=self.env, capture_output=True, text=True, timeout=60)
        if check and done.returncode:
            raise RuntimeError(f"{name} {args}: {done.stderr}\n{self.logs()}")
        return done.stdout.strip()

    def logs(self):
        return "\n".join(f"-- {p.name}\n{p.read_text(errors='replace')[-2000:]}"
                         for pattern in ("*.log", "*.out") for p in sorted(self.folder.glob(pattern)))

    def submit(self, command, *more):
        """The number of the job."""
        return self.ask("sbatch", "--parsable", *more, "--wrap", command)

    def states(self, job):
        """Task of an array: its state, also for a while after its end."""
        lines = self.ask("squeue", "-h", "-r", "-t", "all", "-j", job, "-o", "%K %T", check=False).split("\n")
        return dict(line.split() for line in lines if line)

    def close(self):
        """The daemons end in the order in which they need each other; a worker ends before its node."""
        self.ask("scancel", "-f", "--user=root", "--signal=KILL", check=False)
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
