"""H4: a port that somebody opened on the box is told, and one that is closed."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from agent.health.sockets import MOST, Openings, open_ports
from agent.openings import LOOK_S, NET, SETTLED_S, Ports

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
ALL_6 = "0" * 32


def table(*rows: tuple[str, int, str, str]) -> str:
    """Write one as the kernel does: local address and port, the other end, state."""
    lines = [
        f"   0: {local}:{port:04X} {other} {state} 00000000:00000000" for local, port, other, state in rows
    ]
    return HEAD + "\n".join(lines) + "\n\n"


NOBODY = "00000000:0000"


@pytest.mark.parametrize(
    ("name", "row", "found"),
    [
        ("tcp", ("00000000", 22, NOBODY, "0A"), {"tcp 22"}),
        ("tcp", ("014DA8C0", 443, NOBODY, "0A"), {"tcp 443"}),
        ("tcp", ("00000000", 50000, NOBODY, "0A"), {"tcp 50000"}),  # a back door has any port
        ("tcp", ("014DA8C0", 443, "024DA8C0:D431", "01"), set()),  # a connection
        ("tcp", ("0100007F", 631, NOBODY, "0A"), set()),
        ("tcp", ("3500007F", 53, NOBODY, "0A"), set()),  # 127.0.0.53
        ("tcp6", (ALL_6, 22, f"{ALL_6}:0000", "0A"), {"tcp 22"}),
        ("tcp6", ("00000000000000000000000001000000", 631, f"{ALL_6}:0000", "0A"), set()),
        ("tcp6", ("0000000000000000FFFF00000100007F", 631, f"{ALL_6}:0000", "0A"), set()),
        ("tcp6", ("0000000000000000FFFF0000014DA8C0", 80, f"{ALL_6}:0000", "0A"), {"tcp 80"}),
        ("udp", ("00000000", 68, NOBODY, "07"), {"udp 68"}),
        ("udp", ("00000000", 40000, NOBODY, "07"), set()),  # asks somebody, or hears a camera
        ("udp", ("014DA8C0", 123, "024DA8C0:007B", "01"), set()),  # hears one alone
        ("udp", ("0100007F", 323, NOBODY, "07"), set()),
        ("udp6", (ALL_6, 5353, f"{ALL_6}:0000", "07"), {"udp 5353"}),
    ],
)
def test_s_2_12_2_5_what_is_open_to_others(name, row, found):
    assert open_ports({name: table(row)}, 32768) == found


def test_the_same_port_of_both_families_is_one():
    rows = {"tcp": table(("00000000", 22, NOBODY, "0A")), "tcp6": table((ALL_6, 22, f"{ALL_6}:0000", "0A"))}
    assert open_ports(rows, 32768) == {"tcp 22"}


def test_what_was_opened_and_closed_is_told_once_when_it_lasts():
    openings, page, shell = Openings(None), frozenset({"tcp 443"}), frozenset({"tcp 443", "tcp 4444"})
    assert openings.look(page) is None
    assert openings.look(page) == {"open": ["tcp 443"], "opened": [], "closed": [], "count": 1}
    assert openings.look(page) is None
    assert openings.look(shell) is None
    assert openings.look(shell) == {
        "open": ["tcp 443", "tcp 4444"], "opened": ["tcp 4444"], "closed": [], "count": 2,
    }  # fmt: skip
    assert openings.look(page) is None
    assert openings.look(shell) is None, "it was gone for a moment"
    assert openings.look(shell) is None
    assert openings.look(page) is None
    assert openings.look(page)["closed"] == ["tcp 4444"]


def test_one_that_comes_and_goes_hides_no_other():
    openings, found = Openings([]), []
    for number in range(6):
        ports = {"tcp 4444"} | ({"tcp 1"} if number % 2 else set())
        found.append(openings.look(frozenset(ports)))
    assert [each and each["opened"] for each in found] == [None, ["tcp 4444"], None, None, None, None]


def test_what_the_ledger_says_is_not_told_again():
    ports = frozenset({"tcp 443"})
    openings = Openings(["tcp 443"])
    assert [openings.look(ports), openings.look(ports)] == [None, None]
    openings = Openings([])
    assert openings.look(ports) is None
    assert openings.look(ports)["opened"] == ["tcp 443"]


def test_of_very_many_a_part_is_named():
    many = frozenset(f"tcp {port}" for port in range(1, 1001))
    openings = Openings([])
    openings.look(many)
    told = openings.look(many)
    assert (len(told["open"]), len(told["opened"]), told["count"]) == (MOST, MOST, 1000)


def test_h4_a_socket_that_somebody_opens_is_seen_by_the_kernels_own_lists():
    """As `nc -l` does it: told at the second look after, and that it is gone."""
    ports, now_s = Ports(None, 0.0), 0.0

    def look() -> dict[str, object] | None:
        nonlocal now_s
        now_s += LOOK_S
        return ports.turn(now_s)

    assert Ports(None, 0.0).turn(SETTLED_S - 1) is None
    now_s = SETTLED_S
    with socket.socket() as door:
        door.bind(("0.0.0.0", 0))
        mine = f"tcp {door.getsockname()[1]}"
        door.listen()
        told = [each for each in (look(), look()) if each is not None]
        assert mine in told[-1]["open"]
    later = [each for each in (look(), look()) if each is not None]
    assert mine in later[-1]["closed"]
    assert 2 * LOOK_S <= 30
    assert ports.turn(now_s + LOOK_S - 1) is None, "not before its time"


def test_a_list_that_cannot_be_read_closes_nothing(tmp_path: Path):
    (tmp_path / "tcp").write_text(
        table(("00000000", 22, NOBODY, "0A"))
    )  # no other list: a kernel without them
    ports = Ports(None, 0.0, tmp_path)
    assert ports.turn(SETTLED_S) is None
    assert ports.turn(SETTLED_S + LOOK_S)["open"] == ["tcp 22"]
    (tmp_path / "tcp").unlink()
    assert [ports.turn(SETTLED_S + number * LOOK_S) for number in (2, 3)] == [None, None]
    (tmp_path / "tcp").mkdir()
    assert [ports.turn(SETTLED_S + number * LOOK_S) for number in (4, 5)] == [None, None]
    assert (NET / "tcp").exists()
