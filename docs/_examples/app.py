"""The code under test in the examples: an application that sends mail with smtplib."""

import smtplib
from email.message import EmailMessage
from email.utils import formatdate, make_msgid


def send(server, to="ann@example.com", *, subject="Your order", text="Thank you!\n", html=None):
    message = EmailMessage()
    message["From"] = "Shop <shop@example.org>"
    message["To"] = to
    message["Subject"] = subject
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain="example.org")
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
    with smtplib.SMTP(server.host, server.port, local_hostname="shop.example.org") as client:
        client.send_message(message)
