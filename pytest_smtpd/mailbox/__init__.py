"""The mailbox that a test reads: it matches messages, waits for them, and explains misses."""
