"""For all tests of the project: `pytester` runs pytest inside them."""

pytest_plugins = ["pytester"]
