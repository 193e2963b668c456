"""The table of commands: every role by every command, every argument, the duties behind them."""

from typing import Any

import pytest

from agent.command import keyring, table
from agent.command.errors import CommandRefused
from agent.command.judge import Accept, Refuse, judge
from agent.command.keyring import Role
from agent.command.table import COMMANDS
from tests.city import NOW_MS, City
from tests.unit.command.test_judge import CHALLENGE, PLACE, RELEASE, light, world

EXPORT = {
    "camera": "cam01",
    "from_ms": 1,
    "to_ms": 2,
    "ground": "investigation",
    "purpose": "crime-prevention",
    "recipient": "강릉경찰서",
    "authority": "수사과 2026-77",
    "due": "2027-03-01",
    "to": "https://10.77.0.1:8443/in",
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "hold.place": PLACE,
    "hold.release": RELEASE,
    "delete.subject": {
        "camera": "cam01",
        "from_ms": 1,
        "to_ms": 2,
        "ground": "erasure-request",
        "request": "2027-17",
    },
    "segments.locate": {"camera": "cam01", "from_ms": 1, "to_ms": 2},
    "export.request": EXPORT,
    "export.cancel": {"export": "0" * 32},
    "export.received": {"export": "0" * 32, "good": True},
    "stream.grant": {
        "camera": "cam01",
        "operator": "관제 1",
        "purpose": "crime-prevention",
        "ground": "monitoring",
        "minutes": 15,
    },
    "stream.revoke": {"grant": "0" * 32, "reason": "종료"},
    "disaster.start": {"reason": "태풍 경보", "ground": "disaster", "minutes": 720},
    "disaster.stop": {"reason": "해제"},
    "streams": {},
    "config.propose": {"toml": "[box]", "consultation": "협의 2026-11"},
    "pass.issue": {"name": "김정비", "company": "한빛보안", "hours": 4, "digest": "0" * 64},
    "pass.revoke": {"pass": "1a2b3c4d", "reason": "작업 마침"},
    "time.confirm": {"utc_ms": NOW_MS},
    "key.revoke": {"kid": "0" * 16},
    "ring.replace": {"ring": "x"},
    "lockdown": {"on": True},
    "erasure.confirm": {"day": "2026-11-21"},
    "inspect": {},
    "ledger.acknowledge": {"ledger": "0" * 16, "size": 1, "root": "0" * 64},
    "facts.resend": {"ledger": "0" * 16, "from_seq": 1},
    "command.cancel": {"id": "0" * 32},
}
# Written down again, by hand: o officer, d department, p operator, t technician, s service, v privacy officer; 2 when it
# needs two.
MATRIX = {
    "hold.place": "od",
    "hold.release": "od 2",
    "delete.subject": "o 2",
    "segments.locate": "odps",
    "export.request": "od",
    "export.cancel": "od",
    "export.received": "ods",
    "stream.grant": "op",
    "stream.revoke": "odps",
    "disaster.start": "o",
    "disaster.stop": "o",
    "streams": "odps",
    "config.propose": "ot",
    "pass.issue": "od",
    "pass.revoke": "od",
    "time.confirm": "os",
    "key.revoke": "od",
    "ring.replace": "odpts",
    "lockdown": "od",
    "erasure.confirm": "odv",
    "inspect": "odpts",
    "ledger.acknowledge": "s",
    "facts.resend": "s",
    "command.cancel": "od",
}
LETTERS = {
    Role.OFFICER: "o",
    Role.DEPARTMENT: "d",
    Role.OPERATOR: "p",
    Role.TECHNICIAN: "t",
    Role.SERVICE: "s",
    Role.PRIVACY: "v",
}


def test_the_matrix_is_whole() -> None:
    assert MATRIX.keys() == COMMANDS.keys() == ARGUMENTS.keys()


@pytest.mark.parametrize("command", MATRIX)
@pytest.mark.parametrize("role", Role)
def test_e6_role_by_command(role: Role, command: str) -> None:
    city = City()
    city.staff()
    text = city.order(f"{role} 1", command, ARGUMENTS[command], challenge=CHALLENGE)
    verdict = judge(text, world(city), light)
    if LETTERS[role] not in MATRIX[command].split()[0]:
        assert isinstance(verdict, Refuse)
        assert verdict.code == "COMMAND_ROLE"
    elif MATRIX[command].endswith("2"):
        assert isinstance(verdict, Refuse)
        assert verdict.code == "COMMAND_SECOND"
    else:
        assert isinstance(verdict, Accept)


@pytest.mark.parametrize("command", MATRIX)
@pytest.mark.parametrize("first", Role)
@pytest.mark.parametrize("other", Role)
def test_e6_role_by_role_by_command(first: Role, other: Role, command: str) -> None:
    city = City()
    city.staff()
    for role in Role:
        city.add(f"{role} 3", role)
    inner = city.order(f"{first} 1", command, ARGUMENTS[command], challenge=CHALLENGE)
    verdict = judge(city.order(f"{other} 3", "countersign", {"order": inner}), world(city), light)
    seconds = {
        "export.request": "d",
        "config.propose": "od",
        "stream.grant": "od",
        "delete.subject": "v",
    }.get(command, MATRIX[command].split()[0])
    fine = LETTERS[first] in MATRIX[command].split()[0] and LETTERS[other] in seconds
    assert isinstance(verdict, Accept) is fine
    if isinstance(verdict, Refuse):
        assert verdict.code == "COMMAND_ROLE"


def test_art_12_a_technician_has_no_command_about_pictures() -> None:
    pictures = {
        "hold.place",
        "hold.release",
        "delete.subject",
        "segments.locate",
        "export.request",
        "export.cancel",
        "stream.grant",
        "stream.revoke",
        "disaster.start",
        "disaster.stop",
        "streams",
        "lockdown",
    }
    for name in pictures:
        assert Role.TECHNICIAN not in COMMANDS[name].roles
        assert not COMMANDS[name].may_second(Role.TECHNICIAN)
    assert {name for name, each in COMMANDS.items() if Role.TECHNICIAN in each.roles} == {
        "config.propose",
        "ring.replace",
        "inspect",
    }


def test_a_privacy_officer_confirms_what_was_erased_seconds_deletions_and_no_more() -> None:
    confirm = ["erasure.confirm"]
    assert [name for name, each in COMMANDS.items() if Role.PRIVACY in each.roles] == confirm
    seconds = [name for name, each in COMMANDS.items() if each.may_second(Role.PRIVACY)]
    assert seconds == ["delete.subject", *confirm]


def test_every_command_is_explained_in_both_languages() -> None:
    for command in [*COMMANDS.values(), table.COUNTERSIGNING]:
        assert command.korean
        assert command.english
        for argument in command.arguments:
            assert argument.kind.korean
            assert argument.kind.english


@pytest.mark.parametrize("command", MATRIX)
def test_arguments_as_they_should_be(command: str) -> None:
    table.check_arguments(COMMANDS[command], ARGUMENTS[command])
    with pytest.raises(CommandRefused):
        table.check_arguments(COMMANDS[command], ARGUMENTS[command] | {"more": 1})
    for name in ARGUMENTS[command]:
        with pytest.raises(CommandRefused) as caught:
            table.check_arguments(
                COMMANDS[command], {k: v for k, v in ARGUMENTS[command].items() if k != name}
            )
        assert caught.value.context["reason"] == name
        for wrong in (None, [], {}, -1, "", "\n", 1 << 60):
            with pytest.raises(CommandRefused):
                table.check_arguments(COMMANDS[command], ARGUMENTS[command] | {name: wrong})


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("hold.place", {"cameras": ["*", "cam01"]}),
        ("hold.place", {"cameras": ["cam01", "cam01"]}),
        ("hold.place", {"cameras": ["../etc"]}),
        ("hold.place", {"cameras": [f"c{n}" for n in range(65)]}),
        ("hold.place", {"to_ms": PLACE["from_ms"]}),
        ("hold.place", {"from_ms": 0, "to_ms": 367 * 86_400_000}),
        ("hold.place", {"from_ms": True}),
        ("hold.place", {"review": "2027-02-30"}),
        ("hold.place", {"review": "2027-2-3"}),
        ("hold.place", {"ground": "Investigation"}),
        ("hold.place", {"authority": "a\nb"}),
        ("hold.place", {"authority": "x" * 501}),
        ("hold.release", {"hold": "../x"}),
        ("export.request", {"purpose": "curiosity"}),
        ("export.request", {"to": "http://10.0.0.1/"}),
        ("export.request", {"to": "https://user:pw@10.0.0.1/"}),
        ("export.request", {"emergency": "yes"}),
        ("stream.grant", {"minutes": 16}),
        ("stream.grant", {"minutes": 0}),
        ("stream.grant", {"minutes": 1.5}),
        ("stream.grant", {"purpose": "curiosity"}),
        ("stream.grant", {"camera": "*"}),
        ("stream.revoke", {"grant": "cam01"}),
        ("disaster.start", {"minutes": 721}),
        ("disaster.start", {"minutes": 0}),
        ("disaster.start", {"centre": "../x"}),
        ("disaster.start", {"centre": None}),
        ("disaster.start", {"reason": ""}),
        ("disaster.stop", {"reason": 1}),
        ("pass.issue", {"name": "a\nb"}),
        ("pass.issue", {"company": "x" * 61}),
        ("pass.issue", {"hours": 169}),
        ("pass.issue", {"hours": 1.5}),
        ("pass.issue", {"digest": "0" * 63}),
        ("pass.issue", {"digest": "7KQ4M-0Z8XJ-1B2C3-D4E5F"}),
        ("pass.revoke", {"pass": "../../x"}),
        ("pass.revoke", {"pass": "0" * 9}),
        ("time.confirm", {"utc_ms": 1.5}),
        ("lockdown", {"on": 1}),
        ("ledger.acknowledge", {"size": 0}),
        ("ledger.acknowledge", {"root": "0" * 63}),
        ("command.cancel", {"id": "A" * 32}),
    ],
)
def test_arguments_as_they_should_not_be(command: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(CommandRefused):
        table.check_arguments(COMMANDS[command], ARGUMENTS[command] | wrong)


def test_arguments_are_an_object() -> None:
    with pytest.raises(CommandRefused):
        table.check_arguments(COMMANDS["inspect"], [])


def test_optional_arguments() -> None:
    table.check_arguments(
        COMMANDS["export.request"], EXPORT | {"emergency": True, "case": "2026-9", "to": "mqtt"}
    )


def test_which_cameras_an_order_concerns() -> None:
    concerns = {name: table.cameras_of(COMMANDS[name], arguments) for name, arguments in ARGUMENTS.items()}
    assert {name: cameras for name, cameras in concerns.items() if cameras} == {
        "hold.place": ("cam01",),
        "delete.subject": ("cam01",),
        "segments.locate": ("cam01",),
        "export.request": ("cam01",),
        "stream.grant": ("cam01",),
        **dict.fromkeys(
            (
                "config.propose",
                "disaster.start",
                "disaster.stop",
                "key.revoke",
                "lockdown",
                "erasure.confirm",
                "command.cancel",
            ),
            (keyring.ANY,),
        ),
    }


def test_days() -> None:
    assert table.day_ms("1970-01-02") == 86_400_000
    with pytest.raises(ValueError, match="day"):
        table.day_ms("tomorrow")
