"""Mail on disk: the HTML report of `--smtpd-report`, the files of `--smtpd-save`.

Nothing here is imported unless one of the two is asked for.
"""
