"""What a running recorder takes over from files that others change, and what it does not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from agent import app
from agent.adopt import Adoption, Numbers, Sealing, Watched, refuse_older
from agent.capture.roster import difference
from agent.command import ring
from agent.config import load, read_secrets
from agent.errors import IntegrityFault, StorageFault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from agent.capture.roster import Difference

KEYS = (
    "age1kkxxtu9nzg6ra4k9wpe4wu2zmsrzysm9avcz6tdcnv3zpyzr2s5qv29xjl",
    "age12h9vwy50mv5cy67rdyayx3jy78mwjhufrkqq2h3jn98kv4qsqdzsv8nlw7",
)


class Workers:
    """What the adoption tells."""

    def __init__(self, plans: Mapping[str, Any]) -> None:
        self.plans = dict(plans)
        self.sealed: list[tuple[str, ...]] = []
        self.facts: list[tuple[str, dict[str, Any]]] = []
        self.covered: dict[str, int | None] = {}

    def reassign(self, plans: Mapping[str, dict[str, Any]], covered: Mapping[str, int | None]) -> Difference:
        found = difference(self.plans, plans)
        self.plans, self.covered = dict(plans), dict(covered)
        return found

    def seal_to(self, recipients: Sequence[str]) -> None:
        self.sealed.append(tuple(recipients))

    def say(self, kind: str, body: dict[str, Any]) -> None:
        self.facts.append((kind, body))


class Forks:
    """What the forks answer; a test sets `ring` and `error`."""

    def __init__(self) -> None:
        self.ring: tuple[int, tuple[str, ...]] | None = None
        self.error: Exception | None = None
        self.added: list[str] = []

    def examine(self, content: bytes, added: list[str]) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        self.added = added
        return {"sha256": f"sha of {len(content)}", "covered": dict.fromkeys(added, 7)}

    def sealing(self, recipients: Sequence[str]) -> Sealing:
        if self.error is not None:
            raise self.error
        if self.ring is None:
            return sealing(None, tuple(recipients), tuple(recipients))
        return sealing(*self.ring, configured=tuple(recipients))


def sealing(epoch: int | None, recipients: tuple[str, ...], configured: tuple[str, ...]) -> Sealing:
    return Sealing(recipients, tuple(key[:8] for key in recipients), epoch, recipients != configured)


class Box:
    """A configuration on disk, and the adoption that follows it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "agent.toml"
        self.secrets = folder / "secrets.toml"
        self.secrets.touch(0o600)
        self.state = folder / "state"
        (self.state / "centre").mkdir(parents=True)
        self.cameras = {"cam01": "rtsp://192.0.2.1/a", "cam02": "rtsp://192.0.2.2/a"}
        self.keys = KEYS[:1]
        self.more = ""
        self.box = "box-1"
        self.write()
        config = load(self.file)
        numbers = Numbers()
        self.workers = Workers(numbers.plans(config, read_secrets(self.secrets)))
        self.forks = Forks()
        self.adoption = Adoption(
            config,
            sealing(None, self.keys, self.keys),
            numbers,
            sha256="at the start",
            files=Watched((self.file, self.secrets)),
            ring=Watched([self.state / name for name in app.RING_FILES]),
        )

    def write(self) -> None:
        text = (
            f'[box]\nid = "{self.box}"\nsite = "s"\noperator = "o"\ncontact = "c"\n'
            f'[storage]\nvault = "{self.file.parent / "vault"}"\nstate = "{self.state}"\n'
            f"recipients = [{', '.join(chr(34) + key + chr(34) for key in self.keys)}]\n{self.more}\n"
        )
        for camera, url in self.cameras.items():
            text += f'[[camera]]\nid = "{camera}"\nname = "n"\nurl = "{url}"\n'
            text += 'purpose = "crime-prevention"\nlegal_basis = "b"\n'
        part = self.file.with_suffix(".part")
        part.write_text(text)
        os.replace(part, self.file)

    def turns(self, count: int = 2) -> None:
        for _ in range(count):
            self.adoption.turn(self.workers, self.forks)

    def codes(self) -> list[str]:
        return [each.code for each in self.adoption.raised()]

    def state_of(self) -> str:
        return str(self.adoption.to_json()["state"])


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_nothing_changes_nothing(box: Box) -> None:
    box.turns(5)
    assert (box.workers.facts, box.workers.sealed, box.codes()) == ([], [], [])
    assert box.adoption.to_json() == {"sha256": "at the start", "state": "applied"}


def test_a_file_is_read_when_it_stayed_the_same_for_a_turn(box: Box) -> None:
    box.cameras["cam03"] = "rtsp://192.0.2.3/a"
    box.write()
    box.turns(1)
    assert "cam03" not in box.workers.plans
    del box.cameras["cam03"]
    box.cameras["cam04"] = "rtsp://192.0.2.4/a"
    box.write()
    box.turns(1)
    assert box.workers.facts == [], "it has just changed again"
    box.turns(1)
    assert list(box.workers.plans) == ["cam01", "cam02", "cam04"]
    box.turns(5)
    assert len(box.workers.facts) == 1


def test_cameras_come_go_and_change(box: Box) -> None:
    untouched = box.workers.plans["cam02"]
    del box.cameras["cam01"]
    box.cameras |= {"cam03": "rtsp://192.0.2.3/a", "cam04": "file:/tmp/a.mp4"}
    box.write()
    box.turns()
    assert box.workers.plans["cam02"] == untouched, "neither its vault nor its share of the grid moves"
    assert box.forks.added == ["cam03", "cam04"]
    assert box.workers.covered == {"cam03": 7, "cam04": 7}
    ((kind, body),) = box.workers.facts
    assert kind == "config.applied"
    assert body == {
        "sha256": box.adoption.to_json()["sha256"],
        "added": ["cam03", "cam04"],
        "removed": ["cam01"],
        "changed": [],
        "waiting": [],
        "purposes": dict.fromkeys(["cam02", "cam03", "cam04"], "crime-prevention"),
        "hours": {},
    }
    assert [camera.id for camera in box.adoption.config.cameras] == ["cam02", "cam03", "cam04"]
    numbers = [each["vault"] for each in box.workers.plans.values()]
    assert sorted(numbers) == [0, 1, 2], "the number that came free is given again"


def test_a_password_is_a_change_of_its_camera_alone(box: Box) -> None:
    box.secrets.write_text('[camera.cam02]\nusername = "u"\npassword = "p"\n')
    box.turns()
    assert box.workers.plans["cam02"]["password"] == "p"
    assert box.workers.facts[0][1]["changed"] == ["cam02"]


def test_a_wrong_file_changes_nothing_and_is_said_with_every_error(box: Box) -> None:
    plans = box.workers.plans
    box.cameras = {"cam01": "gopher://x", "CAM 2": "rtsp://192.0.2.2/a"}
    box.write()
    box.turns()
    assert box.workers.plans is plans
    assert box.state_of() == "invalid"
    (raised,) = box.adoption.raised()
    assert raised.code == "config.invalid"
    assert "camera[1].url" in raised.detail
    assert "camera[2].id" in raised.detail
    assert "gopher" not in raised.detail, "no address leaves the file"
    box.cameras = {"cam01": "rtsp://192.0.2.1/a", "cam02": "rtsp://192.0.2.2/a"}
    box.write()
    box.turns()
    assert (box.state_of(), box.codes()) == ("applied", [])


@pytest.mark.parametrize("how", ["gone", "cut", "secrets"])
def test_a_file_that_cannot_be_read_changes_nothing(box: Box, how: str) -> None:
    if how == "gone":
        box.file.unlink()
    elif how == "cut":
        box.file.write_text("[box")
    else:
        box.secrets.chmod(0o644)
        box.secrets.write_text("# others may read it\n")
    box.turns()
    assert box.codes() == ["config.invalid"]
    assert list(box.workers.plans) == ["cam01", "cam02"]


def test_what_cannot_change_now_waits_and_the_rest_is_taken(box: Box) -> None:
    box.box, box.more = "box-2", "segment_s = 30"
    box.cameras["cam03"] = "rtsp://192.0.2.3/a"
    box.write()
    box.turns()
    (raised,) = box.adoption.raised()
    assert (raised.code, raised.detail) == ("config.needs_restart", "box.id, storage.segment_s")
    assert box.state_of() == "needs_restart"
    assert box.adoption.config.box.id == "box-1"
    assert box.adoption.config.storage.segment_s == 60
    assert "cam03" in box.workers.plans
    box.box, box.more = "box-1", ""
    box.write()
    box.turns()
    assert (box.state_of(), box.codes()) == ("applied", [])


def test_a_catalogue_that_is_away_lets_the_new_file_wait(box: Box) -> None:
    box.forks.error = StorageFault("CATALOGUE_BUSY", "locked")
    box.cameras["cam03"] = "rtsp://192.0.2.3/a"
    box.write()
    box.turns(4)
    assert "cam03" not in box.workers.plans, "no segment without the camera's row"
    box.forks.error = None
    box.turns(2)
    assert "cam03" in box.workers.plans


def test_on_a_box_that_is_not_enrolled_the_configuration_names_the_recipients(box: Box) -> None:
    box.keys = KEYS
    box.write()
    box.turns()
    assert box.workers.sealed == [KEYS]
    assert [kind for kind, _ in box.workers.facts] == ["key.recipients", "config.applied"]
    assert box.workers.facts[0][1] == {
        "recipients": [key[:8] for key in KEYS],
        "signed": False,
        "epoch": None,
    }


def enrol(box: Box, epoch: int, keys: tuple[str, ...]) -> None:
    """Put another ring in place; what it says is what the fork answers."""
    box.forks.ring = (epoch, keys)
    (box.state / app.RING_FILES[0]).write_text(f"epoch {epoch} {len(keys)}" + " " * epoch)


def test_g5_a_new_ring_is_believed_in_the_next_turn(box: Box) -> None:
    enrol(box, 1, KEYS)
    box.turns(1)
    assert box.workers.sealed == [KEYS]
    assert box.codes() == ["recipients.differ"]
    enrol(box, 2, KEYS[1:])
    box.turns(1)
    assert box.workers.sealed == [KEYS, KEYS[1:]]
    assert [body["epoch"] for kind, body in box.workers.facts if kind == "key.recipients"] == [1, 2]
    box.keys = KEYS[1:]
    box.write()
    box.turns()
    assert box.codes() == []
    assert len(box.workers.sealed) == 2


def test_g3_on_an_enrolled_box_the_configuration_names_nobody(box: Box) -> None:
    enrol(box, 1, KEYS[:1])
    box.turns(1)
    box.keys = KEYS
    box.write()
    box.turns()
    assert box.workers.sealed == []
    assert box.codes() == ["recipients.differ"]


@pytest.mark.parametrize(
    ("ring_now", "error", "code"),
    [
        (None, IntegrityFault("RING_DAMAGED", "edited"), "RING_DAMAGED"),
        (None, None, "RECIPIENTS_UNSIGNED"),
        ((4, KEYS), None, "RECIPIENTS_OLD"),
    ],
)
def test_g3_a_ring_that_cannot_be_relied_on_changes_nobody(
    box: Box, ring_now: Any, error: Exception | None, code: str
) -> None:
    enrol(box, 5, KEYS[:1])
    box.turns(1)
    (box.state / app.RING_FILES[0]).write_text("another")
    box.forks.ring, box.forks.error = ring_now, error
    box.turns(3)
    assert box.workers.sealed == []
    assert box.adoption.sealing.recipients == KEYS[:1]
    assert [(each.code, each.detail) for each in box.adoption.raised()] == [("recipients.unverified", code)]
    box.forks.error = None
    enrol(box, 6, KEYS[1:])
    box.turns(1)
    assert box.workers.sealed == [KEYS[1:]]


def test_h1_log_ins_that_are_sealed_and_were_not_handed_over_are_told_of(box, tmp_path, monkeypatch):
    """H1: the board was exchanged: cameras without a log-in are recorded, and somebody hears of the others."""
    handed = tmp_path / "handed"
    handed.mkdir()
    (handed / "secrets.toml").write_bytes(b"#none")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(handed))
    assert box.codes() == []
    box.secrets.with_name("secrets.sealed").touch()
    assert box.codes() == ["config.secrets_shut"]


def test_a_fork_that_failed_is_tried_again(box: Box) -> None:
    box.forks.error = StorageFault("HELPER_FAILED", "killed")
    (box.state / app.RING_FILES[0]).write_text("new")
    box.turns(2)
    assert box.codes() == ["recipients.unverified"]
    box.forks.error, box.forks.ring = None, (1, KEYS)
    box.turns(1)
    assert box.workers.sealed == [KEYS]


def test_g3_a_box_goes_back_neither_to_unsigned_nor_to_older_recipients() -> None:
    before = sealing(5, KEYS, KEYS).to_fact()
    refuse_older({}, sealing(None, KEYS, KEYS))
    refuse_older(sealing(None, KEYS, KEYS).to_fact(), sealing(None, KEYS, KEYS))
    refuse_older(before, sealing(5, KEYS, KEYS))
    for epoch, code in ((None, "RECIPIENTS_UNSIGNED"), (4, "RECIPIENTS_OLD")):
        with pytest.raises(IntegrityFault) as caught:
            refuse_older(before, sealing(epoch, KEYS, KEYS))
        assert caught.value.code == code


def test_the_files_of_the_ring_are_those_that_commands_know() -> None:
    assert (f"{ring.DIRECTORY}/{ring.FILE}", f"{ring.DIRECTORY}/{ring.ROOT_FILE}") == app.RING_FILES


def test_numbers_stay_and_shares_of_the_grid_are_apart(box: Box) -> None:
    box.cameras = {f"cam{number:02d}": f"rtsp://192.0.2.{number}/a" for number in range(16)}
    box.write()
    box.turns()
    phases = sorted(each["phase"] for each in box.workers.plans.values())
    gaps = [b - a for a, b in zip(phases, [*phases[1:], phases[0] + 1], strict=True)]
    assert min(gaps) > 0.4 / 16


def test_d12_a_password_of_the_factory_is_told_until_it_is_changed(box: Box) -> None:
    """D12: also of a camera that was written in by hand, which nobody asked for its password when it was added."""
    assert box.codes() == []
    box.secrets.write_text('[camera.cam01]\nusername = "admin"\npassword = "12345"\n')
    box.turns()
    assert [(each.code, each.subject) for each in box.adoption.raised()] == [
        ("camera.default_password", "cam01")
    ]
    again = Adoption(
        load(box.file), box.adoption.sealing, Numbers(), sha256="", files=Watched(()), ring=Watched(()),
        secrets=read_secrets(box.secrets),
    )  # fmt: skip
    assert [each.subject for each in again.raised()] == ["cam01"], "also of those that it was started with"
    box.secrets.write_text('[camera.cam01]\nusername = "rec"\npassword = "kX9-qv2"\n')
    box.turns()
    assert box.codes() == []
