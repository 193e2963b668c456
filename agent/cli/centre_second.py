"""What is shown to whoever signs somebody else's order as the second: whose it is, and what it orders."""

from __future__ import annotations

import sys
from datetime import UTC
from typing import TYPE_CHECKING, Any

from agent.cli.fields import plain, print_fields
from agent.language import say

if TYPE_CHECKING:
    import argparse
    from datetime import tzinfo

    from agent.centre.city import City
    from agent.command.keyring import Key
    from agent.command.order import Order


def look_before(args: argparse.Namespace, city: City, text: str, second: Key) -> None:
    """Show an order on standard error before it is signed; in a terminal, ask.

    text    compact JWS
    second  who is to sign it
    Raises  CommandRefused as `before_second`; ConfigError SECOND_DECLINED
    """
    from agent.centre import rings
    from agent.cli.city import now_ms
    from agent.command.judge import before_second
    from agent.errors import ConfigError
    from agent.model import Instant, Trust

    now = Instant(now_ms(), Trust.SYNCED)
    first = before_second(text, second, rings.newest(city), args.box, now)
    print(say("두 번째로 서명할 명령:", "the order that you sign as the second:"), file=sys.stderr)
    print_fields(_rows(first, UTC if args.utc else None), sys.stderr, indent=3)
    if args.yes or not sys.stdin.isatty():
        return
    print(say("서명합니까? [y/N] ", "sign it? [y/N] "), end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes", "예", "네"):
        raise ConfigError(
            "SECOND_DECLINED",
            say("서명하지 않았고 아무것도 보내지 않았습니다", "nothing was signed and nothing was sent"),
            hint=say(
                "명령이 틀렸으면 첫 번째로 서명한 사람에게 새로 서명하게 하십시오",
                "if the order is wrong, have whoever signed it first sign another one",
            ),
        )


def _rows(first: Order, zone: tzinfo | None) -> list[tuple[str, str]]:
    from agent.cli.times import show_time
    from agent.command import table

    letter, command, signer = first.letter, table.COMMANDS[first.command], first.signers[0]

    def shown(argument: table.Argument) -> str:
        value: Any = letter.arguments[argument.name]
        if argument.kind is table.MS:
            return show_time(value, zone)
        if isinstance(value, list):
            return ", ".join(map(str, value))
        return plain(str(value), lines=True)

    return [
        (say("명령", "command"), f"{command.name}: {say(command.korean, command.english)}"),
        (say("박스", "box"), letter.box),
        (say("서명한 사람", "signed by"), plain(f"{signer.holder} ({signer.role}, {signer.kid})")),
        (say("서명한 때", "signed at"), show_time(letter.issued_ms, zone)),
        (say("유효한 때까지", "counts until"), show_time(letter.expires_ms, zone)),
        *((each.name, shown(each)) for each in command.arguments if each.name in letter.arguments),
    ]
