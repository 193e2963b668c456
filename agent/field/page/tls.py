"""The page's certificate: one that lies in its folder, or one that it makes and signs itself. Edge.

A browser warns of it; its fingerprint is on the box's screen (`pasu status`, `pasu pass issue`) to be compared.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.errors import ConfigError
from agent.storage.files import exists, read_small

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agent.storage.files import Disk

CERTIFICATE, KEY = "cert.pem", "key.pem"
FROM = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
UNTIL = dt.datetime(2049, 12, 31, tzinfo=dt.UTC)
"""Longer than a box lives, and begun before any clock that runs wrong: nobody checks it but by its fingerprint."""
_LIMIT_BYTES = 1 << 16


def ensure(folder: Path, box: str, addresses: Sequence[str], disk: Disk) -> str:
    """Make key and certificate where there are none; return the fingerprint of the certificate that is there.

    folder   the page's own
    Raises   StorageFault; ConfigError PAGE_CERTIFICATE for files that are not a certificate and its key
    """
    if not exists(folder / CERTIFICATE):
        _make(folder, box, addresses, disk)
    return fingerprint(folder)


def context(folder: Path) -> ssl.SSLContext:
    """Return what the server speaks TLS with: 1.2 or later. Raises ConfigError PAGE_CERTIFICATE."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.options |= ssl.OP_NO_RENEGOTIATION
    made.num_tickets = 0
    try:
        made.load_cert_chain(folder / CERTIFICATE, folder / KEY)
    except (OSError, ssl.SSLError) as error:
        raise _wrong(folder) from error
    return made


def fingerprint(folder: Path) -> str:
    """Return the certificate's SHA-256, as browsers show it: pairs of hexadecimal digits. Raises as `ensure`."""
    try:
        found = x509.load_pem_x509_certificate(read_small(folder / CERTIFICATE, _LIMIT_BYTES))
    except (OSError, ValueError) as error:
        raise _wrong(folder) from error
    return found.fingerprint(hashes.SHA256()).hex(":").upper()


def _make(folder: Path, box: str, addresses: Sequence[str], disk: Disk) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Pasu {box}")])
    names = [x509.IPAddress(ipaddress.ip_address(each)) for each in addresses]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(FROM)
        .not_valid_after(UNTIL)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    text = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    # The certificate last: where it is, its key is.
    disk.atomic_replace(folder / KEY, text, sync=True)
    disk.atomic_replace(folder / CERTIFICATE, certificate.public_bytes(serialization.Encoding.PEM), sync=True)


def _wrong(folder: Path) -> ConfigError:
    return ConfigError("PAGE_CERTIFICATE", "no certificate with its key", folder=str(folder))
