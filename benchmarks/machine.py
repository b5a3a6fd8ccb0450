"""On what was measured, in words. Rule: no path, no name of a host."""

from __future__ import annotations

import json
import os
import platform
import ssl
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from .model import MissingPeer
from .servers.launch import NODE_FOLDER, find_tool

DISTRIBUTIONS = (
    "pytest-smtpd-server",
    "pytest",
    "email-validator",
    "smtpdfix",
    "pytest-localserver",
    "aiosmtpd",
    "trustme",
    "psutil",
    "matplotlib",
)


def describe() -> dict[str, str | int]:
    """The machine and its system."""
    # Of a kernel's release only the number: the rest is whoever built it.
    system = f"{platform.system()} {platform.release().partition('-')[0]}"
    try:
        system = f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {system}"
    except (OSError, KeyError):
        pass
    return {
        "system": system,
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "openssl": ssl.OPENSSL_VERSION,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown"


def versions() -> dict[str, str]:
    """Of everything that takes part; "missing" where it is not installed."""
    found = {"Python": sys.version.split()[0]}
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "missing"
    found["Postfix (smtp-source, smtp-sink)"] = _postfix()
    found["Node.js"] = _said("node", "--version").removeprefix("v")
    package = NODE_FOLDER / "node_modules" / "smtp-server" / "package.json"
    found["smtp-server (npm)"] = (
        json.loads(package.read_text())["version"] if package.exists() else "missing"
    )
    return found


def _postfix() -> str:
    try:
        find_tool("smtp-source")
    except MissingPeer:
        return "missing"
    said = _said("postconf", "-d", "mail_version")
    return said.partition("=")[2].strip() or "unknown"


def _said(tool: str, *args: str) -> str:
    try:
        command = [find_tool(tool), *args]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (MissingPeer, OSError, subprocess.SubprocessError):
        return "missing"
    return done.stdout.strip()
