"""What is exchanged at enrolment: nothing is believed that is not signed by whom it must be."""

from __future__ import annotations

import json
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from agent.centre import authority
from agent.command import strict
from agent.enrolment import form
from agent.errors import ConfigError
from agent.tunnel.terms import signed
from tests.city import BOX, City
from tests.unit.enrolment.papers import Office, changed, csr, request
from tests.unit.tunnel.samples import terms as sample


def refused(data: bytes) -> None:
    with pytest.raises(ConfigError) as caught:
        form.read_request(data)
    assert caught.value.code == "ENROL_REQUEST"


def test_a_request_is_read_as_it_was_written():
    made = request()
    text = form.request_json(made)
    assert form.read_request(text.encode()) == made
    assert text.count("\n") == 1


def test_a_fingerprint_is_of_the_keys_alone():
    made = request()
    assert re.fullmatch(r"(\d{4} ){5}\d{4}", made.fingerprint)
    assert request(made_ms=1, site="다른 곳").fingerprint == made.fingerprint
    assert request(csr=csr(key=ec.generate_private_key(ec.SECP256R1()))).fingerprint != made.fingerprint
    assert request(key=Ed25519PrivateKey.generate()).fingerprint != made.fingerprint


@pytest.mark.parametrize(
    "more",
    [
        {"site": "다른 곳"},
        {"made_ms": 1},
        {"made_ms": -1},
        {"made_ms": "1"},
        {"box": "gn-0008"},
        {"box": "../x"},
        {"box": 7},
        {"magic": "pasu"},
        {"v": 2},
        {"extra": 1},
        {"vkey": None},
        {"csr": 7},
        {"csr": "not base64!"},
        {"csr": "AAAA"},
        {"vkey": "pasu/gn-0007+00000000+AAAA"},
        {"signature": "— pasu/gn-0007 AAAA"},
        {"signature": ""},
        {"signature": "x\n\ny"},
        {"site": ""},
        {"operator": "a\nb"},
    ],
)
def test_a_request_that_was_changed_is_refused(more):
    refused(changed(form.request_json(request()), **more))


def test_a_request_of_the_wrong_keys_is_refused():
    other = ec.generate_private_key(ec.SECP384R1())
    good = request()
    for bad in (
        request(csr=csr("gn-0008")),
        request(csr=csr(BOX, other)),
        request(csr=csr(BOX, KEY_TLS, x509.NameAttribute(NameOID.ORGANIZATION_NAME, "x"))),
        request(vkey=request("gn-0008").vkey),
        request(csr=good.csr[:-4] + b"\0\0\0\1"),
    ):
        refused(form.request_json(bad).encode())


KEY_TLS = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"x", b"\xff", b"{" * 10_000])
def test_what_is_no_request_is_refused(data):
    refused(data)


@pytest.fixture(scope="module")
def office():
    return Office()


def bad_bundle(data: bytes) -> None:
    with pytest.raises(ConfigError) as caught:
        form.read_bundle(data)
    assert caught.value.code == "ENROL_BUNDLE"


def test_a_bundle_is_read_as_it_was_written(office):
    bundle = form.read_bundle(office.bundle().encode())
    assert (bundle.box, bundle.root, bundle.city.broker) == (BOX, office.city.root, "mqtts://10.77.0.1:8883")
    assert bundle.ring.epoch == 1
    assert bundle.tls_key == request().tls_key
    assert bundle.expires_ms > 1_700_000_000_000
    assert re.fullmatch(r"(\d{4} ){5}\d{4}", bundle.fingerprint)


def test_a_bundle_of_parts_that_do_not_belong_together_is_refused(office):
    other = Office()
    foreign = City("sokcho")
    for more in (
        {"box": "gn-0008"},
        {"pem": office.certificate("gn-0008")},
        {"pem": other.certificate()},
        {"pem": "nothing"},
        {"pem": authority.pem(office.ca).decode()},
        {
            "pem": authority.pem(
                authority.certify_server(office.ca, office.ca_key, KEY_TLS.public_key(), [BOX])
            ).decode()
        },
        {"root": foreign.root},
        {"ring": foreign.ring()},
        {"city": office.city.ring()},
        {"ring": office.statement()},
        {"city": office.statement(broker="mqtt://10.77.0.1:1883")},
        {"city": office.statement(broker="mqtts://a b:1")},
        {"city": office.statement(name="")},
        {"city": office.statement(name=None)},
        {"city": office.statement(v=2)},
        {"city": office.statement(city="sokcho")},
        {"city": office.statement(ca="nothing")},
        {"city": office.statement(ca=7)},
        {"city": office.statement(issued_ms="x")},
        {"ring": office.city.ring(keys=[])[:-4] + "AAAA"},
    ):
        bad_bundle(office.bundle(**more).encode())


@pytest.mark.parametrize(
    "more",
    [
        {"magic": "x"},
        {"v": 2},
        {"ring": 7},
        {"city": None},
        {"root": {}},
        {"root": 7},
        {"root": {"key": 1.5}},
    ],
)
def test_a_bundle_that_was_changed_is_refused(office, more):
    bad_bundle(changed(office.bundle(), **more))


@pytest.mark.parametrize("data", [b"", b"[]", b"x" * (form.MOST_BYTES + 1), b"[" * 100_000])
def test_what_is_no_bundle_is_refused(data):
    bad_bundle(data)


def test_an_authority_that_may_not_certify_is_refused(office):
    """A box's own certificate does not make it an authority."""
    key = authority.new_key()
    box = x509.load_pem_x509_certificate(office.certificate(key=key).encode())
    forged = authority.pem(
        authority.certify_client(box, key, request().public_key, BOX, box.not_valid_after_utc)
    ).decode()
    bad_bundle(office.bundle(pem=forged).encode())


def test_no_secret_is_in_a_bundle(office):
    text = office.bundle()
    assert "PRIVATE" not in text
    assert strict.base64url(office.city.root_key.private_bytes_raw()) not in text
    assert json.loads(text).keys() == {"magic", "v", "box", "root", "city", "certificate", "ring"}


TUNNEL = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="


def test_a_request_bears_the_key_of_the_tunnel():
    made = request(tunnel=TUNNEL)
    assert form.read_request(form.request_json(made).encode()) == made
    assert made.fingerprint == request().fingerprint
    refused(form.request_json(request(tunnel="AAAA")).encode())
    refused(changed(form.request_json(made), tunnel=None))
    refused(changed(form.request_json(request()), tunnel=TUNNEL))


def test_a_bundle_bears_the_terms_of_the_tunnel(office):
    terms = signed(sample(), office.ca_key)
    assert form.read_bundle(office.bundle(tunnel=terms).encode()).tunnel == terms
    bad_bundle(office.bundle(tunnel=sample()).encode())
    bad_bundle(office.bundle(tunnel=signed(sample(box="gn-0008"), office.ca_key)).encode())
    bad_bundle(changed(office.bundle(), tunnel=7))


def test_addresses_and_ids():
    assert form.is_broker("mqtts://[fd00::1]:8883")
    assert not form.is_broker(None)
    assert form.is_box("gn-0007")
    assert not form.is_box(7)
