"""The fixtures, and which of them a test uses.

What they do stands in `lending`, which the first one imports, with the server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ..server import Server
    from .seen import Seen

__all__ = ["smtpd", "smtpd_factory", "smtpd_options", "smtpd_session"]

asked = pytest.StashKey[bool]()  # the test has asked for `smtpd`, if only while it ran
seen_servers = pytest.StashKey[list["Seen"]]()  # the servers of a test
session_server = pytest.StashKey["Server"]()


def uses(item: pytest.Item, fixture: str) -> bool:
    return fixture in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def smtpd_options() -> dict[str, object]:
    """Default options for `smtpd`, `smtpd_session` and `smtpd_factory`: override it."""
    return {}


@pytest.fixture
def smtpd(request: pytest.FixtureRequest, smtpd_options: dict[str, object]) -> Iterator[Server]:
    """A started `pytest_smtpd.Server`, configured by the test's `smtpd` markers."""
    __tracebackhide__ = True
    from .lending import for_test

    yield from for_test(request, smtpd_options)


@pytest.fixture(scope="session")
def smtpd_session(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One started `pytest_smtpd.Server` for the whole run; one for each xdist worker."""
    __tracebackhide__ = True
    from .lending import for_run

    yield from for_run(request)


@pytest.fixture
def smtpd_factory(
    request: pytest.FixtureRequest, smtpd_options: dict[str, object]
) -> Iterator[Callable[..., Server]]:
    """``smtpd_factory(**options) -> Server``, started; all are stopped when the test ends."""
    __tracebackhide__ = True
    from .lending import as_many_as_wanted

    yield from as_many_as_wanted(request, smtpd_options)


if find_spec("django") is not None:
    __all__ += ["smtpd_django"]

    @pytest.fixture
    def smtpd_django(smtpd: Server) -> Iterator[Server]:
        """`smtpd`, to which Django's mail settings point during this test."""
        __tracebackhide__ = True
        from .lending import to_django

        yield from to_django(smtpd)
