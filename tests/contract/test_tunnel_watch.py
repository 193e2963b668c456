"""`pasu tunnel watch` and what it calls, before a kernel that is played: what is refused, told and put right."""

from __future__ import annotations

import errno
import json
import os
import pwd
import time
from dataclasses import replace

import pytest

from agent.centre import tunnels
from agent.cli import centre_tunnel
from agent.cli.main import main
from agent.clock import SystemClock
from agent.errors import ConfigError, UplinkFault
from agent.storage.files import try_lock
from agent.tunnel import guard, keys, link, ruleset, tools, watch
from agent.tunnel.dump import STALE_S, Device, Peer
from agent.tunnel.guard import Verdict
from agent.tunnel.ruleset import Guard
from agent.tunnel.watch import Watch
from tests.contract.test_tunnel_enrol import config, enrolled, town, with_tunnel  # noqa: F401 - fixtures


class Kernel:
    """An interface as `ip` and `wg` would show it."""

    def __init__(self, monkeypatch) -> None:
        self.device: Device | None = None
        self.ups: list[float] = []
        self.reminded: list[str] = []
        self.by = "eth1"
        self.conflict: ConfigError | None = None
        for module, name in (
            (link, "observe"),
            (link, "up"),
            (link, "remind"),
            (link, "refuse_conflicts"),
            (link, "own_way"),
        ):
            monkeypatch.setattr(module, name, getattr(self, name))
        monkeypatch.setattr(link, "fits", lambda *_: True)
        monkeypatch.setattr(link, "is_kernels", lambda *_: True)
        monkeypatch.setattr(guard, "group_id", lambda _: 4242)
        monkeypatch.setattr(guard, "listed", lambda _: Verdict(()))

    def observe(self, _interface):
        return self.device

    def up(self, terms, pair, _interface, _rules):
        peer = Peer(terms.peer, terms.endpoint, terms.allowed, 0, 0, 0, terms.keepalive_s)
        self.device = Device(pair.public, 1, (peer,))

    def remind(self, _interface, terms):
        self.reminded.append(terms.endpoint)
        assert self.device is not None
        self.device = replace(self.device, peers=(replace(self.device.peers[0], endpoint=terms.endpoint),))

    def refuse_conflicts(self, *_):
        if self.conflict is not None:
            raise self.conflict

    def own_way(self, _endpoint):
        return "192.0.2.2", self.by

    def shaken(self, wall_s: int) -> None:
        assert self.device is not None
        self.device = replace(self.device, peers=(replace(self.device.peers[0], handshake_s=wall_s),))


@pytest.fixture
def kernel(monkeypatch):
    return Kernel(monkeypatch)


def codes(watching: Watch) -> set[str]:
    return {each["code"] for each in watching.tracker.to_json()}


def looks(watching: Watch, *times: float) -> None:
    for now_s in times:
        watching.look(now_s)


def test_another_endpoint_in_the_terms_is_taken_up(town, config, kernel):  # noqa: F811
    """A hub that moved: the bundle is accepted, and nothing else has to be done at the box."""
    enrolled(town, config)
    watching = Watch(config, SystemClock())
    looks(watching, 1.0, 6.0)
    assert kernel.reminded == []
    plan = town.city.at("tunnel", "hub.json")
    plan.write_text(json.dumps(json.loads(plan.read_text()) | {"endpoint": "203.0.113.9:51820"}))
    enrolled(town, config)
    looks(watching, 11.0, 16.0)
    assert kernel.reminded == ["203.0.113.9:51820"]


def test_f1_an_interface_that_has_just_come_again_is_not_stale(town, config, kernel):  # noqa: F811
    enrolled(town, config)
    watching = Watch(config, SystemClock())
    watching.look(1.0)
    kernel.shaken(1)
    looks(watching, 1000.0)
    kernel.device = None
    looks(watching, 1005.0, 1010.0)
    assert codes(watching) == set()
    looks(watching, 1006.0 + STALE_S, 1020.0 + STALE_S)
    assert codes(watching) == {"tunnel.stale"}


def test_a_tunnel_that_is_up_and_takes_a_cameras_addresses_is_told(town, config, kernel):  # noqa: F811
    """Recording comes first: networks may come to overlap long after the tunnel came up."""
    enrolled(town, config)
    watching = Watch(config, SystemClock())
    looks(watching, 1.0, 100.0)
    assert codes(watching) == set()
    kernel.conflict = link.overlap(["10.77.0.0/24"])
    looks(watching, 200.0, 220.0)
    assert watching.trouble == "TUNNEL_OVERLAP"
    assert "tunnel.trouble" in codes(watching)


def test_what_is_gone_is_told_whatever_else_is_wrong(town, config, kernel):  # noqa: F811
    enrolled(town, config)
    watching = Watch(config, SystemClock())
    looks(watching, 1.0)
    path = config.storage.state / "tunnel" / "tunnel.json"
    path.write_text("{}")
    looks(watching, 10.0, 30.0)
    assert watching.to_json(30.0)["up"]
    assert codes(watching) >= {"tunnel.trouble"}
    kernel.device = None
    looks(watching, 40.0, 60.0)
    assert not watching.to_json(60.0)["up"]
    assert "tunnel.down" in codes(watching)


def test_a_group_that_records_is_refused(town, config, monkeypatch):  # noqa: F811
    """Recording comes first: rules for its own group would bar it from its cameras."""
    enrolled(town, config)
    own = 4711
    user = pwd.struct_passwd(("pasu", "x", 4710, own, "", "/", "/bin/false"))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: user)
    monkeypatch.setattr(guard, "group_id", lambda _: own)
    with pytest.raises(ConfigError) as caught:
        watch.wanted(config)
    assert caught.value.code == "TUNNEL_GROUP_RECORDS"
    monkeypatch.setattr(guard, "group_id", lambda _: 0)
    with pytest.raises(ConfigError):
        watch.wanted(config)
    monkeypatch.setattr(guard, "group_id", lambda _: 4242)
    assert os.getgid() != 4242
    assert watch.wanted(config).rules.group == 4242
    assert keys.require(config.storage.state)


@pytest.mark.parametrize("kind", ["bridge", "vlan", "bond", None])
def test_an_interface_that_is_no_tunnel_is_never_taken_away(monkeypatch, kind):
    """Recording comes first: a bridge or a VLAN that was named by mistake may be the cameras' way."""
    asked: list[tuple[str, ...]] = []
    shown = {"ifname": "br0", **({"linkinfo": {"info_kind": kind}} if kind else {})}
    monkeypatch.setattr(link, "has_interface", lambda _: True)
    monkeypatch.setattr(link, "observe", lambda _: None)
    monkeypatch.setattr(tools, "listed", lambda *_: [shown])
    monkeypatch.setattr(tools, "call", lambda *words, **_: asked.append(words) or "")
    for act in (link.down, link._make):
        with pytest.raises(ConfigError) as caught:
            act("br0")
        assert caught.value.code == "TUNNEL_FOREIGN"
    assert asked == []


@pytest.mark.parametrize("words", [("up",), ("down",), ("status",), ("watch",), ("install",)])
def test_another_user_is_told_so(town, config, monkeypatch, capsys, words):  # noqa: F811
    """To a user who cannot look, a box with a tunnel looks like one without."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["tunnel", *words, "--config", str(config.file)]) == 78
    said = capsys.readouterr().err
    assert "TUNNEL_NOT_ROOT" in said
    assert "sudo" in said


def test_f2_the_rules_of_the_next_boot_are_whole_at_every_moment(town, config, tmp_path, monkeypatch, capsys):  # noqa: F811
    """F2: power that is cut while `pasu tunnel install` writes leaves the rules of before, and not half of them."""
    enrolled(town, config)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(guard, "group_id", lambda _: 4242)
    monkeypatch.setattr(link, "refuse_conflicts", lambda *_: None)
    install = ["tunnel", "install", "--root", str(tmp_path / "root"), "--config", str(config.file)]
    assert main(install) == 0
    rules = tmp_path / "root" / "etc" / "pasu" / "egress.nft"
    before = rules.read_text()
    assert before.startswith("table inet pasu_egress {}")
    assert rules.stat().st_mode & 0o777 == 0o644
    monkeypatch.setattr(ruleset, "text", lambda _: "other rules")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "I/O error")))
    assert main(install) != 0
    assert "OUTPUT_UNWRITABLE" in capsys.readouterr().err
    assert rules.read_text() == before
    monkeypatch.undo()


def test_down_says_that_somebody_brings_it_up_again(town, config, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    config.storage.run.mkdir(parents=True, exist_ok=True)
    assert main(["tunnel", "down", "--config", str(config.file)]) == 0
    assert "systemctl stop pasu-tunnel" not in capsys.readouterr().out
    watching = Watch(config, SystemClock())
    watch._write(config.storage.run, watching.to_json(watch.boot_s()))
    assert main(["tunnel", "down", "--config", str(config.file)]) == 0
    assert "systemctl stop pasu-tunnel" in capsys.readouterr().out


def test_an_address_that_the_tunnel_does_not_lead_to_is_told(town, tmp_path, kernel, monkeypatch, capsys):  # noqa: F811
    """The guard would drop what goes there without a word: a technician looks for it in vain."""
    more = '[uplink]\nbroker = "mqtts://10.77.0.1:8883"\nmedia = "rtsp://10.77.0.5:8554"\n'
    config = with_tunnel(tmp_path / "box", more=more)  # noqa: F811
    enrolled(town, config)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(tools, "find", lambda program: program)
    kernel.up(*keys.require(config.storage.state), "pasu0", None)
    kernel.shaken(int(time.time()))
    status = ["tunnel", "status", "--config", str(config.file)]
    assert main(status) == 1
    assert "does not lead: 10.77.0.5\n" in capsys.readouterr().out
    install = ["tunnel", "install", "--root", str(tmp_path / "root"), "--config", str(config.file)]
    assert main(install) == 0
    assert "does not lead: 10.77.0.5\n" in capsys.readouterr().out
    config.file.write_text(config.file.read_text().replace("10.77.0.5", "10.77.0.1"))
    assert main(status) == 0
    kernel.conflict = link.overlap(["10.77.0.0/24"])
    assert main(status) == 1
    said = capsys.readouterr().out
    assert "TUNNEL_OVERLAP" in said
    assert "have the centre plan" in said


def test_f9_a_line_by_which_the_tunnel_does_not_leave_is_told(town, tmp_path, kernel):  # noqa: F811
    """F9: misspelt, or the line's own interface below PPP: what is named is barred, and what is used is not."""
    config = with_tunnel(tmp_path / "box", more='line = "eth1"\n')  # noqa: F811
    enrolled(town, config)
    watching = Watch(config, SystemClock())
    kernel.by = ""  # without a way to the hub nothing is known
    looks(watching, 1.0, 20.0)
    assert watching.trouble == ""
    kernel.by = "ppp0"
    looks(watching, 30.0, 50.0)
    assert watching.trouble == "TUNNEL_LINE_OTHER"
    assert codes(watching) == {"tunnel.trouble"}
    assert watching.lacks == ()
    kernel.by = "eth1"
    looks(watching, 60.0)
    assert codes(watching) == set()


@pytest.mark.parametrize(
    ("reason", "gone"),
    [
        ("Error: No such file or directory", True),
        ("Operation not permitted (you must be root)", False),
        ("Error: JSON support not compiled-in", False),
        ("timed out", False),
    ],
)
def test_who_cannot_look_does_not_say_that_there_are_no_rules(monkeypatch, reason, gone):
    def call(*words: str, **_: str) -> str:
        raise tools._failed(words, reason)

    monkeypatch.setattr(tools, "call", call)
    rules = Guard("pasu0", 4242, ("10.77.1.1",), ("10.77.0.1/32",), "203.0.113.5:51820")
    if gone:
        assert guard.listed(rules).lacks == ("the kernel has no such rules",)
        return
    with pytest.raises(UplinkFault) as caught:
        guard.listed(rules)
    assert caught.value.context["reason"] == reason


def test_a_bells_way_is_kept_as_a_cameras_is(town, tmp_path):  # noqa: F811
    """An emergency bell that the guard cuts off calls nobody."""
    more = '[[trigger]]\nid = "bell01"\nname = "비상벨"\nsource = "mqtt://10.77.0.1:1883/site/bell01"\ncameras = []\nminutes = 5\n'
    config = with_tunnel(tmp_path / "box", more=more)  # noqa: F811
    assert "10.77.0.1" in watch.camera_hosts(config)
    with pytest.raises(ConfigError) as caught:
        enrolled(town, config)
    assert caught.value.code == "TUNNEL_OVERLAP"


def test_what_nobody_thought_of_does_not_end_the_watch(town, config, kernel, monkeypatch, caplog):  # noqa: F811
    enrolled(town, config)
    watching = Watch(config, SystemClock())
    looks(watching, 1.0)
    monkeypatch.setattr(link, "fits", lambda *_: {}["dst"])
    looks(watching, 10.0, 15.0, 30.0)
    assert (watching.trouble, watching.to_json(30.0)["up"]) == ("KeyError", True)
    assert codes(watching) >= {"tunnel.trouble"}
    assert caplog.text.count("Traceback") == 1
    monkeypatch.setattr(link, "fits", lambda *_: True)
    looks(watching, 40.0)
    assert codes(watching) == set()


def test_the_hubs_configuration_is_written_by_one_at_a_time(town, monkeypatch):  # noqa: F811
    """H1: of two changes at once, an enrolment must not write a box in again that was just turned out."""
    locked: list[bool] = []

    def refresh(where, _boxes) -> None:
        fd = os.open(where.at("lock"), os.O_RDWR | os.O_CREAT)
        locked.append(not try_lock(fd))
        os.close(fd)

    monkeypatch.setattr(tunnels, "refresh", refresh)
    centre_tunnel.refresh(town.city)
    assert locked == [True]
