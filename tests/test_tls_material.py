"""Certificates, proven by handshakes with clients that verify them."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from pytest_smtpd.tls import TLSMaterial, TLSUnavailable, material

trustme = pytest.importorskip("trustme")


@dataclass
class Options:
    certificate: str | tuple[str | os.PathLike[str], str | os.PathLike[str]] = "valid"
    ssl_context: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    greeting_hostname: str = "localhost"


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str:
    """Shake hands over a socket pair; the version of TLS, or the client's error is raised."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(10)
        theirs.settimeout(10)

        def serve() -> None:
            try:
                server.wrap_socket(ours, server_side=True).close()
            except OSError:
                pass  # the client has the reason

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with client.wrap_socket(theirs, server_hostname=name) as connection:
                version = connection.version()
                assert version is not None
                return version
        finally:
            theirs.close()
            thread.join()


def connect(made: TLSMaterial, name: str = "localhost") -> str:
    client = made.client_context()
    # Python 3.13's default, for all versions.
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    return handshake(made.server_context, client, name)


# --- made certificates --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_valid_passes_strict_checks(name: str) -> None:
    assert connect(material(Options()), name) == "TLSv1.3"


@pytest.mark.parametrize(
    ("host", "greeting", "name"),
    [
        ("mail.example", "localhost", "mail.example"),
        ("192.0.2.7", "localhost", "192.0.2.7"),
        ("[2001:db8::7]", "localhost", "2001:db8::7"),
        ("fe80::1%eth0", "localhost", "fe80::1"),
        ("127.0.0.1", "MX.Example.", "mx.example"),
        ("127.0.0.1", "b\xfccher.example", "xn--bcher-kva.example"),
    ],
)
def test_valid_for_host_and_greeting_name(host: str, greeting: str, name: str) -> None:
    made = material(Options(host=host, greeting_hostname=greeting))
    connect(made, name)
    connect(made, "localhost")


@pytest.mark.parametrize(
    "host", ["", "/tmp/smtp.sock", "my_host", "*.example", "ann@example.com", "10.0.0.0/8", "a..b"]
)
def test_a_host_that_is_no_name_is_left_out(host: str) -> None:
    connect(material(Options(host=host)))
    connect(material(Options(greeting_hostname=host)))


@pytest.mark.parametrize(
    ("kind", "code", "message"),
    [
        ("expired", 10, "certificate has expired"),
        ("not-yet-valid", 9, "certificate is not yet valid"),
        ("wrong-host", 62, "Hostname mismatch, certificate is not valid for 'localhost'."),
        ("untrusted", 20, "unable to get local issuer certificate"),
    ],
)
def test_a_bad_certificate_is_refused_for_its_reason(kind: str, code: int, message: str) -> None:
    made = material(Options(certificate=kind))
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        connect(made)
    assert (caught.value.verify_code, caught.value.verify_message) == (code, message)

    careless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    careless.check_hostname = False
    careless.verify_mode = ssl.CERT_NONE
    assert handshake(made.server_context, careless, "localhost") == "TLSv1.3"


def test_only_the_reason_asked_for_is_wrong() -> None:
    connect(material(Options(certificate="wrong-host")), "wrong.invalid")
    with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for 'other\.example'"):
        connect(material(Options()), "other.example")


def test_the_ca_is_not_trusted_by_default() -> None:
    made = material(Options())
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(made.server_context, ssl.create_default_context(), "localhost")


def test_the_key_is_elliptic() -> None:
    made = material(Options())
    client = made.client_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers("ECDHE+aECDSA")
    assert handshake(made.server_context, client, "localhost") == "TLSv1.2"


def test_no_key_stays_on_the_disk() -> None:
    ca_file = material(Options(host="key.example")).ca_file
    assert ca_file is not None
    assert [path.name for path in ca_file.parent.iterdir()] == ["ca.pem"]
    assert b"PRIVATE" not in ca_file.read_bytes()


def test_made_once_a_run() -> None:
    made = material(Options())
    assert material(Options(host="localhost")) is made
    assert material(Options(host="once.example")) is not made
    assert material(Options(host="once.example")).ca_file == made.ca_file
    assert material(Options(certificate="untrusted")).ca_file == made.ca_file
    first, second = made.client_context(), made.client_context()
    assert first is not second
    assert first.check_hostname


def test_many_threads_get_one_certificate() -> None:
    found: list[TLSMaterial] = []
    threads = [
        threading.Thread(target=lambda: found.append(material(Options(host="race.example"))))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1


@pytest.mark.parametrize("whole", [True, False], ids=["directory", "file"])
def test_the_ca_file_comes_back_after_a_clean_up(whole: bool) -> None:
    made = material(Options())
    assert made.ca_file is not None
    if whole:
        shutil.rmtree(made.ca_file.parent)
    else:
        made.ca_file.unlink()
    assert made.ca_file.exists()
    connect(made)


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="'invalid' is none of valid, expired, not-yet-valid"):
        material(Options(certificate="invalid"))


# --- in a process of its own --------------------------------------------------------------------


def run(code: str, *options: str) -> str:
    prelude = f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})\n"
    result = subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", prelude + code],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout.strip()


def test_importing_loads_neither_ssl_nor_trustme() -> None:
    code = (
        "before = {*sys.modules}; import pytest_smtpd.tls; "
        "print({'ssl', 'trustme', 'idna', 'cryptography', 'asyncio'} & ({*sys.modules} - before))"
    )
    assert run(code) == "set()"


def test_without_trustme_the_error_says_what_to_install() -> None:
    code = """
sys.modules["trustme"] = None
from types import SimpleNamespace
from pytest_smtpd.tls import TLSUnavailable, material
options = dict(certificate="valid", ssl_context=None, host="127.0.0.1", greeting_hostname="x")
try:
    material(SimpleNamespace(**options))
except TLSUnavailable as error:
    print(error)
import ssl
options["ssl_context"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
print(material(SimpleNamespace(**options)).ca_file)
"""
    assert run(code).splitlines() == [
        "tls needs trustme: pip install 'pytest-smtpd-server[tls]'",
        "None",
    ]
    assert issubclass(TLSUnavailable, RuntimeError)


MAKE = """
import os
from types import SimpleNamespace
from pytest_smtpd.tls import material
options = SimpleNamespace(
    certificate="valid", ssl_context=None, host="127.0.0.1", greeting_hostname="localhost"
)
"""


def test_nothing_is_left_after_the_run() -> None:
    path = Path(run(MAKE + "print(material(options).ca_file)", "-X", "dev"))
    assert path.name == "ca.pem"
    assert not path.parent.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_uses_the_certificate_and_leaves_it() -> None:
    code = MAKE + (
        "made = material(options)\n"
        "import pytest_smtpd.tls as tls\n"
        "tls._lock.acquire()\n"  # as another thread might, just then
        "pid = os.fork()\n"
        "if not pid:\n"
        "    assert material(options) is made\n"
        "    made.client_context()\n"
        "    sys.exit(0)\n"
        "tls._lock.release()\n"
        "print(os.waitpid(pid, 0)[1], made.ca_file.exists())\n"
    )
    assert run(code) == "0 True"


@pytest.mark.parametrize("kind", ["valid", "expired", "not-yet-valid"])
def test_frozen_time_changes_no_certificate(kind: str) -> None:
    pytest.importorskip("freezegun")
    made = MAKE.strip().replace('"valid"', repr(kind)) + "\nmade = material(options)"
    code = (
        "import freezegun\n"
        "with freezegun.freeze_time('1999-12-31'):\n"
        + textwrap.indent(made, "    ")
        + "\nfrom test_tls_material import connect\n"
        "try:\n"
        "    print(connect(made))\n"
        "except Exception as error:\n"
        "    print(error.verify_code)\n"
    )
    expected = {"valid": "TLSv1.3", "expired": "10", "not-yet-valid": "9"}
    assert run(code) == expected[kind]


# --- own files and contexts ---------------------------------------------------------------------


@dataclass
class Files:
    certificate: Path
    key: Path
    authority: Path


@pytest.fixture
def own(tmp_path: Path) -> Files:
    """A leaf of a CA that is not in the leaf's file."""
    authority = trustme.CA()
    leaf = authority.issue_cert("own.example")
    files = Files(tmp_path / "own.pem", tmp_path / "own.key", tmp_path / "ca.pem")
    leaf.cert_chain_pems[0].write_to_path(files.certificate)
    leaf.private_key_pem.write_to_path(files.key)
    authority.cert_pem.write_to_path(files.authority)
    return files


def test_own_pair_is_served_and_trusted(own: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own.certificate.parent)
    made = material(Options(certificate=(own.certificate.name, own.key)))
    assert made.ca_file == own.certificate
    connect(made, "own.example")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        connect(made, "localhost")


def test_own_pair_may_hold_a_chain(own: Files) -> None:
    own.certificate.write_bytes(own.certificate.read_bytes() + own.authority.read_bytes())
    connect(material(Options(certificate=(str(own.certificate), str(own.key)))), "own.example")


def test_own_pair_may_be_one_file(own: Files) -> None:
    own.certificate.write_bytes(own.key.read_bytes() + own.certificate.read_bytes())
    connect(material(Options(certificate=(own.certificate, own.certificate))), "own.example")


@pytest.mark.parametrize("missing", ["certificate", "key"])
def test_own_pair_with_a_missing_file(own: Files, missing: str) -> None:
    path: Path = getattr(own, missing)
    path.unlink()
    with pytest.raises(ValueError, match="smtpd option 'certificate': cannot read") as caught:
        material(Options(certificate=(own.certificate, own.key)))
    assert str(path) in str(caught.value)


def test_own_pair_that_does_not_match(own: Files) -> None:
    for kind in trustme.KeyType:
        other = trustme.CA().issue_cert("own.example", key_type=kind)
        other.private_key_pem.write_to_path(own.key)
        with pytest.raises(ValueError, match="is not the key of") as caught:
            material(Options(certificate=(own.certificate, own.key)))
        assert str(own.key) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no PEM at all\n", b"-----BEGIN NOTHING-----\n"])
@pytest.mark.parametrize("broken", ["certificate", "key"])
def test_own_pair_with_a_broken_file(own: Files, broken: str, content: bytes) -> None:
    path: Path = getattr(own, broken)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^smtpd option 'certificate': ") as caught:
        material(Options(certificate=(own.certificate, own.key)))
    assert str(path) in str(caught.value)
    assert f"holds no PEM {'certificate' if broken == 'certificate' else 'private key'}" in str(
        caught.value
    )


def test_own_files_swapped(own: Files) -> None:
    with pytest.raises(ValueError, match="holds no PEM certificate") as caught:
        material(Options(certificate=(own.key, own.certificate)))
    assert str(own.key) in str(caught.value)


def test_own_pair_with_a_damaged_key(own: Files) -> None:
    lines = own.key.read_bytes().splitlines(keepends=True)
    own.key.write_bytes(b"".join([lines[0], b"AAAA\n", lines[-1]]))
    with pytest.raises(ValueError, match="cannot be used") as caught:
        material(Options(certificate=(own.certificate, own.key)))
    assert str(own.key) in str(caught.value)


def test_an_encrypted_key_does_not_ask_on_the_terminal(own: Files) -> None:
    from cryptography.hazmat.primitives import serialization as pem

    key = pem.load_pem_private_key(own.key.read_bytes(), None)
    secret = pem.BestAvailableEncryption(b"hidden")
    own.key.write_bytes(key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, secret))
    with pytest.raises(ValueError, match="is encrypted: remove its passphrase") as caught:
        material(Options(certificate=(own.certificate, own.key)))
    assert str(own.key) in str(caught.value)


def test_own_context_wins(own: Files) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)

    alone = material(Options(certificate="expired", ssl_context=context))
    assert alone.server_context is context
    assert alone.ca_file is None
    assert alone.client_context().check_hostname
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(alone, "own.example")

    with_pair = material(Options(certificate=(own.authority, "none"), ssl_context=context))
    assert with_pair.server_context is context
    assert with_pair.ca_file == own.authority
    connect(with_pair, "own.example")


def test_own_context_with_a_missing_file(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(ValueError, match="smtpd option 'certificate': cannot read"):
        material(Options(certificate=(tmp_path / "none.pem", "none"), ssl_context=context))


def test_a_certificate_that_cannot_be_written_names_the_option_and_the_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*args: object, **kwargs: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/somewhere")

    monkeypatch.setattr("tempfile.mkstemp", full)
    expected = (
        "smtpd option 'tls': cannot write a certificate in /tmp/somewhere: No space left on device"
    )
    with pytest.raises(OSError, match=re.escape(expected)):
        material(Options(greeting_hostname="never-used-before.example"))
