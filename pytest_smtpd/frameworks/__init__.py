"""The mail settings of web frameworks, pointed at a server for the time of a test."""
