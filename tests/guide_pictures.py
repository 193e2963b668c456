"""Take the pictures of the guide: `python -m tests.guide_pictures [DIR [ko] [en]]`, docs/images without one.

What they show is what the package's own commands wrote in a terminal, on a box that was installed and made ready as the
guide says. The box is a container (tests.container_lab). Three things in it stand for hardware: two virtual cameras on
its network, a file for the disk (an `lsblk` that names it so), and a time server (a library that says that there is one).
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from rich.cells import cell_len
from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from tests import package_lab
from tests.browser import Browser
from tests.container_lab import Container
from tests.lab import ROOT, centre_key, wait_for
from tests.page_pictures import small
from tests.peer import need
from tests.vm_lab import STICK, base

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

USER, PASSWORD = "recorder", "Hwangsae-7-nest"
SERIAL = "WD-WX12A3456789"
DISK_BYTES = 4_000_787_030_016
COLUMNS, ROWS = 96, 60
SHEET = 1250
"""Pixels of a printed sheet that are enough to know it by."""
PATIENCE_S = 180.0
OTHERS = re.compile(r"[^\x00-\x7f\uac00-\ud7a3]")
CODES = re.compile(r"\x1b\[[0-9;]*m")
LSBLK = """#!/usr/bin/python3
import json, os, subprocess, sys
told = json.loads(subprocess.run(["/usr/bin/lsblk.real", *sys.argv[1:]], capture_output=True, text=True).stdout)
node = f"loop{os.minor(os.stat('/dev/sdb').st_rdev)}"
kept = []
for each in told["blockdevices"]:
    if each["name"] == node:
        kept.append(each | {"name": "sdb", "path": "/dev/sdb", "type": "disk", "tran": "sata", "serial": "@SERIAL@",
                            "model": "WDC WD40PURZ-85TTDY0"})
    elif "/" in (each.get("mountpoints") or []):
        kept.append(each | {"name": "sda", "path": "/dev/sda", "type": "disk", "tran": "sata", "serial": "K1234567",
                            "model": "Foresee 64GB SSD", "size": 64023257088})
print(json.dumps({"blockdevices": kept}))
""".replace("@SERIAL@", SERIAL)
CLOCK = "#include <string.h>\n#include <sys/timex.h>\nint adjtimex(struct timex *t) { memset(t, 0, sizeof *t); return 0; }\n"
PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: #292929; display: inline-block; padding: 14px 18px; }}
pre {{ margin: 0; color: #c5c8c6; font: 15px/20px NanumGothicCoding, monospace; }}
i {{ display: inline-block; height: 20px; width: .5em; vertical-align: top; font-style: normal; }}
</style><body><pre>{}</pre>"""
DRAWN = {
    "█": "currentColor",
    "▀": "linear-gradient(currentColor 50%, transparent 50%)",
    "▄": "linear-gradient(transparent 50%, currentColor 50%)",
    "─": "linear-gradient(transparent 9px, currentColor 9px 10px, transparent 10px)",
    "░": "color-mix(in srgb, currentColor 25%, transparent)",
    "▒": "color-mix(in srgb, currentColor 50%, transparent)",
    "▓": "color-mix(in srgb, currentColor 75%, transparent)",
}
"""What a terminal draws as wide as a cell, and a font does not."""
WORDS = {
    "ko": {"place": "경포해변 3지점", "office": "강릉시 정보산업과", "contact": "정보산업과장 033-000-0000",
           "contractor": "한빛보안 033-111-1111", "entrance": "주차장 입구", "gate": "놀이터 정문", "view": "놀이터 정문과 앞 도로", "range": "주차장 입구와 도로",
           "who": "김정비", "company": "한빛보안"},
    "en": {"place": "Gyeongpo beach, point 3", "office": "Gangneung City, Information Industry Division",
           "contact": "Head of Division, 033-000-0000", "contractor": "Hanbit Security 033-111-1111",
           "entrance": "Car park entrance", "gate": "Playground gate", "view": "The gate and the street before it",
           "range": "Car park entrance and street",
           "who": "Kim Jeongbi", "company": "Hanbit"},
}  # fmt: skip
PROMPT = "root@gn-0007:~# "


class Terminal:
    """Somebody at the box: types, and looks at what stands on the screen."""

    def __init__(self, leader: int, locale: str) -> None:
        self._name = f"pasu-guide-{os.getpid()}"
        inside = [
            "nsenter",
            "-t",
            str(leader),
            *["-m", "-u", "-i", "-n", "-p", "--root", "--wd"],
            "env",
            "-i",
        ]
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": locale, "HOME": "/root",
            "TERM": "xterm-256color", "TZ": "KST-9", "PS1": PROMPT, "LD_PRELOAD": "/usr/lib/lab-clock.so",
        }  # fmt: skip
        words = [
            *inside,
            *(f"{key}={value}" for key, value in environment.items()),
            "bash",
            "--norc",
            "--noprofile",
        ]
        self._tmux("-u", "new", "-d", "-x", str(COLUMNS), "-y", str(ROWS), shlex.join(words))
        self._tmux("set", "-g", "history-limit", "20000")
        self.answers = 0
        self.typed = 0

    def close(self) -> None:
        """Hang up."""
        self._tmux("kill-server")

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            [need("tmux"), "-L", self._name, *words], capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout

    def lines(self) -> list[str]:
        """Return all that was shown, with its colours, up to the last line that is not empty."""
        return self._tmux("capture-pane", "-p", "-e", "-S", "-").rstrip().splitlines()

    def last(self) -> str:
        """Return the line on which the cursor stands, as far as something is written."""
        lines = [CODES.sub("", line) for line in self.lines()]
        return lines[-1] if lines else ""

    def answer(self, question: str, words: str = "") -> None:
        """Wait for a question, and answer it."""
        self.wait(lambda: question in self.last(), question)
        if words:
            self._tmux("send-keys", "-l", "--", words)
        self._tmux("send-keys", "Enter")
        self.answers += 1
        self.typed += len(words)
        self.wait(
            lambda: question not in self.last() or self.last().rstrip() != question.rstrip(),
            f"after {question}",
        )

    def do(self, command: str, until: Callable[[], bool] | None = None) -> list[str]:
        """Type a command on an empty screen, and wait for its end or for something else; return what it showed."""
        self.wait(lambda: self.last().rstrip() == PROMPT.rstrip(), "the prompt")
        self._tmux("send-keys", "clear", "Enter")
        time.sleep(1)
        self._tmux("clear-history")
        self._tmux("send-keys", "-l", "--", command)
        self._tmux("send-keys", "Enter")
        time.sleep(1)
        self.wait(until or self.is_idle, command)
        return self.lines()

    def key(self, name: str) -> None:
        """Press a key, by tmux's name of it."""
        self._tmux("send-keys", name)

    def is_idle(self) -> bool:
        """Tell whether a command has ended."""
        return self.last().rstrip() == PROMPT.rstrip()

    def wait(self, so: Callable[[], bool], what: str) -> None:
        """Wait until it is so."""
        try:
            wait_for(what, so, PATIENCE_S)
        except AssertionError:
            print("\n".join(CODES.sub("", line) for line in self.lines()[-40:]), file=sys.stderr)
            raise


def part(lines: list[str], first: str) -> list[str]:
    """Return lines from a heading on."""
    return lines[next(number for number, line in enumerate(lines) if CODES.sub("", line).rstrip() == first) :]


def cell(found: re.Match[str]) -> str:
    """Return a character that is neither ASCII nor Hangul, in the room that a terminal gives it."""
    letter = found[0]
    if letter in DRAWN:
        return f'<i style="background:{DRAWN[letter]}"></i>'
    return f'<i style="width:{cell_len(letter) / 2}em">{letter}</i>'


class Camera:
    """What makes a picture of lines."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self._folder = folder
        self._scratch = scratch
        self._browser = Browser(scratch / "profile")

    def close(self) -> None:
        self._browser.close()

    def take(self, name: str, lines: list[str]) -> None:
        """Draw lines as a terminal shows them."""
        with open(os.devnull, "w") as nowhere:
            console = Console(record=True, width=COLUMNS, file=nowhere, color_system="truecolor")
            console.print(Text.from_ansi("\n".join(lines)), no_wrap=True, crop=False)
        html = console.export_html(theme=SVG_EXPORT_THEME, inline_styles=True, code_format="{code}")
        self._draw(name, PAGE.format(OTHERS.sub(cell, html)), 820)

    def sheet(self, name: str, page: str) -> None:
        """Draw the beginning of a sheet that is to be printed."""
        self._draw(name, page, 900, SHEET)

    def _draw(self, name: str, page: str, width: int, rows: int | None = None) -> None:
        file = self._scratch / f"{name}.html"
        file.write_text(page, encoding="utf-8")
        self._browser.screen((width, 100), accepts=name[-2:])
        self._browser.go(file.as_uri())
        picture = cv2.imdecode(np.frombuffer(self._browser.picture(), np.uint8), cv2.IMREAD_COLOR)
        png = cv2.imencode(".png", picture[:rows])[1].tobytes()
        (self._folder / f"guide-{name}.png").write_bytes(small(png))
        print(f"guide-{name}.png")


def walk(language: str, deb: Path, scratch: Path, camera: Camera) -> None:
    """Go the guide's way once, and take its pictures."""
    ko = language == "ko"
    words = WORDS[language]
    with ExitStack() as stack:
        box = stack.enter_context(Container(scratch / f"box-{language}", base(deb), stick=[deb]))
        box.plug_in()
        box.wait_up()
        net, host = box.address.rpartition(".")[0], f"{box.address.rpartition('.')[0]}.1"
        line = f"ve-{box._machine}"
        subprocess.run([need("ip"), "address", "add", f"{net}.12/24", "dev", line], check=True)
        specs = [
            CameraSpec(number, width=1280, height=720, fps=15.0, gop=15, bitrate=2_000_000, host=address, port=554,
                       username=USER, password=PASSWORD, audio="none", onvif=number == 1, prepared=True)
            for number, address in ((1, host), (2, f"{net}.12"))
        ]  # fmt: skip
        cameras = CameraProcess(specs, scratch / f"ledger-{language}")
        stack.enter_context(cameras)
        hardware(box, scratch, stack)
        keys = [centre_key(scratch / f"{name}-{language}.key")[1] for name in ("centre", "escrow")]
        box.put("/root/recipients.txt", "\n".join(keys).encode())
        box.sh(f"cp {STICK}/*.deb /root/ && apt-get install -y /root/*.deb 2>&1", seconds=300)
        person = Terminal(box._leader(), "ko_KR.UTF-8" if ko else "C.UTF-8")
        stack.callback(person.close)
        person.do("cd")
        began = time.monotonic()
        interview(person, camera, language, words, box.address, f"{net}.12")
        print(
            f"{language}: {person.answers} answers, {person.typed} characters, {time.monotonic() - began:.0f} s"
        )
        camera.take(f"aim-{language}", aim(person))
        person.do("systemctl start pasu-disks")
        wait_for("segments of both cameras", lambda: segments(box), PATIENCE_S)
        camera.take(f"doctor-{language}", person.do("pasu doctor")[1:-1])
        person.do(
            "pasu doctor --json > doctor.json; pasu report commissioning --doctor doctor.json --out report.html"
        )
        camera.sheet(f"report-{language}", box.get("/root/report.html").decode())
        shown = person.do(
            f"pasu pass issue --for {shlex.quote(words['who'])} --company {words['company']} --hours 4"
        )
        camera.take(f"pass-{language}", shown[1:-1])
        status = person.do("pasu status", lambda: "keep 0." in "".join(person.lines()))
        camera.take(f"status-{language}", status)
        person.key("C-c")
        box.shut_down()


def hardware(box: Container, scratch: Path, stack: ExitStack) -> None:
    """Put in what no container has."""
    image = scratch / "disk.img"
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    made = subprocess.run(
        [need("losetup"), "--find", "--show", image], check=True, capture_output=True, text=True
    )
    loop = made.stdout.strip()
    stack.callback(subprocess.run, ["losetup", "--detach", loop], check=True)
    number = os.stat(loop).st_rdev
    box.sh("umount /var/lib/pasu/vault; rmdir /var/lib/pasu/vault")
    box.sh(f"mknod /dev/sdb b {os.major(number)} {os.minor(number)}; mv /usr/bin/lsblk /usr/bin/lsblk.real")
    box.put("/usr/bin/lsblk", LSBLK.encode(), "0755")
    source, library = scratch / "clock.c", scratch / "clock.so"
    source.write_text(CLOCK)
    subprocess.run([need("cc"), "-shared", "-fPIC", "-O2", "-o", library, source], check=True)
    box.put("/usr/lib/lab-clock.so", library.read_bytes(), "0755")


def interview(
    person: Terminal, camera: Camera, language: str, words: dict[str, str], page: str, other: str
) -> None:
    """Answer `pasu init` as the guide says."""
    ko = language == "ko"

    def ask(korean: str, english: str, answer: str = "") -> None:
        person.answer(korean if ko else english, answer)

    person.do("pasu init", lambda: ("박스 이름" if ko else "name of the box") in person.last())
    ask("박스 이름", "name of the box", "gn-0007")
    ask("설치 장소", "where it stands", words["place"])
    ask("운영 기관과 부서", "municipality and department", words["office"])
    ask("관리책임자와 연락처", "responsible officer and contact", words["contact"])
    ask("유지보수 수탁자와 연락처", "contractor and contact", words["contractor"])
    ask("공개키 또는 파일", "public key or file", "/root/recipients.txt")
    ask("공개키 또는 파일", "public key or file")
    ask("보고를 받는 MQTT 서버", "MQTT broker")
    camera.take(
        f"init-{language}",
        part(person.lines(), "박스: 이름, 장소, 책임" if ko else "The box: name, place, who answers for it"),
    )
    ask("정비용 포트의 IP 주소", "IP address of the maintenance port", page)
    ask("어떻게 할까요", "how")
    ask("찾을 곳", "where")
    ask("계정", "user", USER)
    ask("비밀번호", "password", PASSWORD)
    ask("넣을 카메라 번호", "numbers of the cameras to add", "1")
    ask("이름 [", "name [", words["entrance"])
    ask("id [", "id [")
    ask("설치 목적", "purpose", "1")
    ask("법적 근거", "legal basis")
    ask("촬영 범위", "what it looks at", words["range"])
    wait = ("어떻게 할까요", "how")[not ko]
    person.wait(lambda: wait in person.last(), wait)
    camera.take(f"cameras-{language}", part(person.lines(), "카메라" if ko else "Cameras"))
    ask("어떻게 할까요", "how", "2")
    ask("영상 주소", "address of the stream", f"rtsp://{other}/main")
    ask("이름", "name", words["gate"])
    ask("id [", "id [")
    ask("설치 목적", "purpose")
    ask("법적 근거", "legal basis")
    ask("촬영 범위", "what it looks at", words["view"])
    ask("계정", "user", USER)
    ask("비밀번호", "password", PASSWORD)
    ask("어떻게 할까요", "how")
    ask("어느 디스크에 녹화할까요", "which disk is for recordings")
    ask("그대로 적으십시오", "to format it, type its", SERIAL)
    wait = ("정전 때 잃어도 되는 시간", "what a power cut may cost")[not ko]
    person.wait(lambda: wait in person.last(), wait)
    camera.take(f"disk-{language}", part(person.lines(), "영상 디스크" if ko else "The disk for recordings"))
    ask("정전 때 잃어도 되는 시간", "what a power cut may cost")
    ask("고칠 번호", "a number to change it")
    ask("지금 등록 요청을 만들까요", "Make the request now", "n")
    person.wait(person.is_idle, "the end of pasu init")
    shown = part(person.lines(), "이렇게 쓰겠습니다" if ko else "This is what will be written")
    camera.take(f"ready-{language}", [line for line in shown if PROMPT.strip() not in line])


def aim(person: Terminal) -> list[str]:
    """Look at a camera until a sharpest is known, and end it; return what was shown."""
    known = re.compile("최고 |best ")
    shown = person.do("pasu aim cam01", lambda: bool(known.search("".join(person.lines()))))
    person.key("C-c")
    person.wait(person.is_idle, "the end of pasu aim")
    return shown


def segments(box: Container) -> bool:
    """Tell whether every camera has a stored segment."""
    found = box.sh("find /var/lib/pasu/vault/segments -name '*.mp4.age' || true").splitlines()
    return {Path(each).parts[-3] for each in found} == {"cam01", "cam02"}


def main(folder: Path, languages: Sequence[str]) -> None:
    """Go the way in each language."""
    deb = package_lab.built()
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        camera = Camera(folder, Path(place))
        stack.callback(camera.close)
        for language in languages:
            walk(language, deb, Path(place), camera)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images", sys.argv[2:] or tuple(WORDS))
