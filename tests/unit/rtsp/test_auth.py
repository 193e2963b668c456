from __future__ import annotations

import pytest

from agent.rtsp.auth import (
    Authenticator,
    Challenge,
    basic_token,
    digest_response,
    parse_challenges,
    parse_credentials,
    quote,
)
from agent.rtsp.errors import RtspError
from agent.rtsp.gatekeeper import Gatekeeper, LogIn
from tests.unit.rtsp.wire import counter

# RFC 7616 section 3.9.1, the same request with both algorithms
NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
MUFASA = ("Mufasa", "http-auth@example.org", "Circle of Life")


def test_rfc_7616_md5():
    got = digest_response("MD5", MUFASA, "GET", "/dir/index.html", NONCE, qop=("00000001", CNONCE, "auth"))
    assert got == "8ca523f5e9506fed4657c9700eebdbec"


def test_rfc_7616_sha_256():
    got = digest_response(
        "SHA-256", MUFASA, "GET", "/dir/index.html", NONCE, qop=("00000001", CNONCE, "auth")
    )
    assert got == "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"


def test_rfc_2617():
    got = digest_response(
        "MD5",
        ("Mufasa", "testrealm@host.com", "Circle Of Life"),
        "GET",
        "/dir/index.html",
        "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        qop=("00000001", "0a4f113b", "auth"),
    )
    assert got == "6629fae49393a05397450978507c4ef1"


def test_rfc_2069_with_its_erratum():
    got = digest_response(
        "MD5",
        ("Mufasa", "testrealm@host.com", "CircleOfLife"),
        "GET",
        "/dir/index.html",
        "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        qop=None,
    )
    assert got == "1949323746fe6a43ef61f9606e7febea"


def test_rfc_7617_basic():
    assert basic_token("Aladdin", "open sesame") == "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert basic_token("test", "123\u00a3") == "dGVzdDoxMjPCow=="


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([""], []),
        (['Basic realm="a, b=c"'], [("basic", {"realm": "a, b=c"})]),
        (["Basic"], [("basic", {})]),
        (
            ['DIGEST Realm="x" , NONCE = "n",qop="auth,auth-int"'],
            [("digest", {"realm": "x", "nonce": "n", "qop": "auth,auth-int"})],
        ),
        (
            ['Digest realm=a b, nonce=n, Basic realm="r"'],
            [("digest", {"realm": "a b", "nonce": "n"}), ("basic", {"realm": "r"})],
        ),
        (['Digest realm="a"', 'Basic realm="b"'], [("digest", {"realm": "a"}), ("basic", {"realm": "b"})]),
        (['Digest realm="a \\" b\\\\", nonce="n'], [("digest", {"realm": 'a " b\\', "nonce": "n"})]),
        (['Digest realm="a\\'], [("digest", {"realm": "a\\"})]),
        (['Digest nonce="1" stale=true'], [("digest", {"nonce": "1", "stale": "true"})]),
        (['Digest nonce="1", nonce="2"'], [("digest", {"nonce": "1"})]),
        (['realm="orphan"'], []),
        (["Digest, =x, ==, realm="], [("digest", {"realm": ""})]),
    ],
)
def test_reads_challenges(values, expected):
    assert [(item.scheme, item.params) for item in parse_challenges(values)] == expected


def test_keeps_at_most_32_challenges():
    assert len(parse_challenges(["Basic, " * 100])) == 32


def test_reads_credentials():
    assert parse_credentials(" Basic  abc= ") == Challenge("basic", {"token": "abc="})
    assert parse_credentials('Digest a="1", x, b=2') == Challenge("digest", {"a": "1", "b": "2"})
    assert parse_credentials("") == Challenge("", {})


def test_quotes():
    assert quote('a"b\\') == '"a\\"b\\\\"'


def auth(username="admin", password="pw", *, allow_basic=True) -> Authenticator:
    return Authenticator(username, password, allow_basic=allow_basic, cnonce=counter("c"))


def refused(authenticator, values, *, answered=False) -> RtspError:
    with pytest.raises(RtspError) as caught:
        authenticator.challenged(values, answered=answered)
    return caught.value


def test_says_nothing_before_a_challenge():
    assert auth().authorization("PLAY", "u") is None
    assert auth(None, None).authorization("PLAY", "u") is None


@pytest.mark.parametrize("order", [1, -1])
def test_chooses_the_strongest(order):
    offers = [
        'Basic realm="r"',
        'Digest realm="r", nonce="m", algorithm=MD5',
        'Digest realm="r", nonce="s", algorithm=SHA-256',
        'Digest realm="r", nonce="x", algorithm=SHA-512-256',
    ]
    for count, expected in ((4, 'nonce="s"'), (2, 'nonce="m"'), (1, "Basic ")):
        machine = auth()
        machine.challenged(offers[:count][::order], answered=False)
        assert expected in machine.authorization("PLAY", "u")


def test_echoes_what_the_camera_said():
    machine = auth('a"b')
    machine.challenged(
        ['Digest realm="x \\" y", nonce="n", opaque="o", algorithm=md5, qop="auth-int, auth"'], answered=False
    )
    got = parse_credentials(machine.authorization("PLAY", "rtsp://h/"))
    assert got.params["username"] == 'a"b'
    assert got.params["realm"] == 'x " y'
    assert got.params["opaque"] == "o"
    assert got.params["algorithm"] == "md5"
    assert (got.params["qop"], got.params["nc"], got.params["cnonce"]) == ("auth", "00000001", "c1")
    machine.authorization("PLAY", "rtsp://h/")
    assert "nc=00000003" in machine.authorization("PLAY", "rtsp://h/")


def test_leaves_out_what_was_not_offered():
    machine = auth()
    machine.challenged(['Digest realm="x", nonce="n"'], answered=False)
    assert set(parse_credentials(machine.authorization("PLAY", "u")).params) == {
        "username",
        "realm",
        "nonce",
        "uri",
        "response",
    }


def test_says_that_no_user_is_configured():
    error = refused(auth(None, None), ['Digest realm="x", nonce="n"'])
    assert error.code == "auth_missing"
    assert error.context["offered"] == "digest MD5"


@pytest.mark.parametrize(
    ("offer", "named"),
    [
        ('Digest realm="x", nonce="n", algorithm=SHA-512-256', "digest SHA-512-256"),
        ('Digest realm="x", nonce="n", qop="auth-int"', "digest MD5 auth-int"),
        ('Digest realm="x"', "digest MD5"),
        ("Negotiate", "negotiate"),
    ],
)
def test_names_an_unsupported_log_in(offer, named):
    error = refused(auth(), [offer])
    assert (error.code, error.context["offered"]) == ("auth_unsupported", named)


def test_names_a_missing_challenge():
    assert refused(auth(), []).context["offered"] == ""


def test_refuses_basic_when_told_to():
    error = refused(auth(allow_basic=False), ['Basic realm="x"'])
    assert (error.code, error.context["reason"]) == ("auth_unsupported", "basic_refused")


@pytest.mark.parametrize("answered", [True, False])
def test_who_asked_for_digest_does_not_get_the_password_in_clear(answered):
    """Whoever sits on the line could else ask for it at any time."""
    machine = auth(password="S3cret")
    machine.challenged(['Digest realm="x", nonce="n"'], answered=False)
    machine.accepted(None)
    error = refused(machine, ['Basic realm="x"'], answered=answered)
    assert (error.code, error.context["reason"]) == ("auth_unsupported", "downgraded")
    assert (machine.authorization("PLAY", "u") or "").startswith("Digest ")


def test_names_a_wrong_password_without_repeating_it():
    machine = auth(password="S3cret")
    machine.challenged(['Digest realm="x", nonce="n"'], answered=False)
    error = refused(machine, ['Digest realm="x", nonce="n2"'], answered=True)
    assert (error.code, error.context["reason"]) == ("auth_failed", "wrong_password")
    assert "S3cret" not in str(error)


def test_staleness_is_no_wrong_password_but_ends():
    machine = auth()
    machine.challenged(['Digest realm="x", nonce="n0"'], answered=False)
    for number in range(1, 6):
        machine.challenged([f'Digest realm="x", nonce="n{number}", stale=TRUE'], answered=True)
        assert f'nonce="n{number}"' in machine.authorization("PLAY", "u")
    assert (
        refused(machine, ['Digest nonce="n", stale=true'], answered=True).context["reason"] == "always_stale"
    )


def test_a_nonce_may_lapse_silently_once_after_it_was_taken():
    machine = auth()
    machine.accepted(None)
    machine.challenged(['Digest realm="x", nonce="n"'], answered=False)
    machine.accepted("")
    machine.challenged(['Digest realm="x", nonce="n2"'], answered=True)
    assert refused(machine, ['Digest realm="x", nonce="n3"'], answered=True).code == "auth_failed"


def test_takes_the_next_nonce():
    machine = auth()
    machine.challenged(['Digest realm="x", nonce="n", qop="auth"'], answered=False)
    machine.authorization("PLAY", "u")
    machine.accepted('rspauth="x", NextNonce="fresh", nextnonce=')
    got = parse_credentials(machine.authorization("PLAY", "u")).params
    assert (got["nonce"], got["nc"], got["cnonce"]) == ("fresh", "00000001", "c2")


@pytest.mark.parametrize("offer", ["Basic", "MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "md5"])
@pytest.mark.parametrize("qop", [None, "auth", "auth-int,auth", "auth,auth-int"])
@pytest.mark.parametrize("opaque", [None, "o,p"])
def test_both_sides_agree(offer, qop, opaque):
    log_in = LogIn("관리자", 'p"ä:s\\s', realm='주차장, "입구"', offers=(offer,), qop=qop, opaque=opaque)
    gate = Gatekeeper(log_in, counter("n"))
    machine = auth("관리자", 'p"ä:s\\s')
    assert gate.check(None, "PLAY", "rtsp://h/") == "missing"
    machine.challenged([value for _, value in gate.challenges("missing")], answered=False)
    for method in ("DESCRIBE", "SETUP", "PLAY"):
        assert gate.check(machine.authorization(method, "rtsp://h/"), method, "rtsp://h/") == "ok"
        machine.accepted(None)
    other = auth("관리자", "wrong")
    other.challenged([value for _, value in gate.challenges("missing")], answered=False)
    assert gate.check(other.authorization("PLAY", "rtsp://h/"), "PLAY", "rtsp://h/") == "wrong"


def test_an_alias_of_sha_256_is_understood():
    machine = auth()
    machine.challenged(['Digest realm="x", nonce="n", algorithm=SHA256'], answered=False)
    got = parse_credentials(machine.authorization("PLAY", "u")).params
    assert got["response"] == digest_response("SHA-256", ("admin", "x", "pw"), "PLAY", "u", "n", qop=None)
    assert got["algorithm"] == "SHA256"


def ready(**changes):
    gate = Gatekeeper(LogIn("admin", "pw", **changes), counter("n"))
    machine = auth()
    machine.challenged([value for _, value in gate.challenges("missing")], answered=False)
    return gate, machine


def test_the_gate_refuses_other_schemes_and_addresses():
    gate, machine = ready()
    assert gate.check("Negotiate abc", "PLAY", "u") == "wrong"
    assert gate.check("Digest algorithm=SHA-256", "PLAY", "u") == "wrong"
    assert gate.check(f"Basic {basic_token('admin', 'pw')}", "PLAY", "u") == "wrong"
    answer = machine.authorization("PLAY", "u")
    assert gate.check(answer, "PLAY", "v") == "wrong"
    assert gate.check(answer, "PAUSE", "u") == "wrong"
    assert gate.check(answer, "PLAY", "u") == "ok"


def test_the_gate_calls_a_repeated_answer_stale():
    gate, machine = ready()
    answer = machine.authorization("PLAY", "u")
    assert gate.check(answer, "PLAY", "u") == "ok"
    assert gate.check(answer, "PLAY", "u") == "stale"
    assert "stale=true" in gate.challenges("stale")[0][1]


def test_the_gate_wants_a_count():
    gate, _ = ready()
    response = digest_response("MD5", ("admin", "camera", "pw"), "PLAY", "u", "n1", qop=("1", "c", "auth"))
    answer = (
        f"Digest username=admin, realm=camera, nonce=n1, uri=u, response={response}, qop=auth, nc=1, cnonce=c"
    )
    assert gate.check(answer, "PLAY", "u") == "stale"


@pytest.mark.parametrize("say", [True, False])
def test_the_gate_makes_nonces_stale(say):
    gate, machine = ready(stale_after=2, say_stale=say, qop=None)
    assert [gate.check(machine.authorization("PLAY", "u"), "PLAY", "u") for _ in range(3)] == [
        "ok",
        "ok",
        "stale",
    ]
    value = gate.challenges("stale")[0][1]
    assert 'nonce="n2"' in value
    assert ("stale=true" in value) is say
    machine.accepted(None)
    machine.challenged([value], answered=True)
    assert gate.check(machine.authorization("PLAY", "u"), "PLAY", "u") == "ok"


def test_passwords_are_not_shown():
    assert "S3cret" not in repr(LogIn("admin", "S3cret"))
