"""What the test asked for: an event comes in, a verdict goes out."""
