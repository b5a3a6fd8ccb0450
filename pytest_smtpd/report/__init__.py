"""Mail on disk: the HTML report of `--smtpd-report`, the files of `--smtpd-save`.

The plugin imports nothing of it unless one of the two is asked for.
"""
