"""What the examination of a site looks at: kernels and disks as they may be, and by which user."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from agent import timefile
from agent.clock import SystemSource
from agent.config import Secrets, load
from agent.config.values import Page
from agent.errors import ConfigError, StorageFault
from agent.field.doctor import canary, judge_box, look, look_state, sniff
from agent.field.doctor.check import State
from agent.field.doctor.judge_box import Opening, Place
from agent.forks import as_owner
from agent.log_ins import Form, LogIns, Standing
from agent.machine import Key
from agent.model import Fact, Instant, Trust
from agent.storage.catalogue import Catalogue
from agent.storage.envelope import X25519Identity
from agent.storage.files import Disk
from agent.storage.keep.orders_files import Replies
from agent.trust import BUILD_MS, HOLDOVER_MS, Observation, Word, observe
from tests.sealing import FakeCreds
from tests.unit.storage.box import FailingDisk

ROOT = Path(__file__).parents[3]
NOBODY = 65534
KEY = X25519Identity.generate()


@pytest.fixture
def config(tmp_path):
    place = tmp_path / "agent.toml"
    place.write_text(
        f"""
[box]
id = "gn-0001"
site = "site"
operator = "city"
contact = "033-000-0000"
[storage]
vault = "{tmp_path}/vault"
state = "{tmp_path}/state"
run = "{tmp_path}/run"
recipients = ["{KEY.recipient()}"]
[[camera]]
id = "cam01"
name = "gate"
url = "rtsp://10.0.0.11/main"
purpose = "crime-prevention"
legal_basis = "law"
"""
    )
    for name in ("vault", "state"):
        (tmp_path / name).mkdir(mode=0o700)
    return load(place)


def test_a_disk_is_measured_and_nothing_is_left_of_it(tmp_path):
    found = look.disk(tmp_path)
    assert len(found.syncs_ms) == look.SYNCS
    assert found.syncs_ms == tuple(sorted(found.syncs_ms))
    assert found.bytes_s > 0
    assert found.wrong == ""
    assert found.on_root == (tmp_path.stat().st_dev == Path("/").stat().st_dev)
    assert not [*tmp_path.iterdir()]


def test_a_disk_that_fails_says_so(tmp_path):
    assert look.disk(tmp_path / "gone").wrong
    for op in ("write", "fdatasync"):
        found = look.disk(tmp_path, FailingDisk(lambda _, made, __, op=op: errno.EIO if made == op else None))
        assert found.wrong.startswith("DISK_"), op
        assert found.syncs_ms == ()
    assert not [*tmp_path.iterdir()]


def test_swap_on_a_disk_is_found_unless_it_is_encrypted_or_in_memory(tmp_path):
    proc, sys = tmp_path / "proc", tmp_path / "sys"
    proc.mkdir()
    assert look.swaps(proc, sys) == []
    for name, uuid in (("dm-0", "CRYPT-PLAIN-swap"), ("dm-1", "LVM-x")):
        place = sys / "block" / name / "dm"
        place.mkdir(parents=True)
        (place / "uuid").write_text(uuid)
    lines = [
        f"{name} partition 1 0 -2"
        for name in ("/dev/sda2", "/dev/zram0", "/dev/dm-0", "/dev/dm-1", "/swapfile")
    ]
    (proc / "swaps").write_text("\n".join(["Filename Type Size Used Priority", *lines]))
    assert look.swaps(proc, sys) == ["/dev/sda2", "/dev/dm-1", "/swapfile"]


def test_core_files_of_workers_and_keeper(tmp_path):
    for pid, soft in ((1, "0"), (2, "unlimited"), (3, "4096")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "limits").write_text(f"Max core file size   {soft}   unlimited   bytes\n")
    (tmp_path / "4").mkdir()
    (tmp_path / "4" / "limits").write_text("")
    workers = [{"name": f"w{pid}", "pid": pid} for pid in (1, 2, 4, 9)]
    found = look.cores({"record": {"workers": workers}, "keep": {"pid": 3}}, tmp_path)
    assert found["w1"] == 0
    assert found["w2"] is not None
    assert found["w2"] > 0
    assert (found["keep"], found["w4"], found["w9"]) == (4096, None, None)
    assert look.cores({"record": None, "keep": None}) == {}


def test_the_battery_clock(tmp_path):
    assert look.clock(tmp_path)[1] is None
    (tmp_path / "class/rtc/rtc0").mkdir(parents=True)
    (tmp_path / "class/rtc/rtc0/since_epoch").write_text("1000\n")
    away = look.clock(tmp_path)[1]
    assert away is not None
    assert away < -1_000_000


def test_until_when_the_time_stands_by_a_word(config):
    state, boot = config.storage.state, SystemSource().boot_id()
    assert look_state.word_until(config) is None, "nothing is known"
    named = Observation(boot, 1000, BUILD_MS, False, confirmed=Word("kim", boot, 1000, BUILD_MS))
    belief, _ = observe(None, named)

    def until(**more):
        (state / timefile.FILE).write_text(timefile.encode(replace(belief, **more), []))
        return look_state.word_until(config)

    assert until() == BUILD_MS + HOLDOVER_MS
    assert until(state=Trust.UNTRUSTED) is None
    assert until(anchor=replace(belief.anchor, source="synced")) is None, "a time server's, that has gone"
    assert until(anchor=replace(belief.anchor, boot_id="another")) is None, "a start ends it"


def test_private_keys_are_found_three_folders_deep_and_not_in_links_or_in_video(tmp_path):
    """H1: a key that opens recordings."""
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "key.txt").write_text(f"# mine\n{KEY.secret().lower()}\n")
    (tmp_path / "video").write_bytes(look.KEY_MARK + bytes(look.KEY_FILE_BYTES))
    (tmp_path / "link").symlink_to(deep / "key.txt")
    (tmp_path / "plain").write_text(str(KEY.recipient()))
    assert look.keys([tmp_path]) == ([str(deep / "key.txt")], 2)


@pytest.mark.parametrize(
    ("root", "read", "wrong", "opens"),
    [
        (0, None, "board", Opening(False)),
        (0, None, "text", Opening(None, "CONFIG_SYNTAX")),
        (0, None, "", Opening(True)),
        (0, Secrets(), "", Opening(True)),
        (7, None, "", Opening(None)),
    ],
)
def test_whether_log_ins_open_root_alone_can_tell(config, tmp_path, monkeypatch, root, read, wrong, opens):
    creds = FakeCreds(tmp_path / "creds", monkeypatch)
    beside = LogIns(config.file)
    beside.put(b"")
    if wrong == "board":
        creds.exchange_board()
    if wrong == "text":
        beside.sealed.write_bytes(beside.machine.seal(b"[nonsense"))
    monkeypatch.setattr(os, "geteuid", lambda: root)
    assert look.sealing(config, read) == (Standing(Form.SEALED, Key.HOST), opens, root == 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_log_ins_behind_a_link_of_somebody_elses_are_not_handed_to_recording(config, tmp_path, monkeypatch):
    FakeCreds(tmp_path / "creds", monkeypatch)
    clear = LogIns(config.file).clear
    clear.symlink_to(tmp_path / "elsewhere")
    os.chown(clear, 54321, 54321, follow_symlinks=False)
    assert look.sealing(config, Secrets())[1] == Opening(None, "CONFIG_LINK")


def test_places_and_units(config, tmp_path):
    places = {each.path: each for each in look.places(config)}
    assert places[str(config.storage.state)] == Place(str(config.storage.state), 0o700, os.getuid())
    assert places[str(config.secrets_file)].mode is None
    config.sealed_secrets_file.touch(mode=0o600)
    assert look.places(config)[0] == Place(str(config.sealed_secrets_file), 0o600, os.getuid())
    assert str(config.secrets_file) not in [each.path for each in look.places(config)]
    config.secrets_file.touch()
    config.secrets_file.chmod(0o644)
    assert look.places(config)[1] == Place(str(config.secrets_file), 0o644, os.getuid())
    assert look.unit_names(config) == [
        "pasu-record.service",
        "pasu-keep.service",
        "pasu-clock.service",
        "pasu-disks.timer",
        "pasu-fence-apply.timer",
        "pasu-secrets.path",
        "pasu-secrets-clear.path",
    ]
    with_page = replace(config, page=Page(("127.0.0.1",), 8443, None, 0, tmp_path))
    assert look.unit_names(with_page)[-2:] == ["pasu-page.service", "pasu-page-again.path"]
    # All that starts by itself is a unit of ours, and says when.
    for name in [*look.unit_names(with_page), *judge_box.AT_BOOT]:
        assert "[Install]" in (ROOT / "systemd" / name).read_text(), name
    assert look.units(["x"], tmp_path / "none") is None
    assert look.units(["pasu-none.service"], tmp_path) is not None
    assert look.digest(config.file)
    assert look.digest(tmp_path / "none") == ""


def test_of_every_service_that_the_package_brings_it_is_known_how_open_it_may_be(config):
    file = config.file
    more = (
        '[uplink]\nbroker = "mqtts://10.77.0.1:8883"',
        '[tunnel]\ninterface = "pasu0"',
        '[page]\nlisten = "127.0.0.1"',
    )
    file.write_text("\n".join([file.read_text(), *more]))
    asked = {*look.unit_names(load(file)), *judge_box.EXPOSED_OTHERS}
    there = {each.name for each in (ROOT / "systemd").glob("*.service")}
    assert there <= asked, there - asked
    if not Path("/usr/bin/systemd-analyze").exists():
        return
    found = look.exposures(sorted(asked), [ROOT / "systemd"])
    assert found.keys() == there
    assert {each.state for each in judge_box.exposures(found)} == {State.OK}


def test_units_are_asked_how_open_they_are():
    found = look.exposures(["pasu-keep.service", "pasu-record.service", "none.service"], [ROOT / "systemd"])
    if not Path("/usr/bin/systemd-analyze").exists():
        assert found == {}
        return
    assert set(found) == {"pasu-keep.service", "pasu-record.service"}
    assert all(0 <= each <= 10 for each in found.values())


def test_a_page_that_is_not_there_or_is_another(config):
    with socket.socket() as heard:
        heard.bind(("127.0.0.1", 0))
        port = heard.getsockname()[1]
    page = Page(("127.0.0.1",), port, None, 0, config.storage.run)
    (wrong,) = look.page(replace(config, page=page), "AA").values()
    assert wrong


def test_a_page_is_known_by_its_whole_fingerprint(config, tmp_path):
    from agent.field.page import tls
    from agent.storage.files import Disk

    said = tls.ensure(tmp_path, "gn-1", ["127.0.0.1"], Disk())
    context = tls.context(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as heard:
        page = Page(("127.0.0.1",), heard.getsockname()[1], None, 0, config.storage.run)

        def answer():
            for _ in range(3):
                with contextlib.suppress(OSError), context.wrap_socket(heard.accept()[0], server_side=True):
                    pass

        answering = threading.Thread(target=answer)
        answering.start()
        found = [[*look.page(replace(config, page=page), each).values()] for each in (said, said[:5], "")]
        answering.join(60)
    assert found == [[""], ["another certificate"], ["another certificate"]]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_folder_that_may_not_be_looked_into_is_not_taken_for_absent(config):
    def look_in():
        return [[each.path, each.owner] for each in look.places(config)]

    os.chown(config.storage.state, NOBODY, NOBODY)
    shut = config.storage.state.parent
    mode = shut.stat().st_mode
    shut.chmod(0o700)
    try:
        found = dict(as_owner(config.storage.state, look_in))
    finally:
        shut.chmod(mode)
    assert found[str(config.storage.state / "keys")] is None


def test_what_is_written_for_the_agent_is_its_users(config):
    """Root examines; the service must be able to open its catalogue afterwards."""
    state = config.storage.state
    assert as_owner(state, os.getuid) == os.getuid()
    assert as_owner(state / "none", os.getuid) == os.getuid()
    fact = Fact("box.examined", Instant(1, Trust.SYNCED), {"by": "kim"})
    assert look_state.tell(config, lambda: fact) is False
    Catalogue.prepare(state).close()
    if os.geteuid() == 0:
        for each in (state, *state.iterdir()):
            os.chown(each, NOBODY, NOBODY)
        assert as_owner(state, os.getuid) == NOBODY
    catalogue = Catalogue.open(state, read_only=True)
    catalogue.close()


def test_the_ledger_is_asked_and_a_box_without_one_says_so(config):
    with pytest.raises(StorageFault, match="CATALOGUE_MISSING"):
        look_state.ledger(config, 10**12)
    catalogue = Catalogue.prepare(config.storage.state)
    at = Instant(10**12 - 1000, Trust.SYNCED)
    catalogue.add_fact(Fact("camera.uninvited_data", at, {"camera": "cam01", "dropped": 3}))
    catalogue.add_fact(Fact("command.accepted", at, {"id": "x"}))
    catalogue.close()
    found = look_state.ledger(config, 10**12)
    assert found == {
        "uninvited": {"cam01": 1},
        "command_ms": at.utc_ms,
        "reply_ms": None,
        "stored": {"cam01": ["", 0, "", 0]},
    }
    replies = Replies(config.storage.state, Disk(), "gn-0001")
    for ms in (0, 5000):
        replies.say("x", "inspect", "done", Instant(at.utc_ms + ms, Trust.SYNCED))
    (config.storage.state / "exchange/replies/.tmp").touch()
    assert look_state.ledger(config, 10**12)["reply_ms"] == at.utc_ms
    for file in (config.storage.state / "exchange/replies").iterdir():
        file.unlink()
    assert look_state.ledger(config, 10**12)["reply_ms"] is None
    assert look_state.stored_look(found["stored"]["cam01"]).path == ""
    assert look_state.sealed_to(config) == [str(KEY.recipient())]


def test_a_canary(tmp_path):
    file = tmp_path / "c.age"
    canary.make(file, "gn-1", [str(KEY.recipient())])
    with file.open("rb") as sealed:
        box, word = canary.read(sealed, [KEY])
    assert box == "gn-1"
    assert word.encode() not in file.read_bytes() + canary.check_file(file).read_bytes()
    assert canary.is_right(file, f" {word.lower()} ")
    assert not canary.is_right(file, "AAAAAAAA")
    with pytest.raises(ConfigError, match="CANARY_FILE"):
        canary.make(file, "gn-1", [str(KEY.recipient())])
    canary.check_file(file).write_text("[]")
    with pytest.raises(ConfigError, match="CANARY_FILE"):
        canary.is_right(file, word)
    with pytest.raises(ConfigError, match="CANARY_FILE"):
        canary.is_right(tmp_path / "none", word)


def test_a_technician_copies_the_canary_and_what_tells_the_word_stays_roots(tmp_path):
    """By the guide: scp as one's own user, of what root has made, whatever its umask."""
    file = tmp_path / "c.age"
    before = os.umask(0o077)
    try:
        canary.make(file, "gn-1", [str(KEY.recipient())])
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o644
    assert canary.check_file(file).stat().st_mode & 0o777 == 0o600


def test_the_wire_is_not_listened_to_without_cameras_or_seconds():
    assert sniff.look(["rtsps://10.0.0.1/x", "file:/x"], 1).state is State.NOT_APPLICABLE
    assert sniff.look(["rtsp://10.0.0.1/x"], 0).state is State.NOT_APPLICABLE


def test_a_wire_that_nobody_heard_is_not_called_free_of_sound(monkeypatch):
    """Art. 11(2): the ledger of what was proven would say more than was heard."""
    found = sniff.look(["rtsp://127.0.0.1:9/x"], 1)  # root hears nothing, others may not listen
    assert found.state is State.WARNING

    def refused(*_):
        raise PermissionError

    monkeypatch.setattr(sniff, "listen", refused)
    assert sniff.look(["rtsp://127.0.0.1:9/x"], 1).state is State.WARNING
