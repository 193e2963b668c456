"""From an empty Debian root to a box that records again by itself, however often its plug is pulled: rows A4 and A5.

In a container there is systemd, the package, its units and their sandboxes, and cuts of power as file systems see them
(tests.container_lab); a virtual machine has a kernel of its own, disks that forget what was not flushed, a disk to be
formatted and a clock to be set (tests.vm_lab). Without hardware for virtual machines the latter takes an hour: the
campaign runs it.
"""

from __future__ import annotations

import random
import ssl
import time
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from agent.demo.server import CameraProcess
from tests import package_lab
from tests.box_scene import BACK_MS, LOST_MS, Cut, Scene, settle, specs, table
from tests.container_lab import Container, clock_as_it_was
from tests.evidence import write_section
from tests.lab import wait_for
from tests.vm_lab import HOST, Guest, TimeServer, accelerated, base, patience, set_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OF_THE_CLOCK = {"clock.synced", "clock.trust", "clock.rtc"}
"""What the doctor finds fault with in a container, whose clock is the host's. A virtual machine has one of its own."""
OF_A_SLOW_PROCESSOR = {"camera.frames", "camera.picture", "camera.floor", "condition", "disk.sync"}
"""And where a processor is emulated, which decodes no picture in time."""
HEAD = """
# The plug, pulled

`make campaign ARGS="-k test_vm"`. Lost: from the last picture kept before the cut to the cut. Back: from the plug put in
again to the first picture kept. Both by the cameras' own ledgers and one clock; every picture that is kept was compared with
what its camera sent. What is in no segment is in a gap of the catalogue, or the test fails. A container's start has no kernel's
in it: to `back` a machine adds what its firmware and kernel take.
"""


@pytest.fixture(scope="module")
def deb() -> Path:
    return package_lab.built()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose images, which are large, are not kept after a test that was well."""
    yield tmp_path
    for image in tmp_path.rglob("*.img"):
        image.unlink()


def flap(scene: Scene, times: int, seed: int) -> None:
    """Cut the power again and again, at moments of chance: while it boots, while it repairs, while it records."""
    chance = random.Random(seed)
    for _ in range(times):
        scene.cut()
        time.sleep(chance.uniform(0.2, 8.0))


def installed(folder: Path, box: Container, cameras: CameraProcess, more: str = "") -> Scene:
    scene = Scene(folder, box, cameras, box.neighbour)
    box.plug_in()
    box.wait_up()
    scene.install()
    scene.init("system_disk = true", more)
    return scene


def test_a4_a5_a_box_in_a_container_from_its_package_on(folder, deb):
    """Installed, made ready, recording under its units; started anew; two cuts, five flaps: nothing is lost but the window."""
    with (
        Container(folder / "box", base(deb), stick=[deb]) as box,
        CameraProcess(specs(2, box.neighbour), folder / "ledger") as cameras,
    ):
        scene = installed(folder, box, cameras, f'[page]\nlisten = "{box.address}"\n')
        settle(scene, 12)
        disks_are_asked(scene)
        _, not_well = scene.doctor(10)
        assert set(not_well) <= OF_THE_CLOCK, not_well
        units_keep_to_themselves(box)
        the_page_answers(box)
        the_page_follows(box)
        box.reboot()
        settle(scene, 5)
        for _ in range(2):
            scene.cut()
            box.wait_up()
            settle(scene, 4)
        flap(scene, 5, seed=7)
        box.wait_up()
        settle(scene, 12)
        scene.nothing_failed()
        box.shut_down()
        verdicts = scene.read()
    for camera, verdict in verdicts.items():
        verdict.clean()
        costs = scene.costs(verdict)[:2]
        assert len(costs) == 2, costs
        assert max(lost for lost, _ in costs) <= LOST_MS, (camera, costs)
    assert scene.site.facts("box.flapping"), "power that flaps is told"


@pytest.mark.campaign
def test_a_green_doctor_from_the_package_on(folder, deb):
    """Issue 6, point 1: apt, init, a doctor that finds nothing, a start anew; with a time service of its own."""
    with (
        clock_as_it_was(),
        Container(folder / "box", base(deb), stick=[deb], sets_time=True) as box,
        TimeServer(box.neighbour) as time_server,
        CameraProcess(specs(4, box.neighbour), folder / "ledger") as cameras,
    ):
        scene = installed(folder, box, cameras, f'[page]\nlisten = "{box.address}"\n')
        settle(scene, 0)
        set_time(box, time_server, box.neighbour)
        wait_for("trust in the time", lambda: scene.trust() == "SYNCED", 300)
        disks_are_asked(scene)
        settle(scene, 60)
        status, not_well = scene.doctor(30)
        # This machine has no battery clock, and nobody can give it one.
        assert (status, set(not_well) - {"clock.rtc"}) == (3 if not_well else 0, set()), not_well
        at_ms = time.time_ns() // 1_000_000
        box.reboot()
        scene.cuts.append(Cut(at_ms, box.started_ms))
        settle(scene, 10)
        scene.nothing_failed()
        box.shut_down()
        verdicts = scene.read()
    costs = {camera: scene.costs(verdict) for camera, verdict in verdicts.items()}
    found = Counter(each["state"] for each in scene.examined)
    lines = [
        f"`pasu doctor` left with status {status}: {', '.join(f'{count} {state}' for state, count in found.items())}.",
        *(f"Not well: {check}: {measured}." for check, (_, measured) in not_well.items()),
        "Then it was started anew, in order (no plug was pulled):",
        "",
        *report(scene, verdicts, costs),
    ]
    write_section("plug.md", HEAD, "From the package to a green doctor, in a container", lines)
    judge(verdicts, costs, 1)


def disks_are_asked(scene: Scene) -> None:
    """Ask them now: their timer waits until a box that starts has better things done."""
    scene.box.run("systemctl", "start", "pasu-disks.service")
    wait_for("what the disks say", lambda: scene.health("keep").get("disks") is not None, patience(60))


def reporting_without_a_tunnel(box: Container) -> None:
    """Start pasu-uplink.service, with what it may see, on a box that is not enrolled; and a vault of an exchanged disk."""
    box.sh("mkdir -p -m 700 /var/lib/pasu/vault2/outgoing; echo x > /var/lib/pasu/vault2/VAULT")
    box.sh("echo x > /var/lib/pasu/vault2/outgoing/sent; chown -R pasu: /var/lib/pasu/vault2")
    unit = box.sh("cat /lib/systemd/system/pasu-uplink.service")
    left_out = (
        "After=",
        "BindsTo=",
        "ConditionPathExists=",
        "ExecStart=",
        "Type=",
        "WatchdogSec=",
        "Restart",
    )
    kept = "\n".join(line for line in unit.splitlines() if not line.startswith(left_out))
    text = kept.replace("[Service]", "[Service]\nType=exec\nExecStart=/usr/bin/sleep 3600")
    box.put("/etc/systemd/system/pasu-uplink.service", text.encode(), "0644")
    box.sh("systemctl daemon-reload; systemctl start pasu-uplink")


def units_keep_to_themselves(box: Container) -> None:
    """What a unit must not see it cannot open: tried inside each one's own file system, as its user."""
    reporting_without_a_tunnel(box)
    secret = ("/var/lib/pasu/state/catalogue.db", "/var/lib/pasu/vault/VAULT", "/etc/pasu/agent.toml")
    for unit, user, open_, closed in (
        ("pasu-record", "pasu", ("/var/lib/pasu/vault/VAULT", "/etc/pasu/agent.toml"), ("/etc/shadow",)),
        ("pasu-keep", "pasu", ("/var/lib/pasu/vault/VAULT",), ("/etc/pasu/secrets.toml", "/etc/shadow")),
        ("pasu-page", "pasu-page", ("/run/pasu/record.json",), secret),
        (
            "pasu-uplink",
            "pasu",
            (
                "/var/lib/pasu/state/catalogue.db",
                "/var/lib/pasu/vault2/outgoing/sent",
                "/run/pasu/record.json",
            ),
            ("/var/lib/pasu/vault/VAULT", "/var/lib/pasu/vault2/VAULT", "/etc/pasu/secrets.toml"),
        ),
    ):
        inside = within(box, unit, user)
        for place in open_:
            assert box.try_run(*inside, "head", "-c1", place)[0] == 0, f"{unit} cannot read {place}"
        for place in closed:
            assert box.try_run(*inside, "head", "-c1", place)[0] != 0, f"{unit} can read {place}"
    inside = within(box, "pasu-uplink", "pasu")
    for folder, writes in (
        ("/var/lib/pasu/state/exchange/orders", True),
        ("/var/lib/pasu/state/uplink/memory", True),
        ("/var/lib/pasu/state", False),
        ("/var/lib/pasu", False),
    ):
        assert (box.try_run(*inside, "touch", f"{folder}/of-a-test")[0] == 0) is writes, folder
    box.sh("systemctl stop pasu-uplink; rm /etc/systemd/system/pasu-uplink.service; systemctl daemon-reload")
    box.sh("rm -r /var/lib/pasu/vault2 /var/lib/pasu/state/exchange/orders/of-a-test")
    box.sh("rm /var/lib/pasu/state/uplink/memory/of-a-test")


def within(box: Container, unit: str, user: str) -> tuple[str, ...]:
    """Return words before a command that has it look with a unit's eyes, as its user."""
    pid = box.run("systemctl", "show", "--value", "--property=MainPID", unit).strip()
    assert pid != "0", f"{unit} does not run"
    who = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups")
    return ("nsenter", "-t", pid, "-m", "--", *who)


def the_page_answers(box: Container) -> None:
    """The page is there for a browser next door, over TLS with the box's own certificate."""
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    url = f"https://{box.address}:8443/"
    with urllib.request.urlopen(url, timeout=60, context=unverified) as answer:
        assert answer.status == 200


def the_page_follows(box: Container) -> None:
    """A configuration that changed is handed to the page; with one that is wrong it goes on as it was."""

    def begun() -> str:
        return box.run("systemctl", "show", "--value", "-p", "InvocationID", "pasu-page").strip()

    def fails() -> bool:
        return box.try_run("systemctl", "is-failed", "pasu-page-again")[0] == 0

    before = begun()
    box.sh("cp -p /etc/pasu/agent.toml /root/right.toml; echo '# another line' >> /etc/pasu/agent.toml")
    wait_for("the page begins anew", lambda: begun() not in ("", before), patience(60))
    wait_for("it answers", lambda: box.try_run("systemctl", "is-active", "pasu-page")[0] == 0, patience(60))
    after = begun()
    box.sh("echo 'a slip' >> /etc/pasu/agent.toml")
    wait_for("the slip is seen", fails, patience(60))
    assert begun() == after
    box.sh("cat /root/right.toml > /etc/pasu/agent.toml")
    wait_for("it is right again", lambda: not fails(), patience(60))


@pytest.mark.campaign
@pytest.mark.parametrize("cuts", [20])
def test_a4_the_plug_pulled_twenty_times_under_cameras(folder, deb, cuts):
    with (
        Container(folder / "box", base(deb), stick=[deb]) as box,
        CameraProcess(specs(4, box.neighbour), folder / "ledger") as cameras,
    ):
        scene = installed(folder, box, cameras)
        settle(scene, 5)
        chance = random.Random(4)
        for _ in range(cuts):
            scene.cut()
            box.wait_up()
            settle(scene, chance.uniform(1, 15))
        box.wait_up()
        scene.nothing_failed()
        box.shut_down()
        verdicts = scene.read()
    costs = {camera: scene.costs(verdict) for camera, verdict in verdicts.items()}
    write_section("plug.md", HEAD, f"{cuts} cuts, in a container", report(scene, verdicts, costs))
    judge(verdicts, costs, cuts)


@pytest.mark.campaign
def test_a5_power_that_flaps(folder, deb):
    with (
        Container(folder / "box", base(deb), stick=[deb]) as box,
        CameraProcess(specs(4, box.neighbour), folder / "ledger") as cameras,
    ):
        scene = installed(folder, box, cameras)
        settle(scene, 5)
        flap(scene, 10, seed=5)
        box.wait_up()
        settle(scene, 12)
        scene.nothing_failed()
        box.shut_down()
        verdicts = scene.read()
    costs = {camera: scene.costs(verdict) for camera, verdict in verdicts.items()}
    told = scene.site.facts("box.flapping")
    lines = [
        *report(scene, verdicts, costs),
        "",
        f"Flaps told in the ledger: {[body for _, _, body in told]}.",
    ]
    write_section("plug.md", HEAD, "10 flaps, in a container", lines)
    for verdict in verdicts.values():
        verdict.clean()
    assert told


def judge(verdicts, costs, cuts) -> None:
    for camera, verdict in verdicts.items():
        verdict.clean()
        assert len(costs[camera]) == cuts, costs[camera]
        assert max(lost for lost, _ in costs[camera]) <= LOST_MS, costs
        assert max(back for _, back in costs[camera]) <= BACK_MS, costs


def report(scene, verdicts, costs) -> list[str]:
    lines = table(costs)
    lines += ["", *(f"{camera}: {verdict.summary()}." for camera, verdict in verdicts.items())]
    return lines


@pytest.mark.campaign
def test_a4_a_virtual_machine_from_an_empty_root_on(folder, deb):
    """Issue 6, point 1: apt, init, a green doctor, a start anew, and cuts, in a machine with disks that forget."""
    cuts = 20 if accelerated() else 2
    with (
        TimeServer() as time_server,
        Guest(folder / "box", base(deb), stick=[deb], seed=6) as box,
        CameraProcess(specs(2, "127.0.0.1"), folder / "ledger") as cameras,
    ):
        scene = Scene(folder, box, cameras, HOST)
        box.plug_in()
        box.wait_up()
        set_time(box, time_server, HOST, "makestep 1 3")
        scene.install()
        scene.init('device = "/dev/vdb"\nformat = "lab1"')
        settle(scene, 30)
        wait_for("trust in the time", lambda: scene.trust() == "SYNCED", patience(120))
        disks_are_asked(scene)
        status, not_well = scene.doctor(30)
        if accelerated():
            assert status == 0, not_well
        else:
            assert {check.partition(" ")[0] for check in not_well} <= OF_A_SLOW_PROCESSOR, not_well
        box.reboot()
        settle(scene, 5)
        for _ in range(cuts):
            scene.cut()
            box.wait_up()
            settle(scene, 5)
        scene.nothing_failed()
        assert "fsck" not in box.console.lower() or "manually" not in box.console.lower()
        box.shut_down()
        verdicts = scene.read()
        lost = sum(disk.lost for disk in box.disks)
    costs = {camera: scene.costs(verdict) for camera, verdict in verdicts.items()}
    lines = [*report(scene, verdicts, costs), "", f"Blocks that the disks forgot: {lost}."]
    how = "on KVM" if accelerated() else "on an emulated processor"
    write_section("plug.md", HEAD, f"{cuts} cuts, in a virtual machine {how}", lines)
    judge(verdicts, costs, cuts)
