"""The Debian package: what is in it, and what dpkg does with it in a throw-away Debian 12 without a network."""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.field.setup import disk_talk
from tests import package_lab
from tests.package_lab import ROOT, Box, tool
from tests.peer import need
from tests.releases import Release

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME = "usr/lib/pasu-agent"
SITE = "lib/python3.11/site-packages"
PAPERS = ("guide.md", "guide.ko.md", "operations.md")
STATE = {
    "/var/lib/pasu/vault/segments/cam01/2026-11-22/000000.mp4.age": "sealed",
    "/var/lib/pasu/state/catalogue.db": "rows",
    "/var/lib/pasu/state/keys/signing.key": "key",
    "/etc/pasu/agent.toml": "box = 1\n",
    "/etc/pasu/secrets.toml": "password = 1\n",
    "/srv/vault2/segments/cam02/2026-11-22/000000.mp4.age": "sealed too",
}


@pytest.fixture(scope="module", autouse=True)
def as_root() -> None:
    if os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.fail("roots to install into are root's to make")
        pytest.skip("needs root")


@pytest.fixture(scope="module")
def package() -> Path:
    return package_lab.built()


@pytest.fixture(scope="module")
def commit(package) -> str:
    """Which commit it was built of: others may have come since."""
    asked = ["dpkg-deb", "-f", package, "Pasu-Commit"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def unpacked(package, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked") / "root"
    subprocess.run(["dpkg-deb", "-R", package, folder], check=True, timeout=300)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def versions(package, tmp_path_factory) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("versions")
    first = package_lab.repack(package, out, "0.1.1", slim=True)
    yield {"0.1.1": first, "0.1.2": package_lab.repack(first, out, "0.1.2")}
    shutil.rmtree(out)


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A checkout of the same commit at another place."""
    folder = tmp_path_factory.mktemp("elsewhere") / "a clone"
    subprocess.run(["git", "clone", "-q", ROOT, folder], check=True, timeout=120)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def few(clone) -> Path:
    """A checkout that builds a package of a few wheels, compiled ones among them."""
    folder = clone.with_name("a clone of few")
    subprocess.run(["git", "clone", "-q", clone, folder], check=True, timeout=120)
    package_lab.only(folder, "cryptography", "cffi", "pycparser", "psutil", "markupsafe", "rich", "segno")
    return folder


@pytest.fixture(scope="module")
def from_stick(package, clone, tmp_path_factory) -> Box:
    """A bare Debian 12 into which the package came from a stick, signed by a key that it trusts."""
    (clone / "dist").mkdir(exist_ok=True)
    _, version, architecture = package.stem.split("_")
    release = Release()

    def trust(root: Path) -> None:
        (tree,) = (root / HOME).iterdir()
        (tree / "share/release-keys/test.pub").write_text(release.public)

    made = package_lab.repack(package, clone / "dist", version, trust)
    release.sign_file(made, f"file:{made.name}\tversion:{version}\tarch:{architecture}")
    done = subprocess.run([clone / "tools/stick", architecture], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    box = Box([package_lab.bare()], tmp_path_factory.mktemp("box"))
    stick = box.place / "upper/media/my stick"
    stick.parent.mkdir(parents=True)
    shutil.move(clone / "dist" / f"stick-{architecture}", stick)
    box.said = box.run("sh", "/media/my stick/install.sh", LC_ALL="ko_KR.UTF-8")
    yield box
    shutil.rmtree(box.place)


@pytest.fixture
def memory() -> Path:
    with in_memory() as folder:
        yield folder


@contextlib.contextmanager
def in_memory() -> Iterator[Path]:
    """A folder in memory: dpkg waits for the disk at every word that it writes down, and each of these boxes has 20 MiB."""
    with tempfile.TemporaryDirectory(prefix="pasu-package-", dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def ready(from_stick) -> list[Path]:
    """The layers of a box that has all that the package needs, and not the package; with a site's state."""
    with in_memory() as folder:
        box = Box(from_stick.layers, folder)
        box.run("dpkg", "--purge", "pasu-agent")
        for path, text in STATE.items():
            box.put(path, text, 0o640)
        yield box.layers


@pytest.fixture
def box(ready, memory) -> Box:
    return Box(ready, memory / "box")


def state(box: Box) -> None:
    """All that is a site's is there as it was, by bytes, mode and owner."""
    said = box.run(
        "sh", "-c", 'for f in "$@"; do stat -c "%n %a %U" "$f"; cat "$f"; echo; done', "sh", *STATE
    )
    expected = "".join(f"{path} 640 root\n{text}\n" for path, text in STATE.items())
    assert said == expected


def tree(box: Box) -> str:
    return box.run("readlink", "/opt/pasu").strip()


def whole(box: Box, versions: dict[str, Path]) -> str:
    """Return which version /opt/pasu is, having compared all of it with that version's package."""
    where = tree(box)
    version = box.run("cat", "/opt/pasu/share/version")
    wanted = contents(versions[version])
    found = box.run("sh", "-c", 'cd "$1" && find . -type f -exec md5sum {} +', "sh", where)
    assert {line.split("  ", 1)[1]: line.split("  ", 1)[0] for line in found.splitlines()} == wanted
    assert "pasu 0.1.0" in box.run("pasu", "--version")
    return version


@functools.cache
def contents(package: Path) -> dict[str, str]:
    """Return what a package's tree holds: path in it to digest."""
    folder = package.parent / "compared"
    subprocess.run(["dpkg-deb", "-x", package, folder], check=True, timeout=120)
    (top,) = (folder / HOME).iterdir()
    found = {
        f"./{path.relative_to(top)}": hashlib.md5(path.read_bytes()).hexdigest()
        for path in top.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
    shutil.rmtree(folder)
    return found


def systemctl(box: Box) -> None:
    """A systemd that writes down what it is asked, and where /opt/pasu led then."""
    box.put(
        "/usr/local/sbin/systemctl",
        '#!/bin/sh\ncase "$*" in *is-enabled*) echo enabled; exit;; *is-active*) exit;; esac\n'
        'echo "$* @ $(readlink /opt/pasu)" >>/asked\n',
        0o755,
    )


def asked(box: Box, *command: str, **environment: str) -> list[str]:
    """Run a command of dpkg's where systemd runs; return what that was asked."""
    path = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
    box.run(
        "sh",
        "-c",
        'rm -f /asked; mkdir -p /run/systemd/system; "$@"',
        "sh",
        *command,
        PATH=path,
        **environment,
    )
    return box.run("sh", "-c", "cat /asked 2>/dev/null || true").splitlines()


def verbs(lines: list[str], verb: str) -> list[str]:
    return [line.split()[1 + line.split().index(verb)] for line in lines if verb in line.split()]


# What is in it


def test_every_file_of_systemd_is_in_its_place(unpacked, commit) -> None:
    names = units(commit)
    assert len(names) >= 13
    for name in names:
        assert (unpacked / tool().place(name)).read_bytes() == committed(commit, f"systemd/{name}"), name
    placed = {str(unpacked / tool().place(name)) for name in names}
    for folder in ("lib", "usr/lib/sysusers.d", "usr/lib/tmpfiles.d", "usr/lib/sysctl.d", "usr/lib/systemd"):
        assert {str(path) for path in (unpacked / folder).rglob("*") if path.is_file()} <= placed


def test_the_manual_page_lies_where_man_looks_for_it_in_each_language(unpacked, commit) -> None:
    for folder, word in (("man1", "NAME"), ("ko/man1", "이름")):
        page = gzip.decompress((unpacked / "usr/share/man" / folder / "pasu.1.gz").read_bytes())
        assert page == committed(commit, f"docs/man/{folder}/pasu.1")
        assert f'.SH "{word}"' in page.decode()


def committed(commit: str, path: str) -> bytes:
    return subprocess.run(
        ["git", "show", f"{commit}:{path}"], cwd=ROOT, check=True, capture_output=True
    ).stdout


def units(commit: str) -> list[str]:
    listed = ["git", "ls-tree", "-r", "--name-only", f"{commit}:systemd"]
    return subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()


def test_a_file_of_a_kind_that_nobody_thought_of_ends_the_build() -> None:
    with pytest.raises(SystemExit, match="does not know"):
        tool().place("pasu.odd")


def test_every_module_is_compiled_and_nothing_tells_who_built_it(unpacked) -> None:
    (top,) = (unpacked / HOME).iterdir()
    assert (top / "bin/pasu").read_text().startswith("#!/opt/pasu/bin/python -I\n")
    assert os.readlink(top / "bin/python") == "/usr/bin/python3.11"
    agent = top / SITE / "agent"
    for module in agent.rglob("*.py"):
        assert (module.parent / "__pycache__" / f"{module.stem}.cpython-311.pyc").exists(), module
    names = {path.name for path in (top / SITE).iterdir()}
    assert not names & {"pip", "setuptools", "bin", "tests", "__editable__"}
    traces = [text.encode() for text in (str(ROOT), "pasu-deb-", str(Path.home() / ".pyenv"))]
    for path in unpacked.rglob("*"):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            assert not any(trace in data for trace in traces), path
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode in {0o644, 0o755}, path


def test_what_the_box_imports_is_what_was_locked(unpacked, commit) -> None:
    """J6: nothing is in it but what box.lock and sources.lock name, in the versions that they name."""
    (top,) = (unpacked / HOME).iterdir()
    found = {
        tuple(path.name.removesuffix(".dist-info").lower().replace("_", "-").rsplit("-", 1))
        for path in (top / SITE).glob("*.dist-info")
    }
    locks = (committed(commit, "packaging/box.lock") + committed(commit, "packaging/sources.lock")).decode()
    locked = {
        (name.lower().replace("_", "-").replace(".", "-"), version)
        for name, version in re.findall(r"^([\w.-]+)==([^ \\]+)", locks, re.MULTILINE)
    }
    found = {(name.replace(".", "-"), version) for name, version in found}
    assert found == locked | {("pasu-agent", "0.1.0")}


def test_j6_a_wheel_that_is_not_the_one_that_was_locked_ends_the_build(few, tmp_path) -> None:
    """J6: one digit of one hash."""
    source = tmp_path / "source"
    shutil.copytree(few, source, ignore=shutil.ignore_patterns(".git"))
    lock = source / "packaging/box.lock"
    (entry,) = re.findall(r"^segno==.*(?:\n    --hash.*)+", lock.read_text(), re.MULTILINE)
    lock.write_text(
        re.sub(r"sha256:[0-9a-f]", lambda found: "sha256:" + ("1" if found[0][-1] == "0" else "0"), entry)
        + "\n"
    )
    with pytest.raises(SystemExit, match="DO NOT MATCH THE HASHES"):
        tool().wheels(source, tmp_path, "x86_64", tmp_path / "site")
    assert not (tmp_path / "site/segno").exists()


def elsewhere(tmp_path: Path) -> dict[str, str]:
    """Another machine, as far as a variable can be one."""
    folder = tmp_path / "another place for what is temporary"
    folder.mkdir()
    return {"TMPDIR": str(folder), "TZ": "Asia/Seoul", "LC_ALL": "C", "PYTHONHASHSEED": "7"}


def test_the_same_commit_makes_the_same_bytes(few, clone, tmp_path) -> None:
    other = clone.with_name("another clone of few")
    subprocess.run(["git", "clone", "-q", few, other], check=True, timeout=120)
    one = package_lab.build(tmp_path / "1", root=few)
    two = package_lab.build(tmp_path / "2", root=other, **elsewhere(tmp_path))
    assert one.name == two.name
    assert one.read_bytes() == two.read_bytes()


def test_a_release_for_the_other_architecture_is_signed_and_holds_nothing_of_this_one(few, tmp_path) -> None:
    """Signed as minisign does, with the keys inside that a box is to trust."""
    need("minisign")
    public, secret = tmp_path / "a.pub", tmp_path / "a.key"
    subprocess.run(["minisign", "-GW", "-p", public, "-s", secret], check=True, capture_output=True)
    made = judge_other(few, tmp_path, 3, "--version", "0.1.7", "--sign", str(secret), "--trust", str(public))
    (inside,) = (tmp_path / "arm64").glob(f"{HOME}/0.1.7-*/share/release-keys/a.pub")
    assert inside.read_bytes() == public.read_bytes()
    verify = ["minisign", "-V", "-H", "-m", made, "-p", inside]
    said = subprocess.run(verify, check=True, capture_output=True, text=True).stdout
    assert f"Trusted comment: file:{made.name}\tversion:0.1.7\tarch:arm64\n" in said
    with made.open("r+b") as file:
        file.seek(1 << 20)
        byte = file.read(1)
        file.seek(1 << 20)
        file.write(bytes([byte[0] ^ 1]))
    assert subprocess.run(verify, capture_output=True).returncode != 0


def judge_other(checkout: Path, out: Path, least: int, *arguments: str) -> Path:
    """Build for arm64, and look at every program file in it; it stays unpacked at `out`/arm64."""
    made = package_lab.build(out, "--arch", "arm64", *arguments, root=checkout)
    folder = out / "arm64"
    subprocess.run(["dpkg-deb", "-R", made, folder], check=True, timeout=300)
    kinds = tool().MACHINES
    assert tool().alien(folder, kinds["arm64"][1]) == []
    elves = tool().alien(folder, kinds["amd64"][1])
    assert len(elves) >= least
    assert [path for path in elves if "x86_64" in path] == []
    assert "Architecture: arm64\n" in (folder / "DEBIAN/control").read_text()
    return made


@pytest.mark.campaign
def test_all_of_it_is_the_same_bytes_and_of_one_architecture(package, clone, tmp_path) -> None:
    again = package_lab.build(tmp_path, root=clone, **elsewhere(tmp_path))
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(package.read_bytes()).digest()
    judge_other(clone, tmp_path, 100)
    shutil.rmtree(tmp_path / "arm64")


def test_what_whoever_stands_before_a_box_reads_is_in_it(unpacked, commit) -> None:
    folder = unpacked / "usr/share/doc/pasu-agent"
    for paper in PAPERS:
        assert (folder / paper).read_bytes() == committed(commit, f"docs/{paper}")
    example = folder / "examples/pasu-care.sudoers"
    assert example.read_bytes() == committed(commit, "packaging/pasu-care.sudoers")
    # To be read: nobody is given anything by it.
    assert not (unpacked / "etc").exists()
    assert disk_talk.PAPERS == "/usr/share/doc/pasu-agent"


# Installing


def test_a_bare_box_without_a_network_is_installed_from_a_stick(from_stick, commit) -> None:
    box = from_stick
    assert "설치되었습니다" in box.said
    sums = (box.place / "upper/media/my stick/SHA256SUMS").read_text(encoding="utf-8")
    for paper in PAPERS:
        assert f"  ./{paper}\n" in sums
    assert box.run("dpkg-query", "-W", "-f", "${Status}", "pasu-agent") == "install ok installed"
    assert box.run("su", "-s", "/bin/sh", "pasu", "-c", "pasu --version").strip() == "pasu 0.1.0"
    modules = "cv2, av, lxml.etree, cryptography.x509, psutil, numpy, sqlite_utils, watchdog.observers, rich, jwt, segno"
    more = (
        "cheroot.wsgi, jinja2, prometheus_client, onvif, zeep, wsdiscovery, paho.mqtt.client, agent.cli.main"
    )
    said = box.run(
        "/opt/pasu/bin/python",
        "-I",
        "-c",
        f"import {modules}, {more}; print(cv2.__file__, lxml.etree.__file__)",
    )
    assert said.count("/opt/pasu/lib/python3.11/site-packages/") == 2
    unfound = 'find -L /opt/pasu -name "*.so*" -type f -exec ldd {} + 2>/dev/null | grep "not found" || true'
    assert box.run("sh", "-c", unfound) == ""
    # Nothing was compiled on the box: it was all there.
    assert box.run("dpkg", "--verify", "pasu-agent") == ""
    assert box.run("sh", "-c", "find /usr/lib/pasu-agent -newer /etc/passwd -type f") == ""
    assert box.run("stat", "-c", "%a %U %G", "/etc/pasu").split() == ["770", "root", "pasu"]
    wanted = box.run("sh", "-c", "find /etc/systemd/system -lname '*/pasu*' -printf '%f\n'").split()
    installed = [name for name in units(commit) if b"\n[Install]\n" in committed(commit, f"systemd/{name}")]
    assert sorted(set(wanted)) == sorted(installed)
    assert len(installed) >= 6


def test_j3_what_a_stick_installs_is_kept_as_the_way_back_of_the_first_update(from_stick) -> None:
    """J3: nobody types `pasu update keep`."""
    box = from_stick
    (name,) = (path.name for path in (box.place / "upper/media/my stick").glob("pasu-agent_*.deb"))
    version = name.split("_")[1]
    assert f"간직했습니다: {version}" in box.said
    said = json.loads(box.run("pasu", "update", "status", "--json"))
    assert (said["installed"], said["kept"]) == (version, version)


def test_hardware_tests_come_with_the_stick_and_run_by_the_packages_python(from_stick, memory) -> None:
    """As hardware_tests/README.md says; one of them records virtual cameras with what is installed."""
    box = Box(from_stick.layers, memory / "box")
    box.run("cp", "-r", "/media/my stick/hardware_tests", "/root/")
    run = "ip link set lo up; cd /root && /opt/pasu/bin/python hardware_tests/{}; echo status $?"
    for name, more in (
        ("fsync_latency.py", "--folder /srv --seconds 2 --cameras 2"),
        ("sustained_write.py", "--folder /srv --seconds 6 --cameras 2 --kbit 500"),
    ):
        said = box.run("sh", "-c", run.format(f"{name} {more}"))
        assert re.search(r"status [01]\n$", said), said  # how fast this disk is, is not what is asked
        stem = name.removesuffix(".py").replace("_", "-")
        assert "Result: " in box.run("sh", "-c", f"cat /root/docs/evidence/hardware/{stem}-*.md")


def test_a_damaged_stick_is_refused(from_stick, memory) -> None:
    box = Box(from_stick.layers, memory / "box")
    box.run("sh", "-c", 'cd "/media/my stick/debian"; printf x >>"$(ls | head -1)"')
    said = box.run("sh", "/media/my stick/install.sh", check=False)
    assert "Files on this stick are damaged" in said
    assert "Setting up" not in said


def test_installing_twice_upgrading_and_going_back_keep_what_is_the_sites(box, versions) -> None:
    for version in ("0.1.1", "0.1.1", "0.1.2", "0.1.1", "0.1.2"):
        box.run("dpkg", "-i", box.bring(versions[version]))
        assert whole(box, versions) == version
        assert box.run("ls", "/usr/lib/pasu-agent").split() == [Path(tree(box)).name]
        state(box)
    assert box.run("sh", "-c", "ls -A /opt").split() == ["pasu"]


def test_an_administrators_choice_outlives_an_upgrade(box, versions) -> None:
    box.run("dpkg", "-i", box.bring(versions["0.1.1"]))
    box.run("systemctl", "disable", "pasu-page.service")
    box.run("chmod", "0700", "/etc/pasu")
    box.run("dpkg", "-i", box.bring(versions["0.1.2"]))
    enabled = box.run("sh", "-c", "find /etc/systemd/system -lname '*/pasu*' -printf '%f\n'").split()
    assert "pasu-page.service" not in enabled
    assert "pasu-record.service" in enabled
    assert box.run("stat", "-c", "%a", "/etc/pasu").strip() == "700"


def test_removing_and_purging_leave_what_is_the_sites_and_say_so(box, versions) -> None:
    """B: what dpkg is asked for, footage stays."""
    box.run("dpkg", "-i", box.bring(versions["0.1.1"]))
    box.run("dpkg", "--remove", "pasu-agent")
    assert box.run("sh", "-c", "ls -d /opt/* /usr/lib/pasu-agent 2>/dev/null || true") == ""
    state(box)
    box.run("dpkg", "-i", "/" + versions["0.1.1"].name)
    assert whole(box, versions) == "0.1.1"
    said = box.run("dpkg", "--purge", "pasu-agent", LC_ALL="ko_KR.UTF-8")
    assert "/var/lib/pasu(녹화물, 원장, 키)" in said
    state(box)
    found = "find / -xdev -name '*pasu*' -not -path '/proc/*' -not -path '/media/*' -not -name '*.deb'"
    left = set(box.run("sh", "-c", found).split())
    sites = {"/etc/pasu", "/var/lib/pasu", "/var/lib/pasu-page", "/var/lib/pasu-update", "/run/pasu"}
    assert left == sites | {
        path
        for path in left
        if path.startswith(("/var/lib/pasu/", "/var/log/", "/var/lib/systemd/deb-systemd"))
    }
    box.run("dpkg", "-i", "/" + versions["0.1.1"].name)
    assert "Left as they are: /var/lib/pasu (recordings, ledger, keys)" in box.run(
        "dpkg", "--purge", "pasu-agent"
    )
    state(box)


def test_units_start_only_when_configured_and_in_order(box, versions) -> None:
    systemctl(box)
    older, newer = (box.bring(versions[version]) for version in ("0.1.1", "0.1.2"))
    box.run("mv", "/etc/pasu/agent.toml", "/etc/pasu/later.toml")
    lines = asked(box, "dpkg", "-i", older)
    assert any("daemon-reload" in line for line in lines)
    assert verbs(lines, "restart") == verbs(lines, "start") == []

    box.run("mv", "/etc/pasu/later.toml", "/etc/pasu/agent.toml")
    lines = asked(box, "dpkg", "-i", newer)
    restarted = verbs(lines, "restart")
    first = ["pasu-egress.service", "pasu-clock.service", "pasu-record.service", "pasu-keep.service"]
    assert restarted[:4] == first
    # What is part of a target restarts with it.
    assert verbs(lines, "start") == ["pasu.target"]
    assert "pasu.target" not in restarted
    assert {"pasu-uplink.service", "pasu-page.service", "pasu-disks.timer"} <= set(restarted)
    assert "pasu-update.service" not in restarted
    # What erases has stopped before the other version's modules are where it would find them, and nothing else has.
    assert verbs(lines, "stop") == ["pasu-keep.service"]
    (stopped,) = [line for line in lines if " stop " in f" {line}"]
    assert "/0.1.1-" in stopped
    assert all("/0.1.2-" in line for line in lines if "restart" in line.split())

    # While `pasu update apply` is at it, it does the starting.
    lines = asked(box, "dpkg", "-i", older, PASU_UPDATE="1")
    assert verbs(lines, "restart") == verbs(lines, "start") == []
    lines = asked(box, "dpkg", "--remove", "pasu-agent")
    stopped = verbs(lines, "stop")
    assert stopped[-3:] == ["pasu-record.service", "pasu-clock.service", "pasu-egress.service"]
    assert set(restarted) <= set(stopped)


@pytest.fixture(scope="module")
def upgrading(ready, versions) -> tuple[list[Path], dict[str, int]]:
    """The layers of a box that has the older version, and how often dpkg calls what on the way to the newer one."""
    need("strace")
    with in_memory() as folder:
        older = Box(ready, folder / "older")
        older.run("dpkg", "-i", older.bring(versions["0.1.1"]))
        older.bring(versions["0.1.2"])
        trial = Box(older.layers, folder / "trial")
        log = folder / "calls"
        traced = ("strace", "-qq", "-o", str(log), "-e", "trace=rename,unlink,rmdir")
        trial.run("dpkg", "-i", f"/{versions['0.1.2'].name}", around=traced)
        shutil.rmtree(trial.place)
        yield older.layers, Counter(line.partition("(")[0] for line in log.read_text().splitlines())


@pytest.mark.parametrize(("call", "share"), [("rename", 0.6), ("unlink", 0.98), ("rmdir", 0.6)])
def test_j1_a_killed_dpkg_leaves_one_whole_version_and_is_gone_over_again(
    upgrading, versions, memory, call, share
) -> None:
    """J1, A2: while it unpacks, while it removes what was there before, while it writes down what it did."""
    killed(upgrading, versions, memory, call, share)


@pytest.mark.campaign
@pytest.mark.parametrize("share", [0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99, 1.0])
@pytest.mark.parametrize("call", ["rename", "unlink", "rmdir"])
def test_j1_dpkg_is_killed_at_every_tenth_of_its_way(upgrading, versions, memory, call, share) -> None:
    """J1, A2"""
    killed(upgrading, versions, memory, call, share)


def killed(
    upgrading: tuple[list[Path], dict[str, int]],
    versions: dict[str, Path],
    memory: Path,
    call: str,
    share: float,
) -> None:
    layers, calls = upgrading
    assert calls[call] > 50
    box = Box(layers, memory / "box")
    log = memory / "calls"
    kill = f"inject={call}:signal=SIGKILL:when={round(calls[call] * share)}"
    said = box.run(
        "dpkg",
        "-i",
        f"/{versions['0.1.2'].name}",
        around=("strace", "-qq", "-o", str(log), "-e", kill),
        check=False,
    )
    assert "killed by SIGKILL" in log.read_text(), said
    recovers(box, versions)


def test_j1_a_link_that_cannot_be_turned_leaves_the_version_that_was(upgrading, versions, memory) -> None:
    """J1: the script that turns it is killed, and the one that is to do it in its place."""
    box = Box(upgrading[0], memory / "box")
    log = memory / "calls"
    kill = "inject=renameat,renameat2:signal=SIGKILL:when=1"
    box.run(
        "dpkg",
        "-i",
        f"/{versions['0.1.2'].name}",
        around=("strace", "-f", "-qq", "-o", str(log), "-e", kill),
        check=False,
    )
    assert "killed by SIGKILL" in log.read_text()
    assert whole(box, versions) == "0.1.1"
    recovers(box, versions)


def recovers(box: Box, versions: dict[str, Path]) -> None:
    """A version runs, whole; either of the two can be put over it; nothing else is left, and all that is the site's."""
    assert whole(box, versions) in versions
    state(box)
    for number, version in enumerate(("0.1.1", "0.1.2")):
        other = Box(box.layers, box.place.with_name(f"other{number}"))
        other.run("dpkg", "-i", "/" + versions[version].name)
        assert whole(other, versions) == version
        assert other.run("dpkg-query", "-W", "-f", "${Status}", "pasu-agent") == "install ok installed"
        assert other.run("ls", "/usr/lib/pasu-agent").split() == [Path(tree(other)).name]
        assert other.run("ls", "-A", "/opt").split() == ["pasu"]
        state(other)
        shutil.rmtree(other.place)
