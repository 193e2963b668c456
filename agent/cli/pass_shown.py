"""A pass for whoever is to have it: a code, a QR code, and what their browser must show."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from agent.language import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

HOURS = 8
QR_SCALE = 8
CODE_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown: the pass's id, for whom it is, its code, and the entrance; "" and 0 for what is not known yet."""

    id: str
    whose: str
    code: str
    address: str
    until_ms: int
    fingerprint: str


def add_wanted(parser: argparse.ArgumentParser) -> None:
    """Add what a pass is to be: for whom, for how long, and where its QR code goes."""
    parser.add_argument(
        "--for", dest="person", required=True, metavar="NAME", help=say("누구에게: 이름", "for whom: a name")
    )
    parser.add_argument(
        "--company",
        required=True,
        metavar="COMPANY",
        help=say("어느 회사나 부서", "of which company or department"),
    )
    parser.add_argument(
        "--hours",
        type=int,
        default=HOURS,
        metavar="N",
        help=say(f"몇 시간 동안 (기본 {HOURS})", f"for how many hours (default {HOURS})"),
    )
    parser.add_argument(
        "--qr",
        type=Path,
        metavar="FILE",
        help=say("QR 코드를 쓸 새 파일 (.svg, .png)", "new file for the QR code (.svg, .png)"),
    )


def add_revoked(parser: argparse.ArgumentParser) -> None:
    """Add which pass is taken back, and why."""
    parser.add_argument("id", metavar="ID", help=say("출입증 id", "the pass's id"))
    parser.add_argument("--reason", required=True, metavar="TEXT", help=say("취소하는 까닭", "why"))


@contextlib.contextmanager
def made(file: Path | None) -> Iterator[BinaryIO | None]:
    """Make the file for the QR code before a pass is issued, and as whoever types: who has it can enter.

    It must not be there yet: another's file would stay open to whom it was. Removed when nothing comes of it.
    Raises PassError PASS_FILE
    """
    from agent.field.issuing import PassError

    if file is None:
        yield None
        return
    text = say(f"쓸 수 없는 이름: {file}", f"not a name for it: {file}")
    if file.suffix not in (".svg", ".png"):
        raise PassError("PASS_FILE", text, file=str(file))
    try:
        number = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, CODE_MODE)
    except OSError as error:
        raise PassError("PASS_FILE", text, file=str(file), reason=error.strerror or "") from None
    try:
        with open(number, "wb") as opened:  # noqa: PTH123 - a descriptor
            yield opened
    except BaseException:
        with contextlib.suppress(OSError):
            file.unlink()
        raise


def show(shown: Shown, file: BinaryIO | None, name: Path | None, *, as_json: bool) -> None:
    """Write the QR code into `file`, called `name`, and all of it to the screen."""
    import sys

    import segno

    from agent.cli.parser import columns
    from agent.cli.times import show_time

    picture = segno.make(f"{shown.address}#{shown.code}", error="m")
    if file is not None and name is not None:
        picture.save(file, kind=name.suffix[1:], scale=QR_SCALE, border=4)
    if as_json:
        said = {
            "id": shown.id,
            "code": shown.code,
            "address": shown.address,
            "until_ms": shown.until_ms,
            "fingerprint": shown.fingerprint,
        }
        print(json.dumps(said))
        return
    if sys.stdout.isatty():
        picture.terminal(compact=True)
    rows = (
        (say("출입증", "pass"), f"{shown.id}  {shown.whose}"),
        (say("코드", "code"), shown.code),
        (say("주소", "address"), shown.address),
        (say("언제까지", "until"), show_time(shown.until_ms, None)),
        (
            say("인증서 지문", "fingerprint"),
            shown.fingerprint or say("페이지가 아직 돌지 않습니다", "the page does not run yet"),
        ),
    )
    width = max(columns(head) for head, _ in rows)
    for head, value in rows:
        print(f"{head}{' ' * (width - columns(head))}  {value}")
    print(
        say(
            "코드는 다시 볼 수 없습니다. 받을 사람에게만 보이십시오.",
            "The code cannot be shown again. Show it to nobody else.",
        )
    )
