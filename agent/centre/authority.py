"""The city's certificate authority: certificates for boxes, the broker and the centre's programs. X.509, P-256.

Certificates begin in 1970: a box without a battery clock wakes up then, and learns the time from the centre over this
very connection (fault C10). Their end is checked as ever.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Iterable


CA_DAYS = 3653
BOX_DAYS = 825
BEGIN = datetime(1970, 1, 1, tzinfo=UTC)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def make_authority(key: ec.EllipticCurvePrivateKey, city: str, now: datetime) -> x509.Certificate:
    """Certify the authority by itself. It may not make other authorities."""
    name = _name(f"pasu {city}")
    return (
        _builder(name, name, key.public_key(), now + timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def certify_server(
    authority: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    public: ec.EllipticCurvePublicKey,
    hosts: Iterable[str],
) -> x509.Certificate:
    """Certify the broker, for as long as the authority: hosts are names or addresses, the first is its CN."""
    names = list(dict.fromkeys(hosts))
    return (
        _issued(authority, names[0], public, authority.not_valid_after_utc, ExtendedKeyUsageOID.SERVER_AUTH)
        .add_extension(x509.SubjectAlternativeName([_alternative(host) for host in names]), critical=False)
        .sign(key, hashes.SHA256())
    )


def certify_client(
    authority: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    public: ec.EllipticCurvePublicKey,
    name: str,
    until: datetime,
) -> x509.Certificate:
    """Certify a box, or the centre's programs, under a CN; never longer than the authority itself."""
    end = min(until, authority.not_valid_after_utc)
    return _issued(authority, name, public, end, ExtendedKeyUsageOID.CLIENT_AUTH).sign(key, hashes.SHA256())


def revoke(
    authority: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    before: x509.CertificateRevocationList | None,
    serials: Iterable[int],
    now: datetime,
) -> x509.CertificateRevocationList:
    """List certificates that count no more, with those of the list before.

    The list is good for as long as the authority: a broker with a list that has run out refuses everybody.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.subject)
        .last_update(now)
        .next_update(authority.not_valid_after_utc)
        .add_extension(x509.CRLNumber((_number(before) if before else 0) + 1), critical=False)
    )
    listed = {entry.serial_number: entry for entry in before} if before else {}
    for serial in serials:
        if serial not in listed:
            listed[serial] = (
                x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
            )
    for entry in listed.values():
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(key, hashes.SHA256())


def pem(what: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    """Write it as others read it."""
    return what.public_bytes(Encoding.PEM)


def _number(crl: x509.CertificateRevocationList) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def _issued(
    authority: x509.Certificate,
    name: str,
    public: ec.EllipticCurvePublicKey,
    end: datetime,
    use: x509.ObjectIdentifier,
) -> x509.CertificateBuilder:
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        _builder(_name(name), authority.subject, public, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN)
        .not_valid_after(end)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
