"""The version, written here once: the build reads this line, nothing else has to import it."""

__version__ = "1.0.0"
