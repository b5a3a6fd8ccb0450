"""The clients that make load, each in a process of its own. Rule: they print one line of JSON."""
