"""Starts a server that is compared, and asks it. Rule: one interface, whoever the server is.

What cannot be started here is a `MissingPeer` that says what is missing.
"""

from __future__ import annotations

import getpass
import importlib.util
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..model import BenchmarkError, MissingPeer, Place, Scale
from ..process import ROOT, Child, run

NODE_FOLDER = ROOT / ".tox" / "bench-node"
NODE_PACKAGE = "smtp-server@3"

# Debian has them where only root's PATH leads.
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])


@dataclass(frozen=True)
class Kind:
    """A server: the module that runs it, what has to be importable, and what it can do."""

    module: str | None = None
    needs: str | None = None
    tls: bool = True
    stores: str | None = "content"  # "wire": with the dots as sent; None: cannot be compared


KINDS = {
    "ours": Kind("ours"),
    "aiosmtpd": Kind("aiosmtpd_list", "aiosmtpd"),
    "smtpdfix": Kind("smtpdfix_server", "smtpdfix", stores=None),
    "pytest-localserver": Kind("localserver", "pytest_localserver", tls=False, stores=None),
    "smtp-server (node)": Kind(),
    "smtp-sink": Kind(tls=False, stores=None),
    "floor": Kind("floor", stores="wire"),
}


def find_tool(name: str) -> str:
    found = shutil.which(name, path=PATH)
    if found is None:
        raise MissingPeer(f"{name} is not installed")
    return found


def find_module(name: str, distribution: str) -> None:
    if importlib.util.find_spec(name) is None:
        raise MissingPeer(f"{distribution} is not installed")


@dataclass
class Running:
    """A server that runs."""

    name: str
    kind: Kind
    child: Child
    port: int
    tells: bool  # whether it tells what it has stored

    @property
    def pid(self) -> int:
        return self.child.pid

    def expect(
        self, count: int, *, least: int = 0, most: int | None = None, sha256: str | None = None
    ) -> None:
        """Raises `BenchmarkError` unless it holds that many messages, of sizes in these bounds.

        `sha256` is that of the content of the last one.
        """
        if not self.tells:
            if not self.child.alive:
                raise BenchmarkError(f"{self.name} has ended: {self.child.said()}")
            return
        held = self.child.ask("count")["count"]
        if held != count:
            raise BenchmarkError(f"{self.name} holds {held} messages of {count}")
        if self.kind.stores is None or not count:
            return
        sizes = self.child.ask("sizes")
        if sizes["smallest"] < least or (most is not None and sizes["largest"] > most):
            raise BenchmarkError(
                f"{self.name} holds messages of {sizes['smallest']} to {sizes['largest']} octets"
                f" instead of {least} to {most}"
            )
        if sha256 is not None and self.kind.stores == "content" and sizes["sha256"] != sha256:
            raise BenchmarkError(f"{self.name} holds other octets than were sent")

    def clear(self) -> None:
        if self.tells:
            self.child.ask("clear")


def find(name: str, scale: Scale, place: Place, *, tls: bool = False) -> list[str]:
    """The command that runs a server, as far as it is known before a port is."""
    kind = KINDS[name]
    if tls and not kind.tls:
        raise MissingPeer(f"{name} has no STARTTLS")
    if tls and place.certificate is None:
        raise MissingPeer("trustme is not installed")
    certificate = str(place.certificate) if tls else ""
    if kind.module is not None:
        if kind.needs is not None:
            find_module(kind.needs, name)
        options = ["--certificate", certificate] if tls else []
        return [sys.executable, "-m", f"{__package__}.{kind.module}", *options]
    if name == "smtp-sink":
        as_whom = ["-u", "nobody"] if getpass.getuser() == "root" else []
        return [find_tool("smtp-sink"), "-m", "8000", *as_whom]
    library = _node_library(scale)
    script = str(Path(__file__).with_name("node_server.cjs"))
    return [find_tool("node"), script, str(library), certificate]


@contextmanager
def launch(name: str, scale: Scale, place: Place, *, tls: bool = False) -> Iterator[Running]:
    command = find(name, scale, place, tls=tls)
    start = _smtp_sink if name == "smtp-sink" else _controlled
    running = start(name, KINDS[name], command)
    try:
        yield running
    finally:
        running.child.end()


def _controlled(name: str, kind: Kind, command: list[str]) -> Running:
    child = Child(command)
    try:
        answer: Any = child.read()
    except BaseException:
        child.end()
        raise
    return Running(name, kind, child, answer["port"], tells=True)


def _smtp_sink(name: str, kind: Kind, command: list[str]) -> Running:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    child = Child([*command, f"127.0.0.1:{port}", "1024"], control=False)
    until = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if child.alive and time.monotonic() < until:
                time.sleep(0.005)
                continue
            child.end()
            raise BenchmarkError(f"smtp-sink does not listen: {child.said()}") from None
        return Running(name, kind, child, port, tells=False)


def _node_library(scale: Scale) -> Path:
    find_tool("node")
    library = NODE_FOLDER / "node_modules" / "smtp-server"
    if not library.exists():
        if not scale.install:
            raise MissingPeer("smtp-server is not installed (a full run installs it with npm)")
        npm = find_tool("npm")
        NODE_FOLDER.mkdir(parents=True, exist_ok=True)
        options = ["--silent", "--no-audit", "--no-fund", "--prefix", str(NODE_FOLDER)]
        try:
            run([npm, "install", *options, NODE_PACKAGE], timeout=120, cwd=NODE_FOLDER)
        except BenchmarkError as error:
            raise MissingPeer(f"npm could not install smtp-server: {error}") from error
    return library
