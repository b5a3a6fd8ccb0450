"""The fixtures. The first use of a fixture imports `lending`, and with it the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ..server import Server

__all__ = ["smtpd", "smtpd_factory", "smtpd_options", "smtpd_session"]


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
        """`smtpd`, with Django's mail settings pointed at it during this test."""
        __tracebackhide__ = True
        from .lending import to_django

        yield from to_django(smtpd)
