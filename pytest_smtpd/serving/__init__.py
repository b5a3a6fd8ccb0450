"""Threads and sockets: the only place that has them. What a server does is decided elsewhere."""
