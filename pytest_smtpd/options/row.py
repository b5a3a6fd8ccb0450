"""`Option`, a row of the table of options: all properties of an option.

Loaded at every start of pytest, so it imports almost nothing.
"""

from __future__ import annotations

from typing import Any

OPTIONS: dict[str, Option] = {}  # by name; `table` fills it


class Option:
    """A row of the table, and the attribute of `Options` that gives the option's value."""

    form: str | None = ""  # the text form, as a command line's help shows it; None: there is none
    several = False  # the text form is a list: lines in ini, repeated flags on a command line
    flag = False  # on a command line the value may be left out
    choices: tuple[object, ...] = ()  # the allowed values, or the allowed words of a list
    least, most = 0, float("inf")  # the bounds of a number
    unit = ""  # what a number counts
    no_limit = False  # None is a value; for other options None stands for the default
    live = True  # a running server can change it
    address = False  # part of the server's address: fixed for a server of session scope
    secret = False  # errors show *** in place of the value
    path = False  # the value has paths, relative to the folder where they were written

    def __init__(self, kind: str, default: object, help: str, **properties: Any) -> None:
        self.name = ""
        self.kind = kind  # names the check and the reader in `values`
        self.default = self.hand_default = default  # `hand_*`: for the command line
        self.help = self.hand_help = help  # one phrase
        self.__dict__.update(properties)

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
        """The name with dashes, then the name itself if it differs."""
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
