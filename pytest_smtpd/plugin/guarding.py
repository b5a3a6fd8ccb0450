"""Ini `smtpd_guard`: blocks connections to real mail servers while tests run."""

from __future__ import annotations

from typing import Any

import pytest

from .asked import fail


class Guard:
    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Any:
        from .guard import in_force

        with in_force():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Any:
        from .guard import note, take

        try:
            result = yield
        except pytest.skip.Exception:
            _fail_for(take())
            raise
        except BaseException as error:
            note(error)
            raise
        _fail_for(take())
        return result

    pytest_runtest_call = pytest_runtest_teardown = pytest_runtest_setup


def _fail_for(blocked: list[str]) -> None:
    if blocked:
        fail("\n".join(blocked))
