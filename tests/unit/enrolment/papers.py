"""Requests and bundles for tests, and someone who changes them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from agent.centre import authority
from agent.command import jws
from agent.enrolment import form
from agent.storage.proof import note
from tests.city import BOX, NOW_MS, City

KEY = Ed25519PrivateKey.generate()
TLS = ec.generate_private_key(ec.SECP256R1())


def csr(name: str = BOX, key=TLS, *more: x509.NameAttribute) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name), *more])
    built = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return built.public_bytes(Encoding.DER)


def request(box: str = BOX, key=KEY, **more) -> form.Request:
    name = f"pasu/{box}"
    vkey = str(note.Verifier(name, key.public_key().public_bytes_raw()))
    values = {
        "box": box,
        "site": "경포해변 3지점",
        "operator": "강릉시",
        "csr": csr(box),
        "vkey": vkey,
        "made_ms": NOW_MS,
    }
    return form.signed(form.Request(**(values | more)), lambda text: note.sign(text, name, key))


def changed(text: str, **more) -> bytes:
    """Return a paper with other members; None removes one."""
    body = json.loads(text) | more
    return json.dumps({key: value for key, value in body.items() if value is not None}).encode()


class Office:
    """A city with an authority, that makes bundles."""

    def __init__(self) -> None:
        self.city = City()
        self.city.staff()
        self.ca_key = authority.new_key()
        self.ca = authority.make_authority(self.ca_key, self.city.name, datetime.now(UTC))
        self.ca_pem = authority.pem(self.ca).decode()

    def statement(self, **more) -> str:
        said = form.city_payload("gangneung", "강릉시", self.ca_pem, "mqtts://10.77.0.1:8883", NOW_MS) | more
        said = {key: value for key, value in said.items() if value is not None}
        return jws.sign(said, self.city.root_key, self.city.root.kid, form.CITY_TYP)

    def certificate(self, name: str = BOX, key=TLS) -> str:
        until = datetime.now(UTC) + timedelta(days=10)
        made = authority.certify_client(self.ca, self.ca_key, key.public_key(), name, until)
        return authority.pem(made).decode()

    def bundle(self, **more) -> str:
        parts = {
            "box": BOX,
            "root": self.city.root,
            "city": self.statement(),
            "pem": self.certificate(),
            "ring": self.city.ring(),
        }
        return form.bundle_json(**(parts | more))
