"""What is wrong with a structure, for the defects of a message and for its problems."""

from typing import NamedTuple


class Flaw(NamedTuple):
    """`kind` names what is wrong, if it can be as the problem it makes; `detail` says where."""

    kind: str
    detail: str
