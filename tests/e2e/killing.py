# SPDX-License-Identifier: Apache-2.0
"""Jobs that are slowed down and killed at random moments, and what a store holds in whatever form."""

import contextlib
import gzip
import signal
import subprocess
import threading
import time

import archives
from rig import PROGRAM


class Slow:
    """A running program that gets only a part of the time, so that a short job lives through several checkpoints."""

    PERIOD = 0.03

    def __init__(self, args, cwd, share, feed=None, pace=0):
        self.process = subprocess.Popen(
            [PROGRAM, *map(str, args)],
            cwd=cwd,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
        )
        self.share, self.text = share, b""
        self.readers = [threading.Thread(target=self._read, daemon=True)]
        if feed:
            self.readers.append(threading.Thread(target=self._feed, args=(feed, pace), daemon=True))
        for thread in self.readers:
            thread.start()

    def _read(self):
        self.text = self.process.stderr.read()

    def _feed(self, feed, pace):
        """pace: bytes a second; 0: all at once."""
        step = 256 << 10
        try:
            for at in range(0, len(feed), step):
                self.process.stdin.write(feed[at : at + step])
                self.process.stdin.flush()
                if pace:
                    time.sleep(step / pace)
        except BrokenPipeError:
            pass
        finally:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()

    def run(self, until, enough=lambda: False):
        """Runs for so long at most, or until enough() says so; True: it has ended by itself."""
        deadline = time.monotonic() + until
        while self.process.poll() is None and time.monotonic() < deadline and not enough():
            if self.share >= 1:
                time.sleep(0.002)
                continue
            self._send(signal.SIGCONT)
            time.sleep(self.PERIOD * self.share)
            self._send(signal.SIGSTOP)
            time.sleep(max(0, min(self.PERIOD * (1 - self.share), deadline - time.monotonic())))
        return self.process.poll() is not None

    def _send(self, number):
        if self.process.poll() is None:
            self.process.send_signal(number)

    def end(self, number=None, timeout=60):
        """Sends the signal, waits, and gives the exit status."""
        if number:
            self._send(number)
        self._send(signal.SIGCONT)
        status = self.process.wait(timeout)
        for thread in self.readers:
            thread.join(timeout)
        self.process.stderr.close()
        return status


def state_of(to):
    """What a killed job left behind."""
    if to.exists():
        return "the end"
    part = to.with_name(to.name + ".part")
    checkpoint = part.with_name(part.name + ".checkpoint")
    if not part.exists():
        return "nothing"
    # one BSON document and eight bytes of checksum; without a job until the first batches are durable
    return "a checkpoint" if checkpoint.exists() and b"\2job\0" in checkpoint.read_bytes() else "a part"


def kill_until_done(args, cwd, to, kills, seconds, share, rng, feed=None, pace=0):
    """Starts the job, kills it at a random moment of the `seconds` that it takes, and that again and again; then lets
    it end. Gives the exit status, what each kill left, and what the last run said."""
    left = []
    for _ in range(kills):
        job = Slow(args, cwd, share, feed, pace)
        if rng.random() < 0.7:  # when there is something to go on from: a checkpoint is made each second
            job.run(60, lambda: state_of(to) == "a checkpoint")
        ended = job.run(rng.uniform(0.02, 0.6 * seconds))
        status = job.end(signal.SIGKILL)
        if ended:
            return status, left, job.text.decode()
        left.append(state_of(to))
        if left[-1] == "the end":
            return None, left, ""
    job = Slow(args, cwd, 1, feed)
    job.run(600)
    return job.end(), left, job.text.decode()


class Form:
    """A form of store: how its files are made from {"db.coll": bytes}, and how they are read again."""

    def __init__(self, name):
        self.name = name

    def pack(self, path, collections):
        if self.name == "archive":
            path.write_bytes(gzip.compress(archives.write({ns: (raw, "{}") for ns, raw in collections.items()}), 1))
            return
        if self.name in ("file", "gzip", "pipe"):
            (raw,) = (raw for ns, raw in collections.items() if not ns.endswith(".other"))
            path.write_bytes(gzip.compress(raw, 1) if self.name == "gzip" else raw)
            return
        for ns, raw in collections.items():
            db, collection = ns.split(".", 1)
            path.joinpath(db).mkdir(parents=True, exist_ok=True)
            path.joinpath(db, collection + ".bson").write_bytes(raw)
            path.joinpath(db, collection + ".metadata.json").write_text('{"options":{},"indexes":[]}')
        path.joinpath("prelude.json").write_text("{}")

    def unpack(self, path, ns):
        """{"db.coll": bytes} of what lies there; ns names a lone file's collection."""
        if self.name == "archive":
            return archives.Archive(gzip.decompress(path.read_bytes()), check=False).data
        if self.name == "gzip":
            return {ns: gzip.decompress(path.read_bytes())}
        if self.name in ("file", "pipe"):
            return {ns: path.read_bytes()}
        return {
            f"{p.parent.name}.{p.stem}" if p.suffix == ".bson" else str(p.relative_to(path)): p.read_bytes()
            for p in path.rglob("*")
            if p.is_file()
        }
