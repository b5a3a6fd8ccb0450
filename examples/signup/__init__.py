"""A sign-up service: asks new users by mail to confirm their address, and reminds them."""

from signup.mailer import InvalidAddress, Mailer, MailNotSent
from signup.reminder import Reminder
from signup.service import Pending, SignUps, signup

__all__ = [
    "InvalidAddress",
    "MailNotSent",
    "Mailer",
    "Pending",
    "Reminder",
    "SignUps",
    "signup",
]
