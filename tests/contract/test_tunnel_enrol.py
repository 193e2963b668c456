"""The tunnel's keys and terms between a city and its boxes, on real disks: asked for, given, changed, taken away."""

from __future__ import annotations

import errno
import json
import shutil
import ssl
import stat
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from agent.centre import registry, tunnels
from agent.cli.main import main
from agent.command.keyring import Role
from agent.config import ConfigProblems, load
from agent.enrolment import box, form
from agent.errors import ConfigError, IntegrityFault, StorageFault
from agent.storage.files import Disk
from agent.tunnel import guard, keys, terms
from agent.uplink.carrier_https import Sender, Unreachable
from agent.uplink.dial import Dial, Endpoint
from tests.town import Town, configured, no_passphrase
from tests.unit.storage.box import FailingDisk

NOW = 1_800_000_000_000
HUB = {"endpoint": "203.0.113.5:51820", "network": "10.77.0.0/16"}


class Killed(BaseException):
    pass


def with_tunnel(folder, name="gn-0007", more=""):
    config = configured(folder, name)
    text = config.file.read_text(encoding="utf-8") + f'\n[tunnel]\ninterface = "pasu0"\n{more}'
    config.file.write_text(text, encoding="utf-8")
    return load(config.file)


def plan(**more) -> tuple[tunnels.Hub, str]:
    private, public = keys.new_private()
    values = {**HUB, "address": "10.77.0.1", "allowed": ("10.77.0.1/32",), "mtu": 1200, "keepalive_s": 25}
    return tunnels.Hub(**(values | more), public=public), private


@pytest.fixture
def town(tmp_path):
    made = Town(tmp_path / "town")
    tunnels.found(made.city, *plan())
    return made


@pytest.fixture
def config(tmp_path):
    return with_tunnel(tmp_path / "box")


def ask(config) -> form.Request:
    return form.read_request(form.request_json(box.request(config, Disk(), NOW)).encode())


def answer(town: Town, asked: form.Request, **more) -> form.Bundle:
    text = registry.enrol(town.city, asked, 90, datetime.now(UTC), no_passphrase, **more)
    return form.read_bundle(text.encode())


def enrolled(town: Town, config) -> form.Bundle:
    bundle = answer(town, ask(config))
    box.accept(config, bundle, Disk())
    return bundle


def test_a_box_asks_with_a_key_and_gets_a_place(town, config):
    bundle = enrolled(town, config)
    found, pair = keys.require(config.storage.state)
    assert (found, found.key) == (bundle.tunnel, pair.public)
    assert found.allowed == ("10.77.0.1/32",)
    assert found.addresses == ("10.77.1.1/32",)
    assert stat.S_IMODE(pair.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(pair.path.parent.stat().st_mode) == 0o700
    assert pair.private not in repr(pair)
    again = enrolled(town, config)
    assert again.tunnel.addresses == found.addresses


def test_the_private_key_leaves_in_nothing(town, config, tmp_path):
    bundle = enrolled(town, config)
    _, pair = keys.require(config.storage.state)
    sent = form.request_json(box.request(config, Disk(), NOW)) + json.dumps(terms.to_json(bundle.tunnel))
    for path in (tmp_path / "town").rglob("*"):
        if path.is_file():
            sent += path.read_bytes().decode("latin-1")
    assert pair.public in sent
    assert pair.private not in sent


def test_a_box_or_a_city_without_a_tunnel_stays_as_it_was(town, tmp_path):
    plain = configured(tmp_path / "plain", "gn-0001")
    asked = ask(plain)
    assert asked.tunnel == ""
    assert "tunnel" not in form.request_json(asked)
    assert answer(town, asked).tunnel is None
    assert not (plain.storage.state / "tunnel").exists()
    other = Town(tmp_path / "other")
    wanting = with_tunnel(tmp_path / "wanting")
    assert answer(other, ask(wanting)).tunnel is None
    with pytest.raises(ConfigError) as caught:
        keys.require(wanting.storage.state)
    assert caught.value.code == "TUNNEL_NOT_ENROLLED"


def test_f10_every_key_has_an_address_of_its_own(town, tmp_path):
    """F10: one host's each, never that of the centre, and never twice."""
    places = [enrolled(town, with_tunnel(tmp_path / name, name)).tunnel.addresses for name in ("a", "b", "c")]
    assert places == [("10.77.1.1/32",), ("10.77.1.2/32",), ("10.77.1.3/32",)]
    registry.turn_out(town.city, "b", datetime.now(UTC), no_passphrase)
    assert registry.find(town.city, "b").tunnel == ()
    assert enrolled(town, with_tunnel(tmp_path / "d", "d")).tunnel.addresses == ("10.77.1.2/32",)
    hub = tunnels.load(town.city)
    assert tunnels.free(hub, [f"10.77.1.{number}" for number in range(1, 255)]) == "10.77.2.1"
    small = replace(hub, network="10.77.0.0/27")
    assert tunnels.free(small, ()) == "10.77.0.16"
    with pytest.raises(ConfigError) as caught:
        tunnels.free(small, [f"10.77.0.{number}" for number in range(32)])
    assert caught.value.code == "HUB_FULL"


@pytest.mark.parametrize("wanted", ["N5", "N6", "N7"])
def test_a_key_is_changed_by_one_rename(town, config, wanted):
    """Killed after each step, the box has one key that counts, and the same bundle comes to the same end."""
    enrolled(town, config)
    state = config.storage.state
    first = keys.require(state)[1]
    waiting = keys.asking(state, Disk(), new=True)
    assert keys.asking(state, Disk(), new=True) == waiting
    assert keys.require(state)[1] == first  # it serves until the answer is here
    bundle = answer(town, ask(config))
    assert bundle.tunnel.key == waiting.public

    def step(number: str) -> None:
        if number == wanted:
            raise Killed

    with pytest.raises(Killed):
        box.accept(config, bundle, Disk(), step)
    assert keys.require(state)[1].public == (first.public if wanted == "N5" else waiting.public)
    box.accept(config, bundle, Disk())
    found, pair = keys.require(state)
    assert (pair.public, found.addresses) == (waiting.public, ("10.77.1.2/32",))
    known = registry.find(town.city, "gn-0007")
    assert [place.address for place in known.tunnel] == ["10.77.1.1", "10.77.1.2"]
    assert [place.address for place in registry.retire(town.city, "gn-0007").tunnel] == ["10.77.1.2"]


def test_each_call_failing_once_leaves_one_key_that_counts(town, config):
    enrolled(town, config)
    state = config.storage.state
    keys.asking(state, Disk(), new=True)
    bundle = answer(town, ask(config))
    for number in range(80):
        disk = FailingDisk(lambda count, _op, _path, number=number: errno.EIO if count == number else None)
        try:
            box.accept(config, bundle, disk)
        except StorageFault:
            keys.require(state)
            continue
        break
    else:
        raise AssertionError("never done")
    assert number > 20
    assert keys.require(state)[0] == bundle.tunnel


def test_a_bundle_for_another_key_or_box_is_refused(town, config, tmp_path):
    """F10: the terms hang on the box and on its key."""
    bundle = enrolled(town, config)
    other = enrolled(town, with_tunnel(tmp_path / "other", "gn-0008"))
    with pytest.raises(ConfigError) as caught:
        box.check(config, replace(bundle, tunnel=other.tunnel))
    assert caught.value.code == "ENROL_OTHER_KEY"
    body = json.loads(registry.enrol(town.city, ask(config), 90, datetime.now(UTC), no_passphrase))
    for tunnel in (terms.to_json(other.tunnel), body["tunnel"] | {"allowed": ["10.77.0.2/32"]}, None, {}):
        with pytest.raises(ConfigError) as caught:
            form.read_bundle(json.dumps(body | {"tunnel": tunnel}).encode())
        assert caught.value.code == "ENROL_BUNDLE"


@pytest.mark.parametrize("more", [{"tunnel": "AAAA"}, {"tunnel": 7}, {"tunnel": "A" * 43 + "="}])
def test_a_request_with_another_key_of_the_tunnel_is_refused(config, more):
    text = form.request_json(box.request(config, Disk(), NOW))
    with pytest.raises(ConfigError) as caught:
        form.read_request(json.dumps(json.loads(text) | more).encode())
    assert caught.value.code == "ENROL_REQUEST"


def test_a_tunnel_over_a_camera_is_refused(tmp_path):
    """Recording comes first: a box takes no tunnel whose addresses are a camera's."""
    town = Town(tmp_path / "town")
    tunnels.found(town.city, *plan(network="10.0.0.0/16", address="10.0.0.1", allowed=("10.0.0.0/24",)))
    config = with_tunnel(tmp_path / "box")
    with pytest.raises(ConfigError) as caught:
        enrolled(town, config)
    assert caught.value.code == "TUNNEL_OVERLAP"
    assert not (config.storage.state / "centre").exists()


def test_what_was_changed_on_the_disk_does_not_count(town, config):
    enrolled(town, config)
    state = config.storage.state
    path = state / "tunnel" / "tunnel.json"
    body = json.loads(path.read_bytes())
    for spoilt in (
        body | {"terms": body["terms"] | {"endpoint": "198.51.100.9:51820"}},
        body | {"authority": "x"},
        {},
        [],
    ):
        path.write_text(json.dumps(spoilt))
        with pytest.raises(IntegrityFault) as caught:
            keys.require(state)
        assert caught.value.code == "TUNNEL_TERMS_DAMAGED"
    box.accept(
        config, answer(town, ask(config)), Disk()
    )  # as the hint of the error says, without another key
    assert keys.require(state)[0].addresses == ("10.77.1.1/32",)


def test_a_waiting_key_that_is_damaged_takes_nothing_away(town, config):
    """The tunnel stays up on the key in use; the next request makes another in its place."""
    enrolled(town, config)
    state = config.storage.state
    _, pair = keys.require(state)
    waiting = keys.asking(state, Disk(), new=True)
    waiting.path.write_bytes(b"\xff" * 45)
    assert keys.require(state)[1] == pair
    assert keys.asking(state, Disk()) == pair
    bundle = answer(town, ask(config))
    assert keys.asking(state, Disk(), new=True) not in (pair, waiting)
    box.accept(config, bundle, Disk())
    assert keys.require(state)[1] == pair


def test_the_power_is_cut_before_the_old_key_is_away(town, config):
    """F2: the old key is asked for no more, and is away after whatever is taken in next."""
    enrolled(town, config)
    state = config.storage.state
    first = keys.require(state)[1]
    keys.asking(state, Disk(), new=True)
    bundle = answer(town, ask(config))

    def step(number: str) -> None:
        if number == "N6":
            raise Killed

    with pytest.raises(Killed):
        box.accept(config, bundle, Disk(), step)
    assert first.path.exists()
    second = keys.require(state)[1]
    assert ask(config).tunnel == second.public != first.public
    box.accept(config, answer(town, ask(config)), Disk())
    assert not first.path.exists()
    assert keys.require(state)[1] == second
    third = keys.asking(state, Disk(), new=True)  # and so on: what waits is never taken for what is gone
    box.accept(config, answer(town, ask(config)), Disk())
    assert keys.require(state)[1] == third
    assert [path.name for path in (state / "tunnel").glob("*.key")] == [third.path.name]


def test_a_bundle_from_before_is_refused(town, config):
    """Terms of old name an endpoint that may be somebody else's by now."""
    old = enrolled(town, config)
    time.sleep(0.002)
    new = enrolled(town, config)
    assert new.tunnel.issued_ms > old.tunnel.issued_ms
    with pytest.raises(ConfigError) as caught:
        box.accept(config, replace(new, tunnel=old.tunnel), Disk())
    assert caught.value.code == "ENROL_OLDER"
    assert keys.require(config.storage.state)[0] == new.tunnel
    box.accept(config, new, Disk())
    (config.storage.state / "tunnel" / "tunnel.json").write_text("{}")
    box.accept(config, replace(new, tunnel=old.tunnel), Disk())  # better than none


def test_a_key_keeps_its_address_whatever_was_asked_meanwhile(town, config):
    """A rotation that was given up: the hub must not move the key that the box still uses."""
    enrolled(town, config)
    state = config.storage.state
    waiting = keys.asking(state, Disk(), new=True)
    answer(town, ask(config))
    waiting.path.unlink()  # lost, and with it the bundle
    enrolled(town, config)
    assert keys.require(state)[0].addresses == ("10.77.1.1/32",)
    keys.asking(state, Disk(), new=True)
    asked = ask(config)
    answer(town, asked)
    known = registry.find(town.city, "gn-0007").tunnel
    assert {place.address for place in known} == {"10.77.1.1", "10.77.1.2", "10.77.1.3"}
    assert known[-1].key == asked.tunnel
    assert keys.require(state)[0].key in {place.key for place in known}


def test_h7_the_key_of_another_box_is_refused(town, config, tmp_path):
    """H7: a copied disk under another id would take the first box's traffic."""
    enrolled(town, config)
    other = with_tunnel(tmp_path / "other", "gn-0008")
    shutil.copytree(config.storage.state / "tunnel", other.storage.state / "tunnel")
    with pytest.raises(ConfigError) as caught:
        answer(town, ask(other))
    assert caught.value.code == "ENROL_TUNNEL_TAKEN"
    assert registry.find(town.city, "gn-0008") is None
    shutil.rmtree(other.storage.state / "tunnel")
    assert enrolled(town, other).tunnel.addresses == ("10.77.1.2/32",)


def test_a_box_gets_another_address_in_another_network(town, config):
    """The centre planned its tunnel anew, elsewhere."""
    enrolled(town, config)
    private = town.city.at("tunnel", "hub.key").read_text().strip()
    elsewhere, _ = plan(network="10.99.0.0/16", address="10.99.0.1", allowed=("10.99.0.1/32",))
    public = tunnels.load(town.city).public
    with pytest.raises(ConfigError) as caught:
        tunnels.found(town.city, replace(elsewhere, public=public), private)
    assert caught.value.code == "HUB_EXISTS"
    tunnels.found(town.city, replace(elsewhere, public=public), private, again=True)
    assert enrolled(town, config).tunnel.addresses == ("10.99.1.1/32",)


def test_a_damaged_key_is_told_and_not_replaced(town, config):
    enrolled(town, config)
    _, pair = keys.require(config.storage.state)
    pair.path.write_text("nothing\n")
    for call in (lambda: keys.require(config.storage.state), lambda: ask(config)):
        with pytest.raises(IntegrityFault) as caught:
            call()
        assert caught.value.code == "TUNNEL_KEY_DAMAGED"
    pair.path.unlink()
    for call in (lambda: keys.require(config.storage.state), lambda: ask(config)):
        with pytest.raises(IntegrityFault) as caught:
            call()
        assert caught.value.code == "TUNNEL_KEY_DAMAGED"
    pair.path.mkdir()
    with pytest.raises(StorageFault):
        keys.require(config.storage.state)


def test_a_box_with_other_keys_loses_its_old_place(town, config, tmp_path):
    answer(town, ask(config))
    kim, lee = town.hire(Role.OFFICER, "김OO"), town.hire(Role.DEPARTMENT, "이OO")
    again = with_tunnel(tmp_path / "again")
    bundle = answer(town, ask(again), agreed=(kim, lee))
    known = registry.find(town.city, "gn-0007")
    assert [place.key for place in known.tunnel] == [bundle.tunnel.key]


@pytest.mark.parametrize(
    "more",
    [
        {"endpoint": "hub.example:51820"},
        {"endpoint": "10.77.9.9:51820"},
        {"network": "10.77.0.1/16"},
        {"network": "x"},
        {"address": "10.78.0.1"},
        {"allowed": ("0.0.0.0/0",)},
        {"allowed": ("10.77.1.0/24",)},
        {"allowed": ()},
        {"mtu": 100},
        {"keepalive_s": 0},
    ],
)
def test_a_plan_that_no_box_would_take_is_refused(tmp_path, more):
    """F3, F10"""
    city = Town(tmp_path / "town").city
    hub, private = plan(**more)
    if more.get("allowed") == ("10.77.1.0/24",):
        assert tunnels.free(hub, ()).startswith("10.77.2.")  # boxes go elsewhere
        return
    with pytest.raises(ConfigError) as caught:
        tunnels.found(city, hub, private)
    assert caught.value.code == "HUB_PLAN"
    assert tunnels.load(city) is None


def test_f3_behind_a_tunnel_the_centre_is_an_address(tmp_path):
    """F3: a configuration with a name is refused, and so is a line that is the tunnel itself."""
    with pytest.raises(ConfigProblems) as caught:
        with_tunnel(tmp_path / "a", more='line = "pasu0"\n[uplink]\nbroker = "mqtts://centre.example:8883"\n')
    assert [problem.code for problem in caught.value.problems] == ["CONFIG_TUNNEL_NAME", "CONFIG_TUNNEL_LINE"]
    with_tunnel(tmp_path / "b", more='line = "eth1"\n[uplink]\nbroker = "mqtts://10.77.0.1:8883"\n')
    for group in ("root", "0", "a b"):
        with pytest.raises(ConfigProblems):
            with_tunnel(tmp_path / f"c{len(group)}{group[0]}", more=f'group = "{group}"\n')


def test_pictures_without_a_tunnel_are_warned_of(tmp_path):
    """Regulation art. 30(3): what is sent is encrypted, and the relay itself speaks plain RTSP."""
    config = configured(tmp_path / "plain")
    text = config.file.read_text(encoding="utf-8")
    media = '\n[uplink]\nbroker = "mqtts://10.77.0.1:8883"\nmedia = "rtsp://10.77.0.1:8554"\n'
    config.file.write_text(text + media, encoding="utf-8")
    assert "CONFIG_MEDIA_OPEN" in {warning.code for warning in load(config.file).warnings}
    config.file.write_text(text + media + '[tunnel]\ninterface = "pasu0"\n', encoding="utf-8")
    assert "CONFIG_MEDIA_OPEN" not in {warning.code for warning in load(config.file).warnings}


def test_a_group_that_is_not_there_is_told():
    assert guard.group_id("4242") == 4242
    with pytest.raises(ConfigError) as caught:
        guard.group_id("no-such-group")
    assert caught.value.code == "TUNNEL_GROUP"


def test_without_a_tunnel_nothing_is_asked_for(tmp_path):
    config = configured(tmp_path / "plain")
    assert guard.of_this_process(config, 1.0).holds


def test_f2_what_is_behind_an_interface_that_is_not_there_is_not_reached(tmp_path):
    """F2, F3: no socket of the uplink goes another way, and none asks for a name."""
    config = with_tunnel(tmp_path / "box")
    verdict = guard.of_this_process(config, 1.0)
    assert "there is no interface pasu0" in verdict.lacks
    assert not verdict.holds
    nowhere = tmp_path / "none"
    endpoint = Endpoint("127.0.0.1", 9, nowhere, nowhere, nowhere, "pasu0-gone")
    with pytest.raises(OSError, match="No such device"):
        Dial(endpoint, ssl.create_default_context())
    sender = Sender(
        "gn-0007", ssl.create_default_context, lambda *_: b"", lambda _: None, interface="pasu0-gone"
    )
    with pytest.raises(OSError, match="No such device"):
        sender._dial("127.0.0.1", 9)
    with pytest.raises(Unreachable):
        sender._dial("localhost", 9)


def test_the_whole_way_by_hand(tmp_path, capsys, monkeypatch):
    """What a city and a technician type."""
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    config = str(with_tunnel(tmp_path / "box").file)
    city, request, bundle = (str(tmp_path / name) for name in ("gangneung", "request.json", "bundle.json"))
    assert main(["centre", "init", city, "--city", "gangneung", "--broker", "10.77.0.1"]) == 0
    show = ["centre", "tunnel", "show", "--city", city]
    assert main(show) == 78
    init = ["centre", "tunnel", "init", "--network", "10.77.0.0/16", "--city", city]
    assert main([*init, "--endpoint", "hub.example:51820"]) == 78
    assert main([*init, "--endpoint", "203.0.113.5:51820"]) == 0
    assert main([*init, "--endpoint", "203.0.113.5:51820"]) == 78
    assert main([*init, "--endpoint", "203.0.113.6:51820", "--again"]) == 0  # the key stays
    key = tmp_path / "gangneung" / "tunnel" / "hub.key"
    private = key.read_text()
    key.write_text("")
    assert main([*init, "--endpoint", "203.0.113.6:51820", "--again"]) == 78
    assert "CITY_DAMAGED" in capsys.readouterr().err
    key.write_text(private)
    assert main(["centre", "tunnel", "write", "--city", city]) == 0
    assert main(["enrol", "request", "-o", request, "--config", config]) == 0
    assert main(["centre", "enrol", request, "-o", bundle, "--city", city, "--yes"]) == 0
    written = (tmp_path / "gangneung" / "tunnel" / "hub" / "pasuhub.conf").read_text()
    assert "AllowedIPs = 10.77.1.1/32" in written  # the configuration in the city's folder follows
    assert main(["enrol", "accept", bundle, "--config", config, "--yes"]) == 0
    capsys.readouterr()
    assert main([*show, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["boxes"][0]["tunnel"][0]["address"] == "10.77.1.1"
    assert said["endpoint"] == keys.require(load(config).storage.state)[0].endpoint == "203.0.113.6:51820"
    assert main(show) == 0
    assert "gn-0007  10.77.1.1" in capsys.readouterr().out
    assert main(["tunnel", "rotate", "--config", config]) == 0
    assert main(["enrol", "request", "-o", request, "--config", config]) == 0
    bundle = str(tmp_path / "second.json")
    assert main(["centre", "enrol", request, "-o", bundle, "--city", city, "--yes"]) == 0
    assert main(["enrol", "accept", bundle, "--config", config]) == 0
    written = (tmp_path / "gangneung" / "tunnel" / "hub" / "pasuhub.conf").read_text()
    assert written.count("[Peer]") == 2
    assert main(["centre", "tunnel", "retire", "gn-0007", "--city", city]) == 0
    written = (tmp_path / "gangneung" / "tunnel" / "hub" / "pasuhub.conf").read_text()
    assert "10.77.1.2/32" in written
    assert "10.77.1.1/32" not in written
    capsys.readouterr()
    assert main(["centre", "turn-out", "gn-0007", "--city", city]) == 0
    assert "wg syncconf pasuhub" in capsys.readouterr().out  # until then the hub knows the box
    assert "[Peer]" not in (tmp_path / "gangneung" / "tunnel" / "hub" / "pasuhub.conf").read_text()
