"""``python -m pytest_smtpd``: runs the server by hand, see `cli.run`."""

from .cli.run import main

if __name__ == "__main__":
    raise SystemExit(main())
