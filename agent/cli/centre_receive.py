"""`pasu centre receive`: take what boxes hand out, over HTTPS; and what `watch` does with it over MQTT."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from agent.cli.city import add_city, open_city
from agent.cli.fields import plain
from agent.cli.parser import UsageError
from agent.language import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from agent.centre.city import City
    from agent.centre.receive import Store
    from agent.consignment import Receipt

DEFAULT_PORT = 8443


def add(actions: Any) -> None:
    """Describe the command, below `pasu centre`."""
    parser = actions.add_parser(
        "receive", help=say("박스가 내어 주는 영상을 받습니다", "take what boxes hand out")
    )
    parser.description = say(
        "박스가 반출하는 봉인된 묶음을 HTTPS로 받아 도시 폴더의 received에 둡니다. "
        "박스는 자기 인증서로만 보낼 수 있고, "
        "끊기면 이어서 보냅니다. 다 오면 서명과 내용을 확인하고 결과를 보입니다. "
        "인증서는 브로커의 것을 씁니다: 박스가 브로커와 같은 이름으로 찾아올 수 있는 곳에서 돌리십시오. "
        "MQTT로 오는 것은 `pasu centre watch`가 받습니다.\n\n"
        "예:\n  pasu centre receive --listen 10.77.0.1:8443 --city gangneung",
        "Take the sealed bundles that boxes hand out, over HTTPS, into `received` in the city's folder. A box sends "
        "with its own certificate only, and goes on where it was after a pause. When everything is there, signature "
        "and content are checked, and what was found is shown. The certificate is the broker's: run it where boxes "
        "reach the broker under the same name. What comes over MQTT is taken by `pasu centre watch`.\n\n"
        "examples:\n  pasu centre receive --listen 10.77.0.1:8443 --city gangneung",
    )
    parser.add_argument(
        "--listen",
        required=True,
        metavar="ADDR",
        help=say(
            f"주소와 포트, 포트가 없으면 {DEFAULT_PORT}", f"address and port; {DEFAULT_PORT} without a port"
        ),
    )
    add_city(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Receive, until Ctrl-C."""
    from agent.centre.receive_https import Server, context

    city = open_city(args)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s", stream=sys.stderr)
    host, port = _address(args.listen)
    revoked = city.at("ca", "crl.pem")
    try:
        tls = context(
            city.at("broker", "broker.pem"),
            city.at("broker", "broker.key"),
            city.at("ca", "ca.pem"),
            revoked if revoked.exists() else None,
        )
        server = Server((host, port), tls, store(city), show)
    except OSError as error:
        raise UsageError(
            "CANNOT_LISTEN",
            say(f"여기서 받을 수 없습니다: {args.listen}", f"cannot listen here: {args.listen}"),
            hint=say(
                "주소와 포트, 도시 폴더의 ca와 broker를 확인하십시오",
                "check address and port, and ca and broker in the city's folder",
            ),
            reason=error.strerror or str(error),
        ) from None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start())
    shown = f"{host}:{server.server_address[1]}"
    print(say(f"{shown}에서 받고 있습니다.", f"Receiving at {shown}."), flush=True)
    server.serve_forever(0.2)
    server.server_close()
    return 0


def store(city: City) -> Store:
    """Return where a city keeps what it received; of boxes that are enrolled only."""
    from agent.centre import arrived, registry, verify, witness
    from agent.centre.receive import Store
    from agent.centre.taken_back import is_taken_back
    from agent.errors import ConfigError

    def verifier_of(box: str) -> Any:
        try:
            known = registry.find(city, box)
            return verify.read_key(known.vkey) if known is not None and known.out_ms is None else None
        except ConfigError:
            return None

    return Store(city.at(arrived.FOLDER), verifier_of, partial(is_taken_back, city.at(witness.FILE)))


def over_mqtt(city: City, answer: Callable[[str, bytes], None]) -> Callable[[str, str, bytes], None]:
    """Return who takes the chunks that `watch` hears. answer: publishes a receipt to a box."""
    from agent.centre.receive_mqtt import Receiver

    return Receiver(store(city), answer, show)


def show(box: str, receipt: Receipt) -> None:
    """Say what became of an export."""
    from agent.consignment import Where

    name = f"{box}/{receipt.export}"
    words = {
        Where.RECEIVED: say("받아서 확인했습니다", "received, and everything is right"),
        Where.DAMAGED: say("받았으나 옳지 않은 것이 있습니다", "received, and something is not right"),
        Where.RECALLED: say("회수되어 버렸습니다", "taken back, and thrown away"),
    }
    print(f"{name}: {words.get(receipt.where, str(receipt.where))}", file=sys.stderr, flush=True)
    for problem in receipt.problems:
        print(f"  {plain(problem)}", file=sys.stderr, flush=True)


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(DEFAULT_PORT)
    if not port.isascii() or not port.isdigit() or not 0 <= int(port) < 65_536 or not host:
        raise UsageError(
            "CANNOT_LISTEN",
            say(f"주소가 아닙니다: {text}", f"not an address: {text}"),
            hint=say("10.77.0.1:8443처럼 쓰십시오", "write it like 10.77.0.1:8443"),
        )
    return host.removeprefix("[").removesuffix("]"), int(port)
