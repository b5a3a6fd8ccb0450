"""All threads and sockets of the server. `smtp` and `policy` decide its behaviour."""
