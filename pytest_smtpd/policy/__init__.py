"""Applies the options, faults and callbacks of the test: takes an event, returns a verdict."""
