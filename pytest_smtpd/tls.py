"""Certificates and TLS contexts: made for the tests, or brought by the user.

Rule: a run without TLS imports neither ssl nor trustme, and a certificate is made once in a run.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from .options.table import CERTIFICATES
from .originals import getpid, open_file

if TYPE_CHECKING:
    import ssl

    import trustme

    from .options import Options

_FilePath: TypeAlias = "str | os.PathLike[str]"

# Fixed dates, so that frozen time changes no certificate. They lie within the CA's validity
_DATES = {
    "expired": (datetime.datetime(2000, 1, 2), datetime.datetime(2001, 1, 1)),
    "not-yet-valid": (datetime.datetime(2999, 1, 1), datetime.datetime(2999, 12, 31)),
}
_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_WRONG_NAMES = frozenset({"wrong.invalid"})

# OpenSSL's reasons for a wrong key: another key, another type, and another type in OpenSSL 3
_MISMATCHES = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")


class TLSUnavailable(RuntimeError):
    """A certificate has to be made, and trustme, from the extra ``tls``, is not installed."""

    def __init__(self) -> None:
        super().__init__("tls needs trustme: pip install 'pytest-smtpd-server[tls]'")


class TLSMaterial:
    """The certificate of a server, and the CA for its clients. `material` makes it.

    All servers of the run with the same certificate share a `server_context`.
    """

    __slots__ = ("_find_ca_file", "server_context")

    def __init__(
        self, server_context: ssl.SSLContext, find_ca_file: Callable[[], Path | None]
    ) -> None:
        self.server_context = server_context
        self._find_ca_file = find_ca_file

    @property
    def ca_file(self) -> Path | None:
        """A PEM file that clients may trust; None for an `ssl_context` without a `certificate`."""
        return self._find_ca_file()

    def client_context(self) -> ssl.SSLContext:
        """A new client context that checks host names and trusts only `ca_file`.

        Without a `ca_file` it is the default context, which trusts the CAs of this machine.
        """
        import ssl

        ca_file = self.ca_file
        if ca_file is None:
            return ssl.create_default_context()
        context = ssl.create_default_context(cafile=ca_file)
        # The user's file may hold a leaf without its CA: then clients trust the leaf itself.
        # Python 3.13 sets this flag by default
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context


def material(options: Options) -> TLSMaterial:
    """The TLS material for these options.

    Raises `TLSUnavailable` if a certificate has to be made without trustme, `ValueError`, naming
    the file, for a pair of files that cannot be used, and `OSError`, naming the directory, if the
    made certificate cannot be written.
    """
    __tracebackhide__ = True
    certificate = options.certificate
    if options.ssl_context is not None:
        own_file = None if isinstance(certificate, str) else _readable(certificate[0])
        return TLSMaterial(options.ssl_context, lambda: own_file)
    if not isinstance(certificate, str):
        return _own_pair(*certificate)
    if certificate not in CERTIFICATES:
        raise ValueError(
            f"smtpd option 'certificate': {certificate!r} is none of {', '.join(CERTIFICATES)}"
        )
    if certificate == "wrong-host":
        return _made(certificate, _WRONG_NAMES)
    # The brackets of a URL and the zone of an interface are no part of a name
    given = filter(None, (options.host, options.greeting_hostname))
    own = (name.strip("[]").partition("%")[0].rstrip(".").lower() for name in given)
    return _made(certificate, _NAMES.union(own))


def _own_pair(certfile: _FilePath, keyfile: _FilePath) -> TLSMaterial:
    __tracebackhide__ = True
    import ssl

    chain, key = _readable(certfile), _readable(keyfile)

    def passphrase() -> str:
        # Without this callback OpenSSL asks on the terminal, and the run hangs
        raise ValueError(
            f"smtpd option 'certificate': the key in {keyfile} is encrypted: remove its passphrase"
        )

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(chain, key, password=passphrase)
    except ssl.SSLError as error:
        if b"CERTIFICATE-----" not in chain.read_bytes():
            problem = f"{certfile} holds no PEM certificate"
        elif b"PRIVATE KEY-----" not in key.read_bytes():
            problem = f"{keyfile} holds no PEM private key"
        elif error.reason in _MISMATCHES:
            problem = f"{keyfile} is not the key of {certfile}"
        else:
            problem = f"{certfile} with {keyfile} cannot be used: {error.reason or error}"
        raise ValueError(f"smtpd option 'certificate': {problem}") from None
    return TLSMaterial(context, lambda: chain)


def _readable(name: _FilePath) -> Path:
    __tracebackhide__ = True
    # absolute: the client may be a process in another directory
    path = Path(name).absolute()
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise ValueError(
            f"smtpd option 'certificate': cannot read {str(name)!r}: {error.strerror}"
        ) from None


# Certificates and contexts of this run, guarded by the lock.
_lock = threading.Lock()
_materials: dict[tuple[str, frozenset[str]], TLSMaterial] = {}
_authorities: dict[str, trustme.CA] = {}
_directory: Path | None = None
_directory_owner = 0

# Taken at import: a test may set `tempfile.tempdir` to a directory that goes with the test
_temporary: str | None = None
with contextlib.suppress(OSError):  # reported where it is needed
    _temporary = tempfile.gettempdir()


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    """Raises an `OSError` of its block with the option and the path in the text."""
    __tracebackhide__ = True
    try:
        yield
    except OSError as error:
        path = error.filename or _directory or _temporary or "any temporary directory"
        problem = f"cannot write a certificate in {path}: {error.strerror}"
        raise OSError(error.errno, f"smtpd option 'tls': {problem}") from None


def _made(kind: str, names: frozenset[str]) -> TLSMaterial:
    __tracebackhide__ = True
    with _lock:
        if (kind, names) not in _materials:
            _materials[kind, names] = _make(kind, names)
        return _materials[kind, names]


def _make(kind: str, names: frozenset[str]) -> TLSMaterial:
    __tracebackhide__ = True
    trusted = _authority("trusted")
    issuer = _authority("unknown") if kind == "untrusted" else trusted
    import ssl

    from trustme import KeyType

    not_before, not_after = _DATES.get(kind, (None, None))
    leaf = issuer.issue_cert(
        *sorted(filter(_is_identity, names)),
        not_before=not_before,
        not_after=not_after,
        key_type=KeyType.ECDSA,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # load_cert_chain reads only files. This file holds a key, so it is removed at once
    with _writing():
        descriptor, path = tempfile.mkstemp(suffix=".pem", dir=_own_directory())
    try:
        with _writing(), open_file(descriptor, "wb") as file:
            file.write(leaf.private_key_and_cert_chain_pem.bytes())
        context.load_cert_chain(path)
    finally:
        os.unlink(path)
    return TLSMaterial(context, _made_ca_file)


def _authority(role: str) -> trustme.CA:
    __tracebackhide__ = True
    try:
        import trustme
    except ImportError as error:
        # A missing trustme is in the text; a broken one only in the cause
        raise TLSUnavailable from (None if error.name == "trustme" else error)
    if role not in _authorities:
        _authorities[role] = trustme.CA(key_type=trustme.KeyType.ECDSA)
    return _authorities[role]


def _is_identity(name: str) -> bool:
    """Whether a certificate can name it; it cannot name a path, a pattern or ``my_host``."""
    import idna

    try:
        ip_address(name)
    except ValueError:
        try:
            idna.encode(name, uts46=True)
        except UnicodeError:
            return False
    return True


def _made_ca_file() -> Path:
    with _lock, _writing():
        path = _own_directory() / "ca.pem"
        # each time: a test may have emptied the temporary directory
        if not path.exists():
            path.write_bytes(_authority("trusted").cert_pem.bytes())
            path.chmod(0o644)
        return path


def _own_directory() -> Path:
    __tracebackhide__ = True
    global _directory, _directory_owner
    if _directory is None or not _directory.exists():
        parent = _temporary if _temporary and os.path.isdir(_temporary) else None
        _directory = Path(tempfile.mkdtemp(prefix="pytest-smtpd-", dir=parent))
        _directory_owner = getpid()
        # A client that runs as another user, for example in a container, has to read the CA
        _directory.chmod(0o755)
    return _directory


@atexit.register
def _remove_directory() -> None:
    # a forked child leaves the directory to its parent
    if _directory is not None and _directory_owner == getpid():
        shutil.rmtree(_directory, ignore_errors=True)


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    # another thread of the parent may hold the lock, and in the child no thread would release it
    os.register_at_fork(after_in_child=_renew_lock)
