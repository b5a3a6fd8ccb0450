"""The certificate of one run, where trustme is installed."""

from __future__ import annotations

from pathlib import Path

from .model import Place


def make_certificate(folder: Path) -> Place:
    try:
        import trustme
    except ImportError:
        return Place(folder)
    authority = trustme.CA()
    certificate = folder / "server.pem"
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        certificate
    )
    trust = folder / "authority.pem"
    authority.cert_pem.write_to_path(trust)
    return Place(folder, certificate, trust)
