"""The stash keys of the plugin, and the fixtures that a test uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ..lease import Lease
    from .seen import Seen

# the test requested `smtpd`, perhaps only while it ran
requested: pytest.StashKey[bool] = pytest.StashKey()
# the servers of a test
seen_servers: pytest.StashKey[list[Seen]] = pytest.StashKey()
# the server of `smtpd_session`
session_lease: pytest.StashKey[Lease] = pytest.StashKey()


def uses(item: pytest.Item, fixture: str) -> bool:
    return fixture in getattr(item, "fixturenames", ())
