"""Records a session: `SessionRecord` is public, the server writes the journal."""

from __future__ import annotations

from .journal import SessionJournal
from .mask import Mask
from .session import Command, EndedBy, Exchange, SessionRecord, TLSInfo

__all__ = ["Command", "EndedBy", "Exchange", "Mask", "SessionJournal", "SessionRecord", "TLSInfo"]
