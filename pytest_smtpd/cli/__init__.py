"""The server by hand: ``python -m pytest_smtpd``."""
