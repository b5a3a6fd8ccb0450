"""Child processes, and what the system knows of them: processor time and memory.

Rule: a child says when it is ready and is told when to go; nobody sleeps.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .model import BenchmarkError

ROOT = Path(__file__).resolve().parents[1]

# What would make a child slower or load more than a user's process does
_NOT_INHERITED = ("PYTHON", "PYTEST", "COVERAGE", "COV_CORE", "SMTPD")


def environment(**more: str) -> dict[str, str]:
    """The environment of a child: ours, without what tunes Python or pytest."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_NOT_INHERITED) or name in ("PYTHONPATH", "PYTHONHOME")
    }
    return {**kept, **more}


def run(command: Sequence[str], *, timeout: float = 300.0, cwd: Path = ROOT, **env: str) -> str:
    """The standard output of a command that has to succeed."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=cwd,
            env=environment(**env),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"{Path(command[0]).name}: not done in {timeout:g} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise BenchmarkError(
            f"{Path(command[0]).name} exited {done.returncode}: {' / '.join(said)}"
        )
    return done.stdout


def run_module(module: str, *args: str, timeout: float = 300.0) -> Any:
    """The JSON that a module of ours prints, run in a process of its own."""
    return json.loads(run([sys.executable, "-m", module, *args], timeout=timeout))


class Child:
    """A process that answers each line of its standard input with a line of JSON.

    `control=False`: one that knows nothing of that and is only watched and ended.
    """

    def __init__(self, command: Sequence[str], *, control: bool = True) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if control else subprocess.DEVNULL,
            stdout=subprocess.PIPE if control else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment(),
        )
        self._control = control
        # Read all along: a child that writes a lot must not get stuck.
        self._said: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said = [*self._said[-4:], line.rstrip()]

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def said(self) -> str:
        """The last that it wrote to its standard error."""
        return " / ".join(self._said)

    def read(self, timeout: float = 60.0) -> Any:
        """The next line, as JSON."""
        assert self._process.stdout is not None
        timer = threading.Timer(timeout, self._process.kill)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            self._process.wait()
            self._listener.join(5)
            raise BenchmarkError(f"a process ended without an answer: {self.said()}")
        return json.loads(line)

    def ask(self, question: str, timeout: float = 60.0) -> Any:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it has ended: `read` says so
        return self.read(timeout)

    def end(self) -> None:
        """Ends it: by the end of its input, or by a signal."""
        if self._process.stdin is not None:
            try:
                self._process.stdin.close()
            except OSError:
                pass
        else:
            self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(5)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


def _psutil(pid: int) -> Any:
    try:
        return importlib.import_module("psutil").Process(pid)
    except ImportError:
        return None


def cpu_seconds(pid: int) -> float | None:
    """User and system time that a process has used so far; `None` where nobody can tell."""
    if sys.platform == "linux":
        # CPUCLOCK_SCHED of a process: nanoseconds, where /proc has hundredths of a second
        try:
            return time.clock_gettime((~pid << 3) | 2)
        except OSError:
            pass
    process = _psutil(pid)
    if process is None:
        return None
    times = process.cpu_times()
    return float(times.user + times.system)


class Memory(NamedTuple):
    """Resident memory in octets; the peak is `None` where the system does not tell it."""

    now: int
    peak: int | None


def memory(pid: int) -> Memory | None:
    """What a process holds; `None` where nobody can tell.

    Not `ru_maxrss`: on Linux a child starts with its parent's.
    """
    status = Path(f"/proc/{pid}/status")
    if sys.platform == "linux" and status.exists():
        sizes = {
            name: int(rest.split()[0]) * 1024
            for name, _, rest in (s.partition(":") for s in status.read_text().splitlines())
            if name in ("VmRSS", "VmHWM")
        }
        return Memory(sizes["VmRSS"], sizes["VmHWM"])
    process = _psutil(pid)
    if process is None:
        return None
    info = process.memory_info()
    return Memory(info.rss, getattr(info, "peak_wset", None))


def forget_peak(pid: int) -> None:
    """Makes the peak start again from what is held now, where the system can (Linux)."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        pass


def allow_open_files(wanted: int) -> int:
    """Raises the limit of open files; returns how many are allowed now."""
    try:
        resource: Any = importlib.import_module("resource")
    except ImportError:
        return 512  # what the C library of Windows allows
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        except (OSError, ValueError):
            return int(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    return int(soft)
