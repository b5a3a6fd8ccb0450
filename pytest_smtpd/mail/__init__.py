"""What was received: messages, the mailbox that holds them, and the checks on them."""
