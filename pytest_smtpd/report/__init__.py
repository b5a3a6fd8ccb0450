"""Mail on disk: the HTML report of `--smtpd-report`, and the files of `--smtpd-save`.

The plugin imports this package only if one of the two flags is given.
"""
