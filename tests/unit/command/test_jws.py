import base64
import contextlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from agent.command import jws, strict
from agent.command.errors import CommandRefused
from tests.city import private

KEY = private("jws")
KID = jws.kid_of(KEY.public_key().public_bytes_raw())
TYP = "pasu-command+jws"

# RFC 8037, appendix A.
SECRET = base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
PUBLIC = base64.urlsafe_b64decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
SIGNED = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)


def code(text: str, key: Ed25519PublicKey | None = None, typ: str = TYP) -> str:
    with pytest.raises(CommandRefused) as caught:
        jws.verify(text, key or KEY.public_key(), typ)
    return caught.value.code


def forged(header: object, payload: object = None, *, raw: bytes | None = None) -> str:
    """Sign whatever somebody may put into an envelope, correctly."""
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    body = raw if raw is not None else json.dumps({} if payload is None else payload).encode()
    signed = f"{strict.base64url(head)}.{strict.base64url(body)}"
    return f"{signed}.{strict.base64url(KEY.sign(signed.encode()))}"


HEADER = {"alg": "EdDSA", "kid": KID, "typ": TYP}


def test_the_vector_of_rfc_8037() -> None:
    key = Ed25519PrivateKey.from_private_bytes(SECRET)
    assert key.public_key().public_bytes_raw() == PUBLIC
    payload = b"Example of Ed25519 signing"
    assert jws._envelope().encode(payload, key, "EdDSA", {"typ": None}) == SIGNED
    assert jws._envelope().decode(SIGNED, key.public_key(), algorithms=["EdDSA"]) == payload
    # It names no key and no purpose, and what it signs is no object.
    assert code(SIGNED, key.public_key()) == "JWS_MALFORMED"


def test_what_is_signed_comes_back() -> None:
    payload = {"하나": [1, {"two": None}], "b": True}
    text = jws.sign(payload, KEY, KID, TYP)
    assert jws.verify(text, KEY.public_key(), TYP) == payload
    assert jws.peek(text) == (HEADER, payload)


def test_it_is_the_key_for_this_purpose_or_nothing() -> None:
    text = jws.sign({}, KEY, KID, TYP)
    assert code(text, typ="pasu-ring+jws") == "JWS_TYPE"
    assert code(text, private("another").public_key()) == "JWS_SIGNATURE"
    with pytest.raises(ValueError, match="another key"):
        jws.sign({}, private("another"), KID, TYP)
    with pytest.raises(TypeError):
        jws.sign({"a": 1.5}, KEY, KID, TYP)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "kid": KID, "typ": TYP},
        {"alg": "HS256", "kid": KID, "typ": TYP},
        {"alg": "Ed25519", "kid": KID, "typ": TYP},
        HEADER | {"crit": ["b64"], "b64": False},
        HEADER | {"b64": True},
        HEADER | {"jwk": {"kty": "OKP"}},
        HEADER | {"x5c": []},
        {"alg": "EdDSA", "typ": TYP},
        {"alg": "EdDSA", "kid": KID},
        HEADER | {"kid": 7},
        HEADER | {"kid": KID.upper()},
        HEADER | {"kid": KID + "\n"},
        HEADER | {"typ": ["a"]},
        [HEADER],
        b"\xff",
        b'{"alg":"EdDSA","alg":"EdDSA","kid":"%s","typ":"%s"}' % (KID.encode(), TYP.encode()),
    ],
)
def test_a_header_leaves_nothing_to_choice(header: object) -> None:
    assert code(forged(header)) == "JWS_MALFORMED"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b"{} {}",
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":1.0}',
        b'{"a":1e3}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":9007199254740992}',
        b'{"a":-9007199254740992}',
        b'{"a":' + b"9" * 40_000 + b"}",
        b'{"a":"\\ud800"}',
        b'{"\\udc00":1}',
        b'{"a":"\xff"}',
        b"\xef\xbb\xbf{}",
        b'{"a":' * 16 + b"{}" + b"}" * 16,
        b'{"a":' + b"[" * 16 + b"]" * 16 + b"}",
        b"[" * 40_000,
    ],
)
def test_e9_hostile_payloads_are_refused_though_signed(raw: bytes) -> None:
    assert code(forged(HEADER, raw=raw)) == "JWS_MALFORMED"


def test_the_limits_themselves_are_allowed() -> None:
    deep: object = 1
    for _ in range(15):
        deep = [deep]
    body = {"a": deep, "n": 9007199254740991, "m": -9007199254740991}
    assert jws.verify(forged(HEADER, body), KEY.public_key(), TYP) == body


def test_e9_size_is_looked_at_first() -> None:
    assert code("a" * (jws.MOST_BYTES + 1)) == "JWS_LARGE"
    with pytest.raises(CommandRefused) as caught:
        jws.sign({"a": "x" * jws.MOST_BYTES}, KEY, KID, TYP)
    assert caught.value.code == "JWS_LARGE"
    with pytest.raises(ValueError, match="long"):
        strict.read(b" " * (strict.MOST_BYTES + 1))


def test_there_is_one_way_of_writing_it() -> None:
    text = jws.sign({"a": 1}, KEY, KID, TYP)
    head, payload, signature = text.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 86 letters carry four bits too many, and a payload of 7 bytes two.
    twin = alphabet[alphabet.index(signature[-1]) ^ 1]
    for other in (
        f"{head}.{payload}.{signature[:-1]}{twin}",
        f"{head}.{payload}=.{signature}",
        f"{head}.{payload}.{signature}\n",
        f" {text}",
        f"{text}.",
        f"{head}..{signature}",
        f"{head}.{payload[:-1]}{alphabet[alphabet.index(payload[-1]) ^ 1]}.{signature}",
        f"{head}.{payload[:-1]}.{signature}",
    ):
        assert code(other) in ("JWS_MALFORMED", "JWS_SIGNATURE")


@given(st.data())
def test_no_changed_letter_gets_through(data: st.DataObject) -> None:
    text = jws.sign({"box": "gn-0007", "counter": 3}, KEY, KID, TYP)
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("Aa0-_.b="))
    changed = text[:place] + letter + text[place + 1 :]
    if changed != text:
        assert code(changed) in ("JWS_MALFORMED", "JWS_SIGNATURE", "JWS_TYPE")


@given(st.text(max_size=400))
def test_any_text_is_refused_by_the_one_error(text: str) -> None:
    assert code(text) in ("JWS_MALFORMED", "JWS_LARGE")


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_a_value_error(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(strict.read(data), dict)


def test_names_and_numbers() -> None:
    assert strict.is_name("김하나")
    assert not any(map(strict.is_name, ["", " ", "a\n", "x" * 65, 7, None, "a\u202eb"]))
    assert strict.is_number(0)
    assert not any(map(strict.is_number, [-1, True, 1 << 53, "1", None]))
    assert strict.folded("김 하나") == strict.folded("\u1100\u1175\u11b7  \u1112\u1161\u1102\u1161 ")
