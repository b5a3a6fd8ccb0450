"""A pytest plugin with a real SMTP server: the fixture `smtpd`, and `Server` for use without it.

The public names are loaded on first use: pytest imports a plugin at every start, whether a test
uses it or not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import faults
    from ._version import __version__ as __version__
    from .lint.catalogue import Problem
    from .mailbox.mailbox import Mailbox
    from .message.message import Attachment, Envelope, Message
    from .options import Options
    from .policy.raised import CallbackWarning
    from .record import Command, Exchange, SessionRecord, TLSInfo
    from .rejection import Reject
    from .server import Server
    from .smtp.replies import Reply
    from .smtp.violations import Violation

_HOMES = {
    "__version__": "_version",
    "Attachment": "message.message",
    "CallbackWarning": "policy.raised",
    "Command": "record",
    "Envelope": "message.message",
    "Exchange": "record",
    "Mailbox": "mailbox.mailbox",
    "Message": "message.message",
    "Options": "options",
    "Problem": "lint.catalogue",
    "Reject": "rejection",
    "Reply": "smtp.replies",
    "Server": "server",
    "SessionRecord": "record",
    "TLSInfo": "record",
    "Violation": "smtp.violations",
}

__all__ = [
    "Attachment",
    "CallbackWarning",
    "Command",
    "Envelope",
    "Exchange",
    "Mailbox",
    "Message",
    "Options",
    "Problem",
    "Reject",
    "Reply",
    "Server",
    "SessionRecord",
    "TLSInfo",
    "Violation",
    "faults",
]


def __getattr__(name: str) -> object:
    if name == "faults":
        return import_module(".faults", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
