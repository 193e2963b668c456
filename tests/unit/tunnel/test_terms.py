"""What the centre says of a tunnel: nothing is taken that is not signed, or that a tunnel must not be."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from agent.centre import authority
from agent.tunnel import terms as written
from tests.unit.tunnel.samples import CA, CA_KEY, KEY, PEER, signed_terms, terms

V6 = {
    "addresses": ("10.77.1.7/32", "fd77:0:0:1::7/128"),
    "allowed": ("10.77.0.1/32", "fd77::/64"),
    "endpoint": "[2001:db8::5]:51820",
    "mtu": 1280,
}


@pytest.mark.parametrize("more", [{}, V6, {"allowed": ("10.77.0.0/24", "10.78.0.1/32")}])
def test_terms_are_read_as_they_were_written(more):
    made = signed_terms(**more)
    assert written.read(json.loads(json.dumps(written.to_json(made))), CA) == made


def test_what_terms_say():
    plain, both = terms(), terms(**V6)
    assert (plain.host, plain.port, plain.hosts, plain.wants_ipv6) == (
        "203.0.113.5",
        51820,
        ("10.77.1.7",),
        False,
    )
    assert (both.host, both.port, both.hosts[1], both.wants_ipv6) == (
        "2001:db8::5",
        51820,
        "fd77:0:0:1::7",
        True,
    )


@pytest.mark.parametrize(
    "more",
    [
        {"box": "gn-0008"},
        {"mtu": 1300},
        {"allowed": ["10.77.0.2/32"]},
        {"endpoint": "203.0.113.6:51820"},
        {"key": PEER, "peer": KEY},
        {"signature": ""},
        {"signature": "not base64"},
    ],
)
def test_what_was_changed_after_signing_is_refused(more):
    with pytest.raises(ValueError, match="signed"):
        written.read(written.to_json(signed_terms()) | more, CA)


def test_another_authority_does_not_count():
    other = authority.pem(authority.make_authority(authority.new_key(), "x", authority.BEGIN)).decode()
    with pytest.raises(ValueError, match="signed"):
        written.read(written.to_json(signed_terms()), other)
    with pytest.raises(ValueError, match="kind of key"):
        written.read(written.to_json(signed_terms()), of_another_kind())


def of_another_kind() -> str:
    key = Ed25519PrivateKey.generate()
    name = authority._name("x")
    builder = authority._builder(name, name, key.public_key(), authority.make_authority(CA_KEY, "x", authority.BEGIN).not_valid_after_utc)  # fmt: skip
    return authority.pem(builder.sign(key, None)).decode()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"v": 2}, "members"),
        ({"magic": "x"}, "members"),
        ({"extra": 1}, "members"),
        ({"box": "../x"}, "texts"),
        ({"box": 7}, "texts"),
        ({"key": PEER}, "keys"),
        ({"key": "AAAA"}, "keys"),
        ({"peer": "=" * 44}, "keys"),
        ({"issued_ms": -1}, "issued_ms"),
        ({"issued_ms": True}, "issued_ms"),
        ({"addresses": []}, "addresses"),
        ({"addresses": "10.77.1.7/32"}, "addresses"),
        ({"addresses": [7]}, "addresses"),
        ({"addresses": ["10.77.1.7/32", "10.77.1.8/32"]}, "two addresses"),
        ({"addresses": ["10.77.1.7/16"]}, "not one host"),
        ({"addresses": ["127.0.0.1/32"]}, "not one host"),
        ({"addresses": ["224.0.0.1/32"]}, "not one host"),
        ({"addresses": ["x"]}, "x"),
        ({"allowed": ["0.0.0.0/0"]}, "more than the centre"),
        ({"allowed": ["0.0.0.0/1", "128.0.0.0/1"]}, "more than the centre"),
        ({"allowed": ["10.0.0.0/8"]}, "more than the centre"),
        ({"allowed": ["::/0"]}, "more than the centre"),
        ({"allowed": ["fd00::/48"]}, "more than the centre"),
        ({"allowed": ["127.0.0.0/24"]}, "no network"),
        ({"allowed": ["169.254.0.0/24"]}, "no network"),
        ({"allowed": ["240.0.0.0/24"]}, "no network"),
        ({"allowed": ["ff02::/64"]}, "no network"),
        ({"allowed": ["::ffff:0.0.0.0/96"]}, "no network"),
        ({"allowed": ["centre.example"]}, "centre.example"),
        ({"allowed": ["10.77.1.0/24"]}, "own address"),
        ({"allowed": ["203.0.113.0/24"]}, "inside its own tunnel"),
        ({"allowed": ["10.77.0.1/32"] * 17}, "addresses"),
        ({"endpoint": "centre.example:51820"}, "ADDRESS:PORT"),
        ({"endpoint": "203.0.113.5"}, "ADDRESS:PORT"),
        ({"endpoint": "203.0.113.5:0"}, "ADDRESS:PORT"),
        ({"endpoint": "203.0.113.5:65536"}, "ADDRESS:PORT"),
        ({"endpoint": "[203.0.113.5]:51820"}, "ADDRESS:PORT"),
        ({"endpoint": "[fe80::1]:51820"}, "address of a host"),
        ({"endpoint": "[::ffff:0:1]:51820"}, "address of a host"),
        ({"endpoint": "0.0.0.0:51820"}, "address of a host"),
        ({"endpoint": "999.0.0.1:51820"}, "999"),
        ({"mtu": 575}, "MTU"),
        ({"mtu": 1421}, "MTU"),
        ({"mtu": 1279, "addresses": ["fd77::1:7/128"]}, "MTU"),
        ({"mtu": 1200.0}, "MTU"),
        ({"keepalive_s": 0}, "keepalive"),
        ({"keepalive_s": 61}, "keepalive"),
    ],
)
def test_what_no_tunnel_may_be_is_refused(more, why):
    """F3, F10: no way to everything, in whatever pieces; no name; not more than one host's address."""
    with pytest.raises(ValueError, match=why):
        written.parse(written.to_json(terms()) | more)


@pytest.mark.parametrize("body", [None, [], 7, "x", {}])
def test_what_are_no_terms_is_refused(body):
    with pytest.raises(ValueError, match="members"):
        written.parse(body)


@given(st.binary(max_size=40), st.text(max_size=50))
def test_what_is_no_key_is_none(data, text):
    import base64

    assert written.is_key(base64.b64encode(data).decode()) == (len(data) == 32)
    assert not written.is_key(text) or len(base64.b64decode(text)) == 32
    assert not written.is_key(data)


def test_overlaps():
    inside = ["10.77.0.1/32", "fd77::/64"]
    others = ["10.77.0.0/24", "10.0.0.11", "camera.local", "fd77::9", "10.77.0.1", "fd78::1/64"]
    assert written.overlaps(inside, others) == ["10.77.0.0/24", "fd77::9", "10.77.0.1"]


def test_one_entry_of_what_is_allowed():
    assert written.allowed_network("10.77.0.1/32") == "10.77.0.1/32"
    with pytest.raises(ValueError, match="more than"):
        written.allowed_network("0.0.0.0/0")
