"""The servers that are compared, each in a process of its own; `launch` is how they are started."""
