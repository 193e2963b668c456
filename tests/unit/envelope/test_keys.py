from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import ConfigError
from agent.storage.envelope import X25519Identity, X25519Recipient, bech32
from tests.unit.envelope.keys import ALICE, BOB, Drops

# C2SP age.md, "The X25519 recipient type"
SPEC_PRIVATE = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
SPEC_PUBLIC = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"


def test_the_pair_in_the_specification():
    identity = X25519Identity.parse(SPEC_PRIVATE)
    assert identity.secret() == SPEC_PRIVATE
    assert str(identity.recipient()) == SPEC_PUBLIC
    assert X25519Recipient.parse(SPEC_PUBLIC) == identity.recipient()
    assert SPEC_PUBLIC in repr(identity.recipient())
    assert hash(X25519Recipient.parse(SPEC_PUBLIC)) == hash(identity.recipient())
    assert X25519Recipient.parse(SPEC_PUBLIC) != ALICE.recipient()
    assert ALICE.recipient() != str(ALICE.recipient())


def test_an_identity_never_shows_its_key():
    secret = ALICE.secret()
    assert "SECRET" in secret
    for shown in (repr(ALICE), str(ALICE), f"{ALICE}", repr([ALICE])):
        assert "SECRET" not in shown
        assert str(ALICE.recipient()) in shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "age1",
        SPEC_PUBLIC[:-1],
        SPEC_PUBLIC + "q",
        SPEC_PUBLIC.upper(),
        SPEC_PUBLIC[:-1] + "q",
        SPEC_PUBLIC.replace("z", "b", 1),
        SPEC_PUBLIC.replace("z", "Z", 1),
        " " + SPEC_PUBLIC,
        SPEC_PUBLIC + "\n",
        SPEC_PUBLIC.replace("k", "\u212a"),  # the Kelvin sign becomes k in lower case
        bech32.encode("bge", bytes(range(32))),
        bech32.encode("age", bytes(range(31))),
        bech32.encode("age", bytes(range(33))),
        "ag\x80e1" + SPEC_PUBLIC[4:],
        SPEC_PRIVATE,
        SPEC_PRIVATE.lower(),
    ],
)
def test_what_is_no_recipient_is_refused(text):
    with pytest.raises(ConfigError) as caught:
        X25519Recipient.parse(text)
    assert caught.value.code == "RECIPIENT_INVALID"
    assert caught.value.hint
    assert SPEC_PRIVATE.lower() not in str(caught.value).lower()


# Points of order 1, 2, 4 and 8, and their twins above the prime (RFC 7748 section 7; Bernstein, "Curve25519", page 1).
LOW_ORDER = [
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    2**255 - 20,
    2**255 - 19,
    2**255 - 18,
]


@pytest.mark.parametrize("point", LOW_ORDER)
def test_a_recipient_of_low_order_is_refused(point):
    with pytest.raises(ConfigError) as caught:
        X25519Recipient.parse(bech32.encode("age", point.to_bytes(32, "little")))
    assert caught.value.code == "RECIPIENT_INVALID"


@pytest.mark.parametrize(
    "text",
    [
        "",
        SPEC_PUBLIC,
        SPEC_PRIVATE.lower(),
        SPEC_PRIVATE[:-1],
        SPEC_PRIVATE[:-1] + "Q",
        SPEC_PRIVATE.replace("G", "g", 1),
        SPEC_PRIVATE.replace("K", "\u212a"),
        bech32.encode("age-secret-key-", bytes(31)).upper(),
        bech32.encode("age-secret-key-pq-", bytes(32)).upper(),
    ],
)
def test_what_is_no_identity_is_refused_without_repeating_it(text):
    with pytest.raises(ConfigError) as caught:
        X25519Identity.parse(text)
    assert caught.value.code == "IDENTITY_INVALID"
    assert len(text) < 10 or text[16:40].lower() not in str(caught.value).lower()


def test_a_key_is_wrapped_anew_each_time_and_only_for_its_recipient():
    recipient = X25519Recipient.parse(str(ALICE.recipient()), entropy=Drops("wrap"))
    key = bytes(range(16))
    first, second = recipient.wrap(key), recipient.wrap(key)
    assert first != second
    assert ALICE.unwrap([first]) == ALICE.unwrap([second]) == key
    assert BOB.unwrap([first]) is None
    assert BOB.unwrap([first, BOB.recipient().wrap(key)]) == key


# BIP 173, "Test vectors": valid and invalid strings (checksum, case, prefix, letters)
@pytest.mark.parametrize(
    "text",
    [
        "A12UEL5L",
        "a12uel5l",
        "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs",
        "11qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqc8247j",
        "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w",
    ],
)
def test_bip_173_strings_have_a_valid_checksum(text):
    prefix, values = text.lower().rsplit("1", 1)
    numbers = [bech32._VALUES[letter] for letter in values]
    assert bech32._checksum(prefix, numbers[:-6]) == numbers[-6:]


@pytest.mark.parametrize(
    "text",
    [
        "\x201nwldj5",
        "\x7f1axkwrx",
        "\u00801eym55h",
        "pzry9x0s0muk",
        "1pzry9x0s0muk",
        "x1b4n0q5v",
        "li1dgmt3",
        "de1lg7wt\u00ff",
        "A1G7SGD8",
        "10a06t8",
        "1qzzfhee",
    ],
)
def test_bip_173_invalid_strings(text):
    with pytest.raises(ValueError):
        bech32.decode(text)


def test_spare_bits_must_be_few_and_zero():
    prefix = "age"
    for values in ([0], [0, 1], [0, 0, 0]):
        text = prefix + "1" + "".join(bech32._LETTERS[v] for v in values + bech32._checksum(prefix, values))
        with pytest.raises(ValueError, match="spare bits"):
            bech32.decode(text)


@given(st.binary(max_size=80), st.sampled_from(["age", "age-secret-key-", "a1b"]))
def test_bech32_round_trip(data, prefix):
    text = bech32.encode(prefix, data)
    assert bech32.decode(text) == (prefix, data)
    assert bech32.decode(text.upper()) == (prefix, data)


@given(st.binary(min_size=32, max_size=32), st.data())
def test_bech32_finds_every_single_typing_error(data, choose):
    text = bech32.encode("age", data)
    at = choose.draw(st.integers(4, len(text) - 1))
    wrong = choose.draw(st.sampled_from([letter for letter in bech32._LETTERS if letter != text[at]]))
    with pytest.raises(ValueError):
        bech32.decode(text[:at] + wrong + text[at + 1 :])
