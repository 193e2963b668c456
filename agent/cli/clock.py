"""`pasu clock`: is the time trusted, why, since when, and what to do; `pasu clock confirm` gives one's word for it."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, timedelta, timezone
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config, load_for_state, user
from agent.language import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from agent.storage.keep.time import Status
    from agent.trust import Observation

KOREA = timezone(timedelta(hours=9))  # for people only: everything that is stored is UTC
TAKEN_S = 5.0  # a keeper looks every second
OFF_MS = 2000
STATES = {
    "SYNCED": ("신뢰할 수 있음, 동기됨", "trusted, synchronised"),
    "HOLDOVER": ("신뢰할 수 있음, 동기 없이 이어짐", "trusted, goes on without synchronisation"),
    "UNTRUSTED": (
        "신뢰할 수 없음: 녹화는 하고, 아무것도 지우지 않음",
        "not trusted: records on, erases nothing",
    ),
}
SOURCES = {
    "synced": ("시각 동기", "time service"),
    "named": ("사람의 확인", "confirmed"),
    "ledger": ("원장의 마지막 기록", "last entry of the ledger"),
    "vault": ("저장소의 기록", "written in the vault"),
}


def add(commands: Any) -> None:
    """Describe the commands."""
    parser = commands.add_parser(
        "clock",
        help=say("시각을 믿을 수 있는지 보이고 확인합니다", "show whether the time is trusted; confirm it"),
    )
    parser.description = say(
        "박스가 지금 시각을 믿는지, 왜 그런지, 언제부터인지, 무엇을 하면 되는지 보입니다. "
        "시각을 믿지 못하는 동안에도 녹화는 계속하며, 아무것도 지우지 않습니다.\n\n"
        "예:\n  pasu clock\n  pasu clock confirm --by 김기사",
        "Show whether the box trusts its time, why, since when, and what to do. While it does not, "
        "it records on and erases nothing.\n\n"
        "examples:\n  pasu clock\n  pasu clock confirm --by kim",
    )
    parser.add_argument("--json", action="store_true", help=say("JSON으로 씁니다", "write JSON"))
    add_config(parser)
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(
        dest="action", title=say("명령", "commands"), metavar=say("명령", "COMMAND")
    )
    confirm = actions.add_parser(
        "confirm", help=say("표시된 시각이 맞다고 확인합니다", "say that the time shown is right")
    )
    confirm.description = say(
        "박스의 시각을 한국 시각과 UTC로 보이고, 맞는지 묻습니다. 휴대전화의 시각과 견주어 보십시오. "
        "확인한 사람과 때는 원장에 남습니다.",
        "Show the box's time in Korea and in UTC, and ask whether it is right. Compare it with your telephone. "
        "Who confirmed, and when, stays in the ledger.",
    )
    confirm.add_argument(
        "--by",
        metavar="NAME",
        help=say("확인하는 사람 (기본: 로그인한 사용자)", "who confirms (default: who is logged in)"),
    )
    confirm.add_argument("--yes", action="store_true", help=say("묻지 않습니다", "do not ask"))
    add_config(confirm, inherited=True)
    confirm.set_defaults(run=run_confirm)


def run(args: argparse.Namespace) -> int:
    """Show."""
    from agent.storage.keep.time import TimeKeeper, published

    state, vaults = _places(args.config)
    status = TimeKeeper(state, vaults).status()
    known = published(state)
    watched = known is not None and known.state == status.state
    if args.json:
        print(json.dumps(_json(status, watched=watched), ensure_ascii=False))
    else:
        _show(status, watched=watched)
    return 0


def run_confirm(args: argparse.Namespace) -> int:
    """Ask, write the word, and see whether it is taken."""
    from agent import clock
    from agent.storage.keep.time import confirm

    state, vaults = _places(args.config)
    by = " ".join((args.by or user()).split())[:80]
    source = clock.SystemSource()
    _check(clock.read(source))
    _print_now(source.utc_ms())
    if not args.yes and not _asked():
        print(say("확인하지 않았습니다.", "Not confirmed."))
        return 1
    # The moment of the answer: while somebody thought, the clock may have been set.
    seen = clock.read(source)
    _check(seen)
    word = confirm(state, by, seen)
    print(say(f"{by}: 확인했습니다.", f"Confirmed by {by}."))
    return _wait(state, vaults, word.boot_ms)


def _wait(state: Path, vaults: Sequence[Path], word_ms: int) -> int:
    """Wait until the keeper has taken the word, or say why it has not."""
    from agent.storage.keep.time import TimeKeeper, published

    until = time.monotonic() + TAKEN_S
    while time.monotonic() < until:
        known = published(state)
        if known is not None and known.heard[0] >= word_ms:
            print(say("이제 시각을 믿습니다.", "The time is trusted now."))
            return 0
        time.sleep(0.1)
    status = TimeKeeper(state, vaults).status()
    if str(status.state) == "UNTRUSTED":
        print(status.what)
        print(status.next)
    else:
        print(
            say(
                "`pasu keep`이 돌고 있지 않은 듯합니다. 시작하면 이 확인을 씁니다.",
                "`pasu keep` does not seem to run; it takes this word when it starts.",
            )
        )
    return 0


def _places(file: Path) -> tuple[Path, Sequence[Path]]:
    """Return state directory and vaults; raises StorageFault when the state cannot be looked into."""
    from agent.storage import files

    storage = load_for_state(file).storage
    state = storage.state
    try:
        os.listdir(state)  # noqa: PTH208 - only whether it can be
    except OSError as error:
        raise files.fault("list", state, error) from error
    return state, storage.vaults


def _check(seen: Observation) -> None:
    """Refuse to confirm what cannot be. Raises TimeUntrusted TIME_IMPLAUSIBLE."""
    from agent import trust
    from agent.cli.times import show_time
    from agent.errors import TimeUntrusted

    if seen.utc_ms < trust.BUILD_MS:
        raise TimeUntrusted(
            "TIME_IMPLAUSIBLE",
            say("이 시각은 맞을 수 없습니다", "this time cannot be right"),
            hint=say(
                '먼저 시계를 맞추십시오: timedatectl set-time "2026-11-21 10:00:00"',
                'set the clock first: timedatectl set-time "2026-11-21 10:00:00"',
            ),
            found=show_time(seen.utc_ms, KOREA),
        )


def _asked() -> bool:
    try:
        answer = input(say("이 시각이 맞습니까? [y/N] ", "Is this the right time? [y/N] "))
    except EOFError:
        print()
        return False
    return answer.strip().lower() in ("y", "yes", "네", "예", "ㅛ")  # ㅛ: the same key, in Hangul


def _print_now(utc_ms: int) -> None:
    from agent.cli.fields import print_fields
    from agent.cli.times import show_time

    print_fields([(say("한국 시각", "Korea"), show_time(utc_ms, KOREA)), ("UTC", show_time(utc_ms, UTC))])


def _show(status: Status, *, watched: bool) -> None:
    from agent.cli.fields import print_fields
    from agent.cli.times import show_length, show_time

    korea, utc = show_time(status.real_ms, KOREA), show_time(status.real_ms, UTC)
    rows = [(say("시계", "clock"), f"{korea} ({utc})")]
    if abs(status.now.utc_ms - status.real_ms) > OFF_MS:
        rows.append((say("녹화 표시", "labels"), show_time(status.now.utc_ms, KOREA)))
    rows += [
        (say("상태", "trust"), f"{say(*STATES[status.state])} [{status.state}]"),
        (say("까닭", "reason"), status.what),
        (say("언제부터", "since"), show_time(status.since_ms, KOREA)),
        (
            say("시각 동기", "time service"),
            say("동기됨", "synchronised") if status.kernel_synced else say("동기 안 됨", "not synchronised"),
        ),
    ]
    if status.anchor is not None:
        source = say(*SOURCES[status.anchor.source])
        rows.append(
            (say("마지막으로 안 시각", "last known"), f"{show_time(status.anchor.utc_ms, KOREA)}, {source}")
        )
    if status.left_ms and not status.kernel_synced:
        rows.append((say("믿는 기한", "trusted for"), show_length(status.left_ms)))
    if status.fault is not None:
        rows.append((say("기록 못함", "not written"), status.fault.message))
    rows.append((say("다음 할 일", "next"), status.next))
    if not watched:
        rows.append(
            (
                say("주의", "note"),
                say(
                    "`pasu keep`이 아직 이 상태를 쓰지 않았습니다. 돌고 있는지 보십시오",
                    "`pasu keep` has not published this yet; see whether it runs",
                ),
            )
        )
    print_fields(rows)


def _json(status: Status, *, watched: bool) -> dict[str, Any]:
    anchor = status.anchor
    return {
        "trust": str(status.state),
        "reason": str(status.reason),
        "now_ms": status.now.utc_ms,
        "clock_ms": status.real_ms,
        "since_ms": status.since_ms,
        "kernel_synced": status.kernel_synced,
        "last_known_ms": anchor.utc_ms if anchor else None,
        "last_known_source": anchor.source if anchor else None,
        "trusted_for_ms": status.left_ms,
        "confirmed": status.confirmed,
        "published": watched,
    }
