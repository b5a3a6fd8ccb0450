"""`Option`, a row of the table of options: everything that anyone asks of an option.

Loaded at every start of pytest, so it imports next to nothing.
"""

from __future__ import annotations

from typing import Any

OPTIONS: dict[str, Option] = {}  # by name; `table` fills it


class Option:
    """A row of the table, and the attribute of `Options` that gives the option's value.

    - `kind`: names the check and the text form in `values`
    - `default`, `help`: for every place that lists options; the help is one phrase
    - `form`: the text form, as the help of a command line shows it; None: there is none
    - `several`: the text form is a list: lines in ini, repeated flags on a command line
    - `flag`: on a command line the value may be left out
    - `choices`: the allowed values, or the allowed words of a list
    - `least`, `most`, `unit`: the bounds of a number, and what it counts
    - `no_limit`: None is a value; elsewhere None stands for the default
    - `live`: a running server can change it
    - `address`: part of the server's address, which a server of session scope keeps
    - `secret`: errors show ``***`` in place of the value
    - `path`: the value has paths, which count from the folder where they were written
    - `hand_default`, `hand_help`: where they differ for a server that is run by hand
    """

    __slots__ = (
        *("address", "choices", "default", "flag", "form", "hand_default", "hand_help", "help"),
        *("kind", "least", "live", "most", "name", "no_limit", "path", "secret", "several", "unit"),
    )

    def __init__(
        self,
        kind: str,
        default: object,
        help: str,
        *,
        form: str | None = "",
        several: bool = False,
        flag: bool = False,
        choices: tuple[object, ...] = (),
        least: int = 0,
        most: float = float("inf"),
        unit: str = "",
        no_limit: bool = False,
        live: bool = True,
        address: bool = False,
        secret: bool = False,
        path: bool = False,
        hand_default: object = None,
        hand_help: str = "",
    ) -> None:
        self.name = ""
        self.kind = kind
        self.default = default
        self.help = help
        self.form = form
        self.several = several
        self.flag = flag
        self.choices = choices
        self.least = least
        self.most = most
        self.unit = unit
        self.no_limit = no_limit
        self.live = live
        self.address = address
        self.secret = secret
        self.path = path
        self.hand_default = default if hand_default is None else hand_default
        self.hand_help = hand_help or help

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        if self.form == "":
            words = ["none"] if None in self.choices else ["yes", "no"] if self.flag else []
            words += [choice for choice in self.choices if isinstance(choice, str)]
            self.form = "|".join(words) or name.upper()
        OPTIONS[name] = self

    def __get__(self, instance: object, owner: type) -> object:
        return self if instance is None else self.default

    @property
    def flags(self) -> tuple[str, ...]:
        """The name as a flag, with dashes; then as it is, where that differs."""
        dashed = self.name.replace("_", "-")
        return (dashed,) if dashed == self.name else (dashed, self.name)

    @property
    def argument(self) -> dict[str, Any]:
        """The keywords of argparse's `add_argument`, except the help."""
        if self.several:
            return {"metavar": self.form, "action": "append"}
        if self.flag:
            return {"metavar": self.form, "nargs": "?", "const": "true"}
        return {"metavar": self.form}

    def describe(self, help: str, default: object) -> str:
        """The help of a command line."""
        if isinstance(default, tuple):
            default = ", ".join(map(str, default))
        elif isinstance(default, bool):
            default = "yes" if default else "no"
        elif default is None:
            default = ""
        repeated = "; may be repeated" if self.several else ""
        return f"{help}{repeated} (default: {'none' if default == '' else default})"
