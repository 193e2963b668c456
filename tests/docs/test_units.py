"""The systemd units: what they allow, measured by systemd itself. Nothing is started."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from agent.field.doctor.judge_box import EXPOSED, EXPOSED_OTHERS
from agent.health.smart import UNWATCHED_S
from tests.peer import need

UNITS = Path(__file__).parents[2] / "systemd"
KINDS = (".service", ".timer", ".path", ".target")
BOUNDS = {path.name: EXPOSED_OTHERS.get(path.name, EXPOSED) for path in UNITS.glob("*.service")}


def lines(unit: str) -> list[str]:
    return [line for line in (UNITS / unit).read_text().splitlines() if line and not line.startswith("#")]


def written(unit: list[str], kind: str) -> set[str]:
    return {name for line in unit if line.startswith(f"{kind}=") for name in line.split("=")[1].split()}


def allowed(unit: list[str]) -> set[str]:
    return {name for name in written(unit, "SystemCallFilter") if not name.startswith("~")} - denied(unit)


def denied(unit: list[str]) -> set[str]:
    found = [line.split("=~")[1] for line in unit if line.startswith("SystemCallFilter=~")]
    return {name for line in found for name in line.split()}


def test_what_is_bounded_otherwise_is_there() -> None:
    assert set(EXPOSED_OTHERS) <= set(BOUNDS)
    for unit, most in BOUNDS.items():
        if (
            "PrivateNetwork=yes" in lines(unit)
            and "User=root" not in lines(unit)
            and any(line.startswith("User=") for line in lines(unit))
        ):
            assert most <= 0.5


@pytest.mark.parametrize("unit", sorted(BOUNDS))
def test_no_unit_allows_more_than_was_thought_of(unit) -> None:
    need("systemd-analyze")
    assert float(measured(unit)) <= BOUNDS[unit]


def test_what_erases_has_no_network() -> None:
    keep = lines("pasu-keep.service")
    assert "PrivateNetwork=yes" in keep
    assert "RestrictAddressFamilies=AF_UNIX" in keep  # the word to systemd
    assert "IPAddressDeny=any" in keep


def test_the_page_is_given_a_configuration_that_changed_and_none_that_is_wrong() -> None:
    again = lines("pasu-page-again.service")
    before = again.index("ExecStartPre=/opt/pasu/bin/pasu config check ${CREDENTIALS_DIRECTORY}/agent.toml")
    assert again[before + 1] == "ExecStart=/usr/bin/systemctl --no-block try-restart pasu-page.service"
    assert "LoadCredential=agent.toml:/etc/pasu/agent.toml" in again
    assert written(again, "CapabilityBoundingSet") == set()
    assert {"PathChanged=/etc/pasu/agent.toml", "TriggerLimitIntervalSec=0"} <= set(
        lines("pasu-page-again.path")
    )


def test_what_meets_strangers_bytes_cannot_change_where_the_tunnel_leads() -> None:
    """F10: the tunnel's terms lie in the state of the user that all but the watch have."""
    for unit in ("pasu-record.service", "pasu-keep.service", "pasu-uplink.service"):
        assert "-/var/lib/pasu/state/tunnel" in written(lines(unit), "InaccessiblePaths")


def test_the_rules_are_read_whoever_owns_their_folder() -> None:
    """F2: /etc/pasu may be the agent's alone, and this one is root without root's rights."""
    egress = lines("pasu-egress.service")
    assert written(egress, "CapabilityBoundingSet") == {"CAP_NET_ADMIN", "CAP_DAC_READ_SEARCH"}


@pytest.mark.parametrize(("unit", "file"), [("egress", "egress.nft"), ("fence", "cameras.nft")])
def test_h1_rules_are_loaded_from_a_file_of_root_alone(tmp_path: Path, unit: str, file: str) -> None:
    """H1: /etc/pasu is user pasu's too: no rules of its own, no link, and no pipe that the network waits for."""
    loading = lines(f"pasu-{unit}.service")
    assert one(loading, "TimeoutStartSec") == "30s"
    assert f"-/etc/pasu/{file}" in written(lines("pasu-keep.service"), "InaccessiblePaths")
    (look,) = [line.partition("=")[2] for line in loading if line.startswith("ExecStartPre=")]
    there, rules = tmp_path / file, tmp_path / "rules"

    def is_loaded() -> bool:
        command = shlex.split(look.replace("$$", "$").replace(f"/etc/pasu/{file}", str(there)))
        done = subprocess.run(command, check=False, capture_output=True, timeout=10, text=True)
        assert (done.returncode == 0) is (done.stderr == "")
        return done.returncode == 0

    assert not is_loaded()
    there.write_text("table inet x {}\n")
    there.chmod(0o644)
    assert is_loaded() is (os.getuid() == 0)
    there.chmod(0o664)
    assert not is_loaded()
    there.chmod(0o600)
    if os.getuid() == 0:
        os.chown(there, 54321, 0)
        assert not is_loaded()
        os.chown(there, 0, 0)
    there.rename(rules)
    there.symlink_to(rules)
    assert not is_loaded()
    there.unlink()
    os.mkfifo(there)
    assert not is_loaded()


def test_stopping_one_leaves_the_health_of_the_other() -> None:
    for unit in BOUNDS:
        if "RuntimeDirectory=pasu" in lines(unit):
            assert "RuntimeDirectoryPreserve=yes" in lines(unit)


def test_what_asks_the_disks_has_no_network_and_leaves_the_directory_to_its_owner() -> None:
    disks = lines("pasu-disks.service")
    assert "PrivateNetwork=yes" in disks
    assert "RestrictAddressFamilies=none" in disks
    # As root it would take /run/pasu over from those who write there.
    assert not any(line.startswith("RuntimeDirectory") for line in disks)
    (allowed,) = [line for line in disks if line.startswith("CapabilityBoundingSet=")]
    assert set(allowed.split("=")[1].split()) == {"CAP_SYS_RAWIO", "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"}


def test_disks_are_asked_more_often_than_that_is_missed() -> None:
    (every,) = [line for line in lines("pasu-disks.timer") if line.startswith("OnUnitActiveSec=")]
    assert every == "OnUnitActiveSec=30min"
    assert UNWATCHED_S >= 4 * 30 * 60


def test_what_talks_outside_writes_folders_of_its_own_and_sees_no_footage() -> None:
    uplink = lines("pasu-uplink.service")
    assert "ProtectSystem=strict" in uplink
    # E7: none of them holds anything that another process writes, but for the orders and words that keep removes there.
    assert written(uplink, "StateDirectory") == {
        "pasu/state/exchange/orders",
        "pasu/state/exchange/replies",
        "pasu/state/exchange/carried",
        "pasu/state/exchange/streams",
        "pasu/state/uplink/memory",
    }
    assert written(uplink, "RuntimeDirectory") == {"pasu/uplink"}
    assert not any(line.startswith(("ReadWritePaths", "CacheDirectory", "LogsDirectory")) for line in uplink)
    # Of all vaults there, also of one that a disk was exchanged for, what is to be sent.
    assert "TemporaryFileSystem=/var/lib/pasu:ro" in uplink
    seen = written(uplink, "BindReadOnlyPaths")
    assert {each.removeprefix("-") for each in seen if "/var/lib/pasu" in each} == {
        "/var/lib/pasu/state",
        *(f"/var/lib/pasu/vault{number}/outgoing" for number in ("", *range(2, 10))),
    }
    hidden = " ".join(line for line in uplink if line.startswith("InaccessiblePaths="))
    for path in ("/var/lib/pasu/state/keys", "/etc/pasu/secrets.toml"):
        assert path in hidden
    assert "RestrictNetworkInterfaces=pasu0 lo" in uplink
    # Its relays connect to live sockets; nobody it could ask for something is in sight.
    assert "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6" in uplink
    assert "-/run/dbus" in hidden.replace("InaccessiblePaths=", "").split()
    assert "TemporaryFileSystem=/run/systemd:ro" in uplink
    assert "BindReadOnlyPaths=/run/systemd/notify" in uplink
    # The others run as the same user. What is not named is denied; of what is, this is taken out again.
    for call in ("kill", "tgkill", "pidfd_send_signal", "rt_sigqueueinfo"):
        assert call in denied(uplink)
    for call in (
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "pidfd_getfd",
        "@debug",
        "@ipc",
        "@system-service",
    ):
        assert call not in allowed(uplink)


def test_the_page_has_a_user_of_its_own_and_sees_health_and_passes_alone() -> None:
    """H10: who looks after the box is given a page, and the page is given nothing to leak."""
    page = lines("pasu-page.service")
    assert "User=pasu-page" in page
    assert not any(line.startswith("SupplementaryGroups") for line in page)
    assert "ProtectSystem=strict" in page
    assert written(page, "ReadWritePaths") == {"/var/lib/pasu-page/own", "/var/lib/pasu-page/visits"}
    assert written(page, "RuntimeDirectory") == {"pasu/page"}
    assert {"-/var/lib/pasu", "-/run/pasu/live", "-/etc/pasu"} <= written(page, "InaccessiblePaths")
    assert "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6" in page  # AF_UNIX for its word to systemd
    # Table 2-12 2-4: by systemd it speaks with addresses of networks like this one, whoever reaches its port.
    assert written(page, "IPAddressDeny") == {"any"}
    near = written(page, "IPAddressAllow") - {"localhost", "link-local"}
    assert near == {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"}
    (user,) = [
        line
        for line in (UNITS / "pasu.sysusers.conf").read_text().splitlines()
        if line.startswith("u pasu-page")
    ]
    assert user
    folders = (UNITS / "pasu.tmpfiles.conf").read_text()
    for line in ("passes 2750 pasu pasu-page", "visits 2770 pasu pasu-page", "own 0700 pasu-page pasu-page"):
        assert f"d /var/lib/pasu-page/{line} -" in folders


def test_a_box_with_gpio_lines_opens_the_chips_and_no_other_device() -> None:
    more = lines("pasu-record-gpio.conf")
    assert more == ["[Service]", "PrivateDevices=no", "DevicePolicy=closed", "DeviceAllow=char-gpiochip rw"]
    assert "PrivateDevices=yes" in lines("pasu-record.service")
    (rule,) = lines("60-pasu-gpio.rules")
    assert rule.startswith('SUBSYSTEM=="gpio", KERNEL=="gpiochip')
    assert 'GROUP="pasu", MODE="0660"' in rule


def measured(unit: str) -> str:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", UNITS / unit],
        capture_output=True,
        text=True,
        timeout=60,
    )
    found = re.search(r"Overall exposure level for .*: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    return found[1]


def one(unit: list[str], name: str) -> str:
    return next((line.split("=", 1)[1] for line in unit if line.startswith(f"{name}=")), "")


@pytest.mark.parametrize(
    ("document", "there", "none"), [("README.md", "yes", "none"), ("README.ko.md", "있음", "없음")]
)
def test_the_table_is_what_the_units_say(document, there, none) -> None:
    """L Safety 12, S 5-6: who looks at the box can rely on the table of what may do what."""
    need("systemd-analyze")
    text = (UNITS / document).read_text(encoding="utf-8")
    rows = {
        cells[0].strip("`"): cells[1:]
        for line in text.splitlines()
        if line.startswith("| `pasu-")
        and len(cells := [each.strip() for each in line.strip("|").split("|")]) == 6
    }
    assert set(rows) == set(BOUNDS)
    for name, (user, network, capabilities, exposure, why) in rows.items():
        unit = lines(name)
        assert user.strip("`") == (one(unit, "User") or "root"), name
        assert network == (none if "PrivateNetwork=yes" in unit else there), name
        allowed_to = one(unit, "CapabilityBoundingSet")
        if not allowed_to.startswith("~"):
            assert capabilities == (allowed_to or none), name
        assert exposure == measured(name), name
        limit = "0.3" if network == none else "1.0"
        assert (limit in why) is (float(exposure) > float(limit)), (
            f"{name}: above the bound, and the reason is not said"
        )


STAY = ("record", "keep", "uplink", "page", "clock", "tunnel")


@pytest.mark.parametrize("name", STAY)
def test_a6_systemd_is_told_by_whoever_does_the_work(name) -> None:
    """A6: a process that hangs is begun anew; an error in a unit's name of a condition would keep it off the box."""
    unit = lines(f"pasu-{name}.service")
    assert "Type=notify" in unit
    assert one(unit, "WatchdogSec")
    assert "ConditionPathExists=/etc/pasu/agent.toml" in unit
    assert "StartLimitIntervalSec=0" in unit
    assert "PartOf=pasu.target" in unit


@pytest.mark.parametrize("name", STAY)
def test_k2_h2_recording_is_the_last_to_die_and_nothing_of_it_gets_onto_a_disk(name) -> None:
    """K2: the relay goes first, recording last, and of that one worker alone. H2: no core, no swap."""
    unit = lines(f"pasu-{name}.service")
    assert "LimitCORE=0" in unit
    assert "MemorySwapMax=0" in unit
    assert one(unit, "MemoryMax")
    order = {each: int(one(lines(f"pasu-{each}.service"), "OOMScoreAdjust")) for each in STAY}
    assert sorted(order, key=lambda each: order[each]) == [
        "record",
        "clock",
        "tunnel",
        "keep",
        "uplink",
        "page",
    ]
    assert ("OOMPolicy=continue" in unit) is (name == "record")


def test_h1_passwords_are_recordings_alone() -> None:
    """H1: the file may be root's, or sealed to the machine; what the others have is no way to it."""
    for name in BOUNDS:
        handed = [
            line
            for line in lines(name)
            if line.startswith(("LoadCredential", "SetCredential")) and "secrets" in line
        ]
        # Those besides recording are root's, run for a moment, and have no network: they try whether all is right.
        may = {f"pasu-{each}.service" for each in ("record", "secrets", "log-ins", "log-ins-again")}
        assert bool(handed) is (name in may)
    for name in ("record", "keep", "uplink", "tunnel", "disks", "fence-apply"):
        for file in ("secrets.toml", "secrets.sealed"):
            assert f"-/etc/pasu/{file}" in written(lines(f"pasu-{name}.service"), "InaccessiblePaths")
    again = lines("pasu-secrets.service")  # a slip of the hand in the file must not end recording
    before = again.index("ExecStartPre=/opt/pasu/bin/pasu config check /etc/pasu/agent.toml")
    assert again[before + 1] == "ExecStart=/usr/bin/systemctl --no-block try-restart pasu-record.service"


def test_h1_a_board_that_opens_nothing_keeps_no_camera_from_being_recorded() -> None:
    """H1: systemd starts no unit with a credential that does not open; so another one has tried before."""
    record, log_ins, again = (lines(f"pasu-{name}.service") for name in ("record", "log-ins", "secrets"))
    assert "Wants=pasu-log-ins.service" in record
    assert "After=pasu-log-ins.service" in record
    assert "LoadCredentialEncrypted=secrets.toml:/etc/pasu/secrets.sealed" in log_ins
    for unit in (record, again):  # handed only what was seen to open
        assert "LoadCredentialEncrypted=secrets.toml:/run/pasu-log-ins/secrets.sealed" in unit
        # Nor those in clear by their name, which may be a link of user pasu's: systemd would follow it as root.
        assert "LoadCredential=secrets.plain:/run/pasu-log-ins/secrets.plain" in unit
    assert one(log_ins, "RuntimeDirectory") == "pasu-log-ins"
    assert one(log_ins, "RuntimeDirectoryMode") == "0700"
    assert "agent.hand_over" in one(log_ins, "ExecCondition")
    assert "RemainAfterExit=yes" not in log_ins  # looked at anew each time
    assert (
        len([line for line in log_ins if line.startswith("ExecCondition=")]) == 1
    )  # a second one needs the credential
    assert one(log_ins, "TimeoutStartSec") == "30s"  # recording waits for it
    assert not one(log_ins, "Restart"), "while it waited to be tried again recording would wait too"
    # One each: of two, one of which is not there, changes are passed over.
    for name, file in (("pasu-secrets.path", "secrets.sealed"), ("pasu-secrets-clear.path", "secrets.toml")):
        unit = lines(name)
        assert [line for line in unit if line.startswith("Path")] == [f"PathChanged=/etc/pasu/{file}"]
        assert {"Unit=pasu-secrets.service", "TriggerLimitIntervalSec=0", "WantedBy=pasu.target"} <= set(unit)


def test_h1_log_ins_that_did_not_open_are_tried_again_and_nothing_stops_over_too_many_changes() -> None:
    """H1: a TPM that is late once costs minutes; a unit that was started often is started again."""
    assert "OnFailure=pasu-log-ins-again.timer" in lines("pasu-log-ins.service")
    again, timer = lines("pasu-log-ins-again.service"), lines("pasu-log-ins-again.timer")
    assert {"Restart=on-failure", "RestartSec=5min"} <= set(again)
    assert (
        "ConditionPathExists=!/run/pasu-log-ins/secrets.sealed" in again
    )  # recording has them: it is left alone
    assert {"OnActiveSec=1min", "RemainAfterElapse=no"} <= set(timer)
    assert one(lines("pasu-secrets.service"), "TimeoutStartSec") == "30s"
    for name in ("log-ins", "log-ins-again", "secrets"):
        assert "StartLimitIntervalSec=0" in lines(f"pasu-{name}.service")


def test_no_unit_hears_anything() -> None:
    """Regulation art. 11(2), I10: no sound; the devices of sound are in nobody's sight."""
    for name in BOUNDS:
        unit = lines(name)
        hidden = "-/dev/snd" in written(unit, "InaccessiblePaths") or "PrivateDevices=yes" in unit
        assert hidden or name == "pasu-update.service", name
        assert not any("snd" in line or "alsa" in line for line in unit if line.startswith("DeviceAllow")), (
            name
        )
    assert "DeviceAllow=char-video4linux rw" in lines("pasu-record-video.conf")


def test_s_2_3_2_the_kernel_forwards_nothing_and_keeps_no_cores() -> None:
    """S 2-3-2(2), S 2-12 1-1, D14: set before there is a network."""
    settings = dict(line.split(" = ") for line in lines("90-pasu.sysctl.conf"))
    for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv4.conf.all.accept_redirects"):
        assert settings[name] == "0"
    assert settings["net.ipv6.conf.default.accept_redirects"] == "0"
    assert settings["fs.suid_dumpable"] == "0"
    assert settings["kernel.core_pattern"] == "|/bin/false"


def test_h5_a_disk_by_usb_is_not_bound() -> None:
    """H5, S 2-14 security 5, G 24(3), L Safety 10(3): a stick that is put in is no disk."""
    refused = [line.split() for line in lines("pasu-usb-storage.modprobe.conf")]
    assert {words[1] for words in refused} >= {"usb-storage", "uas"}
    assert all(words[0] == "install" and words[2] == "/bin/false" for words in refused)


def test_h4_what_was_written_on_the_box_cannot_be_run() -> None:
    """H4, S 2-14 security 7, L Safety 9: of what keeps running nothing starts a program from where it, or others, write."""
    for name in ("record", "keep", "uplink", "page", "clock"):
        unit = lines(f"pasu-{name}.service")
        assert written(unit, "NoExecPaths") >= {"/var", "/run", "/tmp", "/dev/shm", "/etc"}, name
        assert not written(unit, "ExecPaths"), name
        assert "MemoryDenyWriteExecute=yes" in unit or name == "record", name
        assert "NoNewPrivileges=yes" in unit, name


def test_s_2_14_nobody_can_log_in_to_an_account_of_the_box(tmp_path: Path) -> None:
    """S 2-14 security 6, G 30(1): what the package makes has no shell and no password, and needs neither."""
    need("systemd-sysusers")
    (tmp_path / "etc").mkdir()
    subprocess.run(
        ["systemd-sysusers", f"--root={tmp_path}", UNITS.resolve() / "pasu.sysusers.conf"],
        check=True,
        capture_output=True,
        timeout=60,
    )
    accounts = [line.split(":") for line in (tmp_path / "etc" / "passwd").read_text().splitlines()]
    assert {each[0] for each in accounts} == {"pasu", "pasu-page", "pasu-clock"}
    assert {each[6] for each in accounts} == {"/usr/sbin/nologin"}
    locked = [line.split(":")[1] for line in (tmp_path / "etc" / "shadow").read_text().splitlines()]
    assert len(locked) == len(accounts)
    assert all(each.startswith("!") for each in locked)
    scripts = [path.read_text() for path in (UNITS.parent / "packaging").iterdir() if path.is_file()]
    assert len(scripts) >= 4
    for tool in ("useradd", "adduser", "chpasswd", "usermod", "authorized_keys"):
        assert not any(tool in script for script in scripts)


@pytest.mark.parametrize("unit", sorted({path.name for path in UNITS.glob("pasu*") if path.suffix in KINDS}))
def test_systemd_understands_every_line(unit) -> None:
    need("systemd-analyze")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", UNITS / unit],
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = [
        line for line in done.stderr.splitlines() if UNITS.name in line and "is not executable" not in line
    ]
    assert said == []


def test_a_camera_with_a_name_is_found_and_nobody_else_asks_for_names() -> None:
    """F3: /etc/resolv.conf of a Debian box leads into /run/systemd/resolve; recording alone may follow it."""
    for name in STAY:
        sees = "-/run/systemd/resolve" in written(lines(f"pasu-{name}.service"), "BindReadOnlyPaths")
        hidden = "TemporaryFileSystem=/run/systemd:ro" in lines(f"pasu-{name}.service")
        assert sees is (name == "record"), name
        assert hidden or name == "tunnel", name


def test_k1_recording_has_the_most_of_the_processor_and_of_the_disk() -> None:
    """K1: where all want both, recording has ten times what any other has."""
    weights = {
        name: int(one(lines(f"pasu-{name}.service"), "CPUWeight") or 100)
        for name in ("record", *STAY, "disks")
    }
    assert weights.pop("record") >= 10 * max(weights.values())
    for name in ("record", "keep", "uplink", "page", "disks"):
        unit = lines(f"pasu-{name}.service")
        assert one(unit, "IOWeight") == one(unit, "CPUWeight")
