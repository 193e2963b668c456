"""`pasu page`, as a process that real clients talk to: who is let in, what is said, and what a crowd can do."""

from __future__ import annotations

import os
import re
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest

from agent import passes
from agent.field import issuing
from agent.health import CONDITIONS, Raised
from agent.passes import Standing
from agent.storage import passbook
from agent.storage.catalogue import Catalogue
from agent.storage.files import Disk
from agent.storage.keep.visitors import Visitors
from tests.page_lab import Site, ask, boot_ms, enter, serving, site, wait_for

WRONG = "0Z0Z0-0Z0Z0-0Z0Z0-0Z0Z0"


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    made = site(tmp_path_factory.mktemp("page"), metrics=True)
    made.is_well(Raised("box.hot", detail="cpu: 90 C"))
    with serving(made):
        yield made


@pytest.fixture
def own(tmp_path):
    """A box whose page has seen nobody yet."""
    made = site(tmp_path)
    made.is_well()
    with serving(made):
        yield made


def entered(box: Site, **more: str) -> str:
    _, code = box.issue()
    answer = enter(box, code, **more)
    assert answer.status == 303
    assert answer.headers["location"] == "/"
    return answer.cookie


def test_without_a_pass_there_is_an_entrance_and_nothing_else(box):
    assert ask(box).status == 303
    assert ask(box).headers["location"] == "/enter"
    assert ask(box, Cookie="pasu=what").status == 303
    text = ask(box, path="/enter").text
    assert "경포해변" not in text
    assert "cam01" not in text


def test_with_a_pass_all_of_it_is_there(box):
    box.is_well(Raised("box.hot", detail="cpu: 90 C"))
    text = ask(box, Cookie=entered(box), Accept_Language="ko-KR,ko;q=0.9").text
    for part in (
        "gn-0007 · 경포해변 3지점", "조치가 필요합니다 (1)", CONDITIONS["box.hot"].next_korean, "주차장 입구", "97.0 %",
        "빠진 때", "38.4일 (기준 30일)", "WD40PURZ-85TTDY0", "연결됨 · MQTT 5", "41초 전", "pasu record", "김정비 · 한빛보안",
        "강릉시 정보산업과",
    ):  # fmt: skip
        assert part in text, part
    assert text.count("<rect") > 8


def test_it_speaks_what_the_browser_asks_for_or_what_was_chosen(box):
    cookie = entered(box)
    english = ask(box, Cookie=cookie, Accept_Language="en-GB,en").text
    assert '<html lang="en">' in english
    assert "Somebody must act" in english
    chosen = ask(box, path="/ko")
    assert chosen.status == 303
    both = f"{cookie}; {chosen.cookie}"
    assert '<html lang="ko">' in ask(box, Cookie=both, Accept_Language="en").text


def test_a_cookie_is_for_https_for_no_script_and_for_this_page_alone(box):
    _, code = box.issue()
    set_cookie = enter(box, code).headers["set-cookie"]
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= {
        part.strip() for part in set_cookie.split(";")
    }


@pytest.mark.parametrize("path", ["/", "/enter", "/what", "/ko"])
def test_every_answer_forbids_what_it_does_not_need(box, path):
    headers = ask(box, path=path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    for part in ("frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"):
        assert part in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert headers["server"] == "pasu"


def test_nothing_that_a_visitor_sends_is_said_again(box):
    mark = "x7marker7x"
    answers = [
        ask(
            box,
            path=f"/{mark}?{mark}={mark}",
            Cookie=f"{mark}={mark}; pasu={mark}",
            User_Agent=mark,
            Referer=mark,
        ),
        enter(box, f"{mark}%3Cscript%3E"),
        ask(box, "DELETE", "/", mark),
        ask(box, "POST", "/enter", mark * 20, Content_Type=mark),
        ask(box, path="/ko", X_Forwarded_For=mark, Accept_Language=mark),
    ]
    for answer in answers:
        assert mark not in answer.text
        assert mark not in str(answer.headers)


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/what", 404), ("GET", "/..%2f..%2fetc/passwd", 404), ("GET", "/static/", 404), ("POST", "/", 405),
    ("PUT", "/enter", 405), ("DELETE", "/", 405), ("GET", "/leave", 405), ("HEAD", "/enter", 200),
])  # fmt: skip
def test_there_are_few_places_and_no_folders(box, method, path, status):
    assert ask(box, method, path).status == status


def test_a_form_of_another_page_is_not_taken(box):
    _, code = box.issue()
    assert enter(box, code, Origin="https://evil.example").status == 403
    assert enter(box, code, Sec_Fetch_Site="cross-site").status == 403
    assert enter(box, code, Origin="null").status == 403
    assert enter(box, code, Origin=f"https://127.0.0.1:{box.config.page.port}").status == 303


def test_a_wrong_pass_is_refused(own):
    answer = enter(own, WRONG, Accept_Language="en")
    assert answer.status == 403
    assert "no pass&#39;s code" in answer.text
    assert "set-cookie" not in answer.headers


def test_a_pass_that_was_used_is_refused_from_the_same_and_from_another_device(own):
    _, code = own.issue()
    first = enter(own, code)
    assert first.status == 303
    for source in ("127.0.0.1", "127.0.0.2"):
        answer = enter(own, code, source=source, Accept_Language="en")
        assert answer.status == 403
        assert "used already" in answer.text
    assert ask(own, Cookie=first.cookie).status == 200


def test_a_revoked_pass_is_refused_and_its_visitor_is_out(own):
    one, code = own.issue()
    cookie = enter(own, code).cookie
    two, second = own.issue()
    for each in (one, two):
        issuing.revoke(
            own.config.storage.state, own.folder, Disk(), at(), each.id, by="officer", reason="work is done"
        )
    assert ask(own, Cookie=cookie).status == 303
    answer = enter(own, second, Accept_Language="en")
    assert answer.status == 403
    assert "was revoked" in answer.text


def test_an_expired_pass_is_refused_and_its_visitor_is_out(own):
    from dataclasses import replace

    one, code = own.issue()
    cookie = enter(own, code).cookie
    assert ask(own, Cookie=cookie).status == 200
    two, second = own.issue()
    for each in (one, two):
        passbook.put(own.folder, replace(each, until_boot_ms=boot_ms()), Disk())
    assert ask(own, Cookie=cookie).status == 303
    answer = enter(own, second, Accept_Language="en")
    assert answer.status == 403
    assert "has expired" in answer.text
    assert [each.standing(0, each.boot, boot_ms()) for each in passbook.listed(own.folder)] == [
        Standing.EXPIRED
    ] * 2


def test_after_five_wrong_codes_the_right_one_is_refused_too(own):
    _, code = own.issue()
    for _ in range(passes.FAILURES):
        assert enter(own, WRONG).status == 403
    answer = enter(own, code, Accept_Language="en")
    assert answer.status == 429
    assert answer.headers["retry-after"] == "600"
    assert "Locked" in answer.text
    assert enter(own, code, source="127.0.0.2").status == 303


def test_who_leaves_is_out(own):
    cookie = entered(own)
    assert ask(own, "POST", "/leave", "", Cookie=cookie).status == 303
    assert ask(own, Cookie=cookie).status == 303


def test_who_came_and_who_was_refused_is_in_the_ledger_and_on_the_page(own):
    cookie = entered(own)
    enter(own, WRONG, source="127.0.0.2")
    state = own.config.storage.state
    catalogue = Catalogue.open(state)
    try:
        Visitors(own.folder, Disk()).turn(catalogue, at(), 0.0)  # as keep does, each second
        kinds = [entry.kind for entry in catalogue.ledger()]
    finally:
        catalogue.close()
    assert kinds == ["pass.issued", "page.visited", "page.refused"]

    def shown():
        text = ask(own, Cookie=cookie, Accept_Language="en").text
        return "visited · 127.0.0.1" in text and "refused: no such code · 127.0.0.2" in text

    wait_for(shown)


def test_tls_is_1_2_or_later_and_plain_http_gets_no_page(box):
    page = box.config.page
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection((page.listen[0], page.port)) as plain, pytest.raises(ssl.SSLError):
        old.wrap_socket(plain)
    with socket.create_connection((page.listen[0], page.port), 30) as plain:
        plain.sendall(b"GET /enter HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"<html" not in drained(plain)


def drained(connection: socket.socket) -> bytes:
    connection.settimeout(60)
    got = b""
    try:
        while part := connection.recv(65536):
            got += part
    except OSError:
        pass
    return got


@pytest.mark.parametrize("request_", [
    b"GET /enter HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    b"POST /enter HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n" + b"code=" + b"a" * 1_000_000,
    b"POST /enter HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n" + b"a" * 1_000_000,
    b"\x00\xff" * 1000 + b"\r\n\r\n",
    b"GET http://evil.example/ HTTP/1.1\r\n\r\n",
])  # fmt: skip
def test_what_is_too_large_or_no_request_is_refused(box, request_):
    assert not re.match(rb"HTTP/1.1 (200|303)", raw(box, request_))
    assert ask(box, path="/enter").status == 200


def raw(box: Site, request: bytes) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    page = box.config.page
    with (
        socket.create_connection((page.listen[0], page.port), 60) as plain,
        context.wrap_socket(plain) as wrapped,
    ):
        try:
            wrapped.sendall(request)
        except OSError:  # it has heard enough
            return b""
        return drained(wrapped)


def test_a_thousand_connections_that_say_nothing_keep_nobody_out(own):
    """K3: and when they are gone, none of the page's descriptors is left behind."""
    descriptors = Path(f"/proc/{own_pid(own)}/fd")
    assert ask(own, path="/enter").status == 200
    before = len([*descriptors.iterdir()])
    page = own.config.page
    place = (page.listen[0], page.port)
    many = []
    try:
        for _ in range(1000):
            many.append(socket.create_connection(place, 60))
        began = time.monotonic()
        assert ask(own, path="/enter", source="127.0.0.2").status == 200
        assert ask(own, path="/enter").status == 200
        assert time.monotonic() - began < 60
    finally:
        for each in many:
            each.close()
    wait_for(lambda: len([*descriptors.iterdir()]) <= before, 90)


def own_pid(box: Site) -> int:
    from agent.health import read_health

    wait_for(lambda: read_health(box.run, "page"))
    return read_health(box.run, "page")["pid"]


def test_slow_senders_keep_nobody_out(own):
    """Sixty connections that finish their handshake and then send a letter now and then."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    page = own.config.page
    stop = threading.Event()
    cut = []

    def slow():
        try:
            with socket.create_connection((page.listen[0], page.port), 60) as plain:
                plain.settimeout(60)
                with context.wrap_socket(plain) as wrapped:
                    wrapped.sendall(b"GET /enter HTTP/1.1\r\nX: ")
                    while not stop.wait(0.5):
                        wrapped.sendall(b"a")
        except OSError:
            pass
        cut.append(1)

    threads = [threading.Thread(target=slow) for _ in range(60)]
    try:
        for each in threads:
            each.start()
        for _ in range(3):
            assert ask(own, path="/enter", source="127.0.0.2").status == 200
        wait_for(lambda: len(cut) == 60, 90)  # each is cut off in the end
    finally:
        stop.set()
        for each in threads:
            each.join(60)


def test_metrics_are_numbers_without_addresses_and_only_there(box):
    """H11: no camera's address, no name, no path."""
    page = box.config.page
    box.is_well(Raised("box.hot", detail="cpu: 90 C"))

    def scrape(request: bytes) -> bytes:
        with socket.create_connection((page.metrics, page.metrics_port), 60) as made:
            made.sendall(request)
            return drained(made)

    text = scrape(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").decode()
    for line in (
        'pasu_condition{code="box.hot",severity="alarm"} 1.0',
        'pasu_condition{code="camera.refused",severity="critical"} 0.0',
        'pasu_camera_recording{camera="cam01"} 1.0',
        'pasu_camera_day_ratio{camera="cam02"} 0.97',
        'pasu_vault_free_bytes{vault="0f3c"} 6.2e+11',
        'pasu_vault_forecast_days{vault="0f3c"} 38.4',
        "pasu_uplink_connected 1.0",
        "pasu_box_memory_percent 41.0",
    ):
        assert line in text, line
    assert {code for code in CONDITIONS if f'code="{code}"' not in text} == set()
    for secret in ("rtsp", "10.0.0.", "주차장", "/vault", "김정비", "10.77"):
        assert secret not in text
    for path in (b"/", b"/enter", b"/metrics/x", b"/favicon.ico"):
        assert scrape(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 404")
    assert ask(box, path="/metrics").status == 404


def test_it_says_how_it_is_itself(box):
    from agent.health import read_health

    wait_for(lambda: read_health(box.run, "page"))
    told = read_health(box.run, "page")
    page = box.config.page
    assert told["serving"] == {f"127.0.0.1:{page.port}": 1, f"127.0.0.1:{page.metrics_port}": 1}
    assert re.fullmatch("([0-9A-F]{2}:){31}[0-9A-F]{2}", told["fingerprint"])
    assert oct((box.folder / "own" / "key.pem").stat().st_mode)[-3:] == "600"


def at():
    from agent.model import Instant, Trust

    return Instant(time.time_ns() // 1_000_000, Trust.SYNCED)


def test_no_box_without_a_page_is_served(tmp_path):
    from agent.cli.main import main

    made = site(tmp_path)
    text = (tmp_path / "agent.toml").read_text()
    (tmp_path / "agent.toml").write_text(text[: text.index("[page]")])
    assert main(["page", "--config", str(made.config.file)]) == 78
    assert os.listdir(tmp_path / "run") == []
