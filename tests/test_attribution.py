"""Which test octets belong to, by values: what came in which test, what is still waiting."""

from __future__ import annotations

import pytest

from pytest_smtpd.serving.attribution import Attribution
from pytest_smtpd.smtp.lines import LineBuffer

FIRST, SECOND, THIRD = 1, 2, 3


def moves(
    arrivals: list[tuple[int, bytes]],
    now: int,
    *,
    used: int = 0,
    in_message: bool = False,
) -> bool:
    """Whether a connection of the first test goes on in test `now`.

    `arrivals` are octets and the test in which they came, `used` is how many lines were worked
    through since.
    """
    attribution, waiting = Attribution(FIRST), LineBuffer()
    for test, octets in arrivals:
        attribution.note_arrival(len(octets), test)
        waiting.feed(octets)
    for _ in range(used):
        assert waiting.next_line() is not None
    return attribution.moves_to(now, waiting, in_message=in_message)


@pytest.mark.parametrize(
    ("arrivals", "now", "used", "expected"),
    [
        pytest.param([], SECOND, 0, False, id="nothing-came"),
        pytest.param([(FIRST, b"NOOP\r\n")], SECOND, 0, False, id="of-the-first-test"),
        pytest.param([(SECOND, b"NOOP\r\n")], SECOND, 0, True, id="of-the-second"),
        pytest.param([(SECOND, b"NO")], SECOND, 0, True, id="the-beginning-of-a-line"),
        pytest.param([(SECOND, b"NOOP\r\n")], SECOND, 1, False, id="used-up"),
        pytest.param([(SECOND, b"NOOP\r\n")], THIRD, 0, False, id="of-the-test-before"),
        pytest.param([(FIRST, b"RSET\r\n"), (SECOND, b"NOOP\r\n")], SECOND, 0, False, id="behind"),
        pytest.param([(FIRST, b"RSET\r\n"), (SECOND, b"NOOP\r\n")], SECOND, 1, True, id="its-turn"),
        pytest.param([(FIRST, b"NO"), (SECOND, b"OP\r\n")], SECOND, 0, True, id="ended-in-it"),
        pytest.param([(SECOND, b"QUIT\r\n")], SECOND, 0, False, id="a-quit"),
        pytest.param([(SECOND, b"quit\r\n")], SECOND, 0, False, id="a-quit-in-lower-case"),
        pytest.param([(SECOND, b"QUIT now\r\n")], SECOND, 0, True, id="no-quit"),
        pytest.param([(SECOND, b"NOOP\r\n"), (SECOND, b"QUIT\r\n")], SECOND, 1, False, id="later"),
    ],
)
def test_a_line(arrivals: list[tuple[int, bytes]], now: int, used: int, expected: bool) -> None:
    assert moves(arrivals, now, used=used) is expected


def test_content_of_a_message() -> None:
    attribution, empty = Attribution(FIRST), LineBuffer()
    attribution.note_arrival(1000, FIRST)
    assert not attribution.moves_to(SECOND, empty, in_message=True)
    attribution.note_arrival(1, SECOND)  # the message has it, as nothing waits
    assert attribution.moves_to(SECOND, empty, in_message=True)
    assert not attribution.moves_to(SECOND, empty, in_message=False)


def test_once_it_has_moved_it_counts_anew() -> None:
    attribution, waiting = Attribution(FIRST), LineBuffer()
    attribution.note_arrival(6, SECOND)
    attribution.epoch = SECOND
    waiting.feed(b"RSET\r\n")
    assert not attribution.moves_to(THIRD, waiting, in_message=False)
    attribution.note_arrival(6, THIRD)
    waiting.feed(b"NOOP\r\n")
    assert not attribution.moves_to(THIRD, waiting, in_message=False)
    assert waiting.next_line() == b"RSET"
    assert attribution.moves_to(THIRD, waiting, in_message=False)
