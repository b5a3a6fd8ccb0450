"""Flaws of a structure: the source of a message's defects and problems."""

from typing import NamedTuple


class Flaw(NamedTuple):
    """`kind` names the flaw, by the code of its problem if there is one; `detail` says where."""

    kind: str
    detail: str
