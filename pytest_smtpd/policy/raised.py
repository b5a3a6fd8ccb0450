"""Turns an exception of the test's own code into a reply, a warning or an outcome."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass
from types import TracebackType

from ..rejection import Reject
from ..smtp import replies
from ..smtp.replies import Reply
from .judge import RuleRaised, default_refusal


class CallbackWarning(UserWarning):
    """A callback raised an exception that is not a `Reject`: most likely a bug in the callback.

    The client got the default refusal. The text has the traceback.
    """


@dataclass(frozen=True, slots=True)
class Raised:
    """The effect of a callback's exception on the client and on the test."""

    reply: Reply
    warning: CallbackWarning | None = None
    place: tuple[str, int] = ("", 0)  # file and line of the code to warn about
    outcome: BaseException | None = None  # ends the test


def interpret(
    error: BaseException, stage: str, subject: str, callback: str, *, late: bool = False
) -> Raised:
    """Reads an exception that `callback` raised about `subject`.

    A `Reject` names its reply. An assertion, `pytest.fail` and `pytest.skip` end the test. `late`
    says that another test has begun meanwhile: then they only warn.
    """
    if isinstance(error, RuleRaised) and error.__cause__ is not None:
        callback, error = str(error), error.__cause__
    if isinstance(error, Reject):
        if error.text is not None:
            return Raised(default_refusal(stage, subject, error.text))
        return Raised(error.reply or default_refusal(stage, subject))
    if isinstance(error, _outcomes()) and not late:
        return Raised(replies.CALLBACK_ENDED_TEST, outcome=error)
    begin = _of_the_test(error.__traceback__) or error.__traceback__
    text = "".join(traceback.format_exception(type(error), error, begin)).rstrip()
    what = f"smtpd callback {callback} raised {type(error).__name__}"
    if late:
        what += ", asked by a client of an earlier test"
    else:
        what += (
            "; the client was refused with the default reply; to refuse on purpose, raise Reject"
        )
    warning = CallbackWarning(f"{what}\n{text}")
    place = (begin.tb_frame.f_code.co_filename, begin.tb_lineno) if begin else ("", 0)
    return Raised(default_refusal(stage, subject), warning, place)


def _of_the_test(frames: TracebackType | None) -> TracebackType | None:
    """The part of the traceback that begins with the test's own code."""
    ours = f"{__package__.partition('.')[0]}."
    while frames and str(frames.tb_frame.f_globals.get("__name__")).startswith(ours):
        frames = frames.tb_next
    return frames


def _outcomes() -> tuple[type[BaseException], ...]:
    pytest = sys.modules.get("pytest")  # nothing can raise its outcomes without importing it
    if pytest is None:
        return (AssertionError,)
    return (AssertionError, pytest.fail.Exception, pytest.skip.Exception)


def is_cancellation(error: BaseException) -> bool:
    """Whether this is the `CancelledError` of asyncio, which may not be loaded."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and isinstance(error, asyncio.CancelledError)
