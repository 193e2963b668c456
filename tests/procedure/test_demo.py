"""`pasu demo` as a whole: it shows what it promises, in both languages, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from agent.demo.broker import Broker
from tests.peer import need
from tests.town import Town

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE_S = 240
PASU = (sys.executable, "-m", "agent.cli.main")


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    need("mosquitto")
    (tmp_path / "tmp").mkdir()
    return tmp_path


def start(scratch: Path, *options: str, language: str = "ko_KR.UTF-8") -> subprocess.Popen[str]:
    environment = os.environ | {"LANG": language, "LC_ALL": language, "TMPDIR": str(scratch / "tmp")}
    return subprocess.Popen(
        [*PASU, "demo", "--cameras", "2", "-o", str(scratch / "out"), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environment,
        start_new_session=True,
    )


def running(scratch: Path) -> list[str]:
    """Return the command lines of processes that belong to a demo in this folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("TMPDIR") == str(scratch / "tmp"):
                found.append(" ".join(process.cmdline()))
    return found


def nothing_is_left(scratch: Path) -> None:
    until = time.monotonic() + 90
    while (left := running(scratch)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not left


def test_it_ends_with_the_centres_table(scratch: Path) -> None:
    demo = start(scratch, "--seconds", "12", "--keep")
    said, complaints = demo.communicate(timeout=PATIENCE_S)
    assert demo.returncode == 0, said + complaints
    assert complaints == ""
    table = said[said.index("시연시 관제센터의 표") :]
    for box in ("demo-1", "demo-2"):
        assert re.search(rf"{box} +연결됨 +2/2 ", table), table
    assert int(re.search(r"원장 확인됨: (\d+)건", table)[1]) > 10
    assert re.search(r"서명된 명령: 운영책임자 .* 답: 마침, ", said)
    assert "한 번도 요청하지 않았습니다" in said
    assert (scratch / "out" / "contact-sheet.png").stat().st_size > 10_000
    assert {path.name for path in (scratch / "out").glob("*.mp4")} >= {f"cam0{n}.mp4" for n in range(1, 5)}
    for secret in secrets_of(scratch / "out" / "site"):
        assert secret not in said
    assert list((scratch / "tmp").iterdir()) == []
    nothing_is_left(scratch)


def secrets_of(site: Path) -> Iterator[str]:
    """Yield what nobody may be shown: passwords, lines of private keys, identities."""
    yield "demo-only"
    for path in site.rglob("*"):
        if path.suffix in (".key", ".pem") and "PRIVATE" in (text := path.read_text(errors="replace")):
            yield text.strip().splitlines()[:2][-1]  # PEM's first line of base64, or a note's only one
        if path.parent.name in ("recordings", "escrow"):
            yield re.search("AGE-SECRET-KEY-1[A-Z0-9]+", path.read_text())[0]


def test_it_speaks_english_too(scratch: Path) -> None:
    demo = start(scratch, "--seconds", "8", language="en_US.UTF-8")
    said, complaints = demo.communicate(timeout=PATIENCE_S)
    assert demo.returncode == 0, said + complaints
    assert re.search(r"ledger verified: \d+ entries", said[said.index("The centre of Demo City") :])
    assert not re.search("[가-힣]", said)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_it_leaves_nothing_running(scratch: Path, number: signal.Signals) -> None:
    demo = start(scratch, "--seconds", "600")
    until = time.monotonic() + 120
    while not any("agent.worker" in line for line in running(scratch)):
        assert demo.poll() is None, demo.communicate()
        assert time.monotonic() < until
        time.sleep(0.1)
    assert any(line.endswith("demo.conf") for line in running(scratch))
    demo.send_signal(number)
    _, complaints = demo.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in complaints
    nothing_is_left(scratch)
    if number != signal.SIGKILL:
        assert list((scratch / "tmp").iterdir()) == []


def test_a_broker_whose_port_is_taken_is_noticed(tmp_path: Path) -> None:
    town = Town(tmp_path)
    with socket.create_server(("127.0.0.1", town.inside)):
        broker = Broker(town.city, need("mosquitto"), tmp_path / "broker.log")
        assert not broker.start()
    assert "in use" in broker.last_words
    assert broker.start()
    broker.stop()


def test_two_at_once(scratch: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "tmp").mkdir()
    demos = [start(place, "--seconds", "8") for place in (scratch, other)]
    for demo in demos:
        said, complaints = demo.communicate(timeout=PATIENCE_S)
        assert demo.returncode == 0, said + complaints
