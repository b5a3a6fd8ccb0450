"""Every client with every mechanism it knows, in clear, over STARTTLS and over implicit TLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from auth_matrix import INITIAL, LATER, MECHANISMS, SECURITY, cells, markdown
from pytest_smtpd import Server
from witnesses import RECIPIENTS, SENDER, Failed, Job, deliver

USER, PASSWORD = "shop", "right-s3cret"
MESSAGE = (
    b"Date: Wed, 04 Mar 2026 09:00:00 +0000\r\n"
    b"From: ann@example.com\r\n"
    b"To: bob@example.net\r\n"
    b"Message-ID: <1@example.com>\r\n"
    b"Subject: hello\r\n\r\n"
    b"hello\r\n"
)

each_cell = pytest.mark.parametrize(
    ("client", "mechanism", "begin", "security"),
    [pytest.param(*cell, id="-".join(cell)) for cell in cells()],
)


def job(
    server: Server, tmp_path: Path, mechanism: str, begin: str, password: str = PASSWORD
) -> Job:
    return Job(
        server, tmp_path, MESSAGE, mechanism=mechanism, begin=begin, user=USER, password=password
    )


def auth_server(mechanism: str, security: str) -> Server:
    # curl takes OAUTHBEARER where it is offered, whatever it was told.
    hidden = "OAUTHBEARER" if mechanism == "XOAUTH2" else None
    return Server(
        tls=SECURITY[security],
        users={USER: PASSWORD},
        require_auth=True,
        auth_mechanisms=[each for each in MECHANISMS if each != hidden],
    )


def auth_command(server: Server) -> str:
    commands = [
        line for _, who, line in server.sessions[0].exchanges if who == "C" and "AUTH" in line
    ]
    return commands[0]


@each_cell
def test_right_credentials(
    client: str, mechanism: str, begin: str, security: str, tmp_path: Path
) -> None:
    with auth_server(mechanism, security) as server:
        deliver(client, job(server, tmp_path, mechanism, begin))

    message = server.messages.one()
    assert message.raw == MESSAGE
    assert (message.sender, message.recipients) == (SENDER, RECIPIENTS)
    session = message.session
    assert session is not None
    assert session.user == USER
    assert (session.tls is not None) == (security != "plain")
    # nodemailer closes the connection once a mail is delivered.
    rude = ["no-quit"] if client == "nodemailer" else []
    assert [violation.code for violation in session.violations] == rude
    assert auth_command(server) == f"AUTH {mechanism}" + " ***" * (begin == INITIAL)


@each_cell
def test_a_wrong_password(
    client: str, mechanism: str, begin: str, security: str, tmp_path: Path
) -> None:
    with auth_server(mechanism, security) as server, pytest.raises(Failed):
        deliver(client, job(server, tmp_path, mechanism, begin, "wrong-s3cret"))

    assert server.messages == []
    (session,) = server.sessions
    assert session.user is None
    replies = [line[:4] for _, who, line in session.exchanges if who == "S"]
    assert "235 " not in replies
    # curl takes the error that XOAUTH2 gives as a challenge for the end, and goes.
    assert "535 " in replies or (client, mechanism) == ("curl", "XOAUTH2")
    assert (session.tls is not None) == (security != "plain")


def test_each_mechanism_has_a_witness() -> None:
    assert {mechanism for _, mechanism, _, _ in cells()} == set(MECHANISMS)


def test_the_table_of_the_docs_shows_each_cell() -> None:
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown()]
    assert head == ["client", *MECHANISMS]
    shown = {
        (row[0].strip("`"), mechanism, begin)
        for row in rows
        for mechanism, cell in zip(head[1:], row[1:], strict=True)
        for begin in (INITIAL, LATER)
        if cell in (begin, "both")
    }
    assert shown == {cell[:3] for cell in cells()}
