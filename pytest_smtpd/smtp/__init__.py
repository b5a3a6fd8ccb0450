"""The SMTP protocol without I/O: no socket, no thread, no clock, no pytest."""
