"""For all tests of the project: `pytester` runs pytest inside them."""

import pytest

pytest_plugins = ["pytester"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Know the ini key of pytest-asyncio where that is older than the key, or not installed."""
    try:
        parser.addini("asyncio_default_fixture_loop_scope", "pytest-asyncio's", default="function")
    except ValueError:  # it is there and has said so itself
        pass
