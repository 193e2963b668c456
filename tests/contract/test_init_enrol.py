"""Enrolment within `pasu init`, with the centre's own commands on the other end: at a terminal, and by an answers file."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from agent.enrolment import form
from tests.contract.test_init_talk import ENGLISH, SIZE, tell_box, tell_camera, tell_centre, tell_disk
from tests.init_lab import PASU, PATIENCE_S, Box, box
from tests.town import configured

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["box"]

DIGITS = re.compile(r"fingerprint of the city: (\d{4}(?: \d{4})+)")


class Centre:
    """A city founded by the commands that a centre types."""

    def __init__(self, folder: Path, box: Box) -> None:
        self._folder, self._box = folder, box
        lock = folder / "passphrase"
        lock.write_text("open, sesame\n")
        self._lock = ["--city", str(folder / "city"), "--passphrase-file", str(lock)]
        found = [str(folder / "city"), "--city", "gangneung", "--name", "강릉시", "--broker", "10.77.0.1"]
        self._pasu("init", *found, *self._lock[2:])
        self._pasu("key", "add", "--role", "officer", "--holder", "김OO", *self._lock)

    def enrol(self, request: Path, name: str, of: str = "/etc/pasu/agent.toml") -> Path:
        """Answer a request, its fingerprint having been compared; return the bundle."""
        bundle = self._folder / name
        said = self._pasu("enrol", str(request), "-o", str(bundle), "--yes", *self._lock)
        box = json.loads(self._box.pasu("enrol", "show", "--json", "--config", of).stdout)
        assert box["fingerprint"] in said
        return bundle

    def _pasu(self, *words: str) -> str:
        done = subprocess.run(
            [*PASU, "centre", *words],
            capture_output=True,
            text=True,
            env=self._box.environment("en"),
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def centre(box: Box) -> Centre:
    folder = box.folder / "centre"
    folder.mkdir()
    return Centre(folder, box)


def shown(box: Box) -> dict:
    return json.loads(box.pasu("enrol", "show", "--json").stdout)


def read_out(bundle: Path) -> str:
    """Return what the centre reads to the technician."""
    return form.read_bundle(bundle.read_bytes()).fingerprint


def test_at_a_terminal_the_request_goes_out_and_the_bundle_comes_in(box: Box, centre: Centre) -> None:
    device, request = box.disk(), box.folder / "request.json"
    with box.talk() as talk:
        tell_box(talk, ENGLISH)
        tell_centre(talk, ENGLISH)
        tell_camera(talk, ENGLISH)
        tell_disk(talk, ENGLISH, device)
        talk.answer(ENGLISH["review"])
        talk.answer(ENGLISH["enrol"])
        told = talk.wait("fingerprint of this box:")
        assert "█" in told or "▀" in told or "columns" in told  # the code, or how wide it would be
        question = "bundle from the centre, Enter to do it later: "
        talk.wait(question)
        # The centre gets the request as a file: what the code on the screen says too.
        assert box.pasu("enrol", "request", "-o", str(request)).returncode == 0
        bundle = centre.enrol(request, "bundle.json")
        talk.type(str(box.folder / "nothing.json"))
        assert "FILE_UNREADABLE" in talk.wait(question)
        talk.type(str(bundle))
        assert read_out(bundle) in talk.answer("Is it what the centre reads to you? [y/N] ", "n")
        assert "ENROL_UNCONFIRMED" in talk.wait(question)
        assert shown(box)["city"] is None
        talk.type(str(bundle))
        talk.answer("Is it what the centre reads to you? [y/N] ", "y")
        talk.wait("Enrolled.")
        assert talk.rest() == 0
    assert (shown(box)["city"], shown(box)["certificate_fits"]) == ("gangneung", True)
    assert box.run("stat", "-c", "%U %a", "/var/lib/pasu/state/uplink/box.key").stdout.split()[1] == "600"


def test_by_a_file_the_request_goes_out_the_first_time_and_the_bundle_comes_in_the_second(
    box: Box, centre: Centre
) -> None:
    device = box.disk()
    request, bundle = box.folder / "gn-0007.request", box.folder / "centre/gn-0007.bundle"

    def run(city: str, more: str = "") -> subprocess.CompletedProcess[str]:
        enrolment = f'[enrolment]\nbundle = "{bundle}"\ncity = "{city}"\n{more}'
        file = box.answers(f'device = "{device}"\nformat = "{SIZE}"\n\n{enrolment}')
        return box.pasu("init", "--answers", str(file))

    wish = f'request = "{request}"'
    first = run("0000", wish)
    assert first.returncode == 0, first.stderr
    early = run("0000", wish)
    assert (early.returncode, "not there yet" in early.stdout) == (3, True), early.stderr
    assert "FILE_UNREADABLE" in run("0000").stderr  # no request was wished for: a bundle that has to be there

    assert centre.enrol(request, bundle.name) == bundle
    other = run(read_out(bundle)[:-1] + "x", wish)
    assert (other.returncode, "INIT_CITY" in other.stderr) == (3, True), other.stderr
    assert shown(box)["city"] is None
    for _ in range(2):  # and once more: nothing changes
        done = run("  ".join(read_out(bundle).split()), wish)
        assert done.returncode == 0, done.stderr
        assert DIGITS.search(done.stdout)[1] == read_out(bundle)
        assert (shown(box)["city"], shown(box)["certificate_fits"]) == ("gangneung", True)

    other_box = configured(box.folder / "other", "gn-0008").file
    asked = box.folder / "gn-0008.request"
    made = box.pasu("enrol", "request", "-o", str(asked), "--config", str(other_box))
    assert made.returncode == 0, made.stderr
    bundle.unlink()
    centre.enrol(asked, bundle.name, of=str(other_box))
    refused = run(read_out(bundle), wish)
    assert refused.returncode == 3, refused.stderr
    assert "ENROL_OTHER_BOX" in refused.stderr
    assert "INIT_ENROL" in refused.stderr
    assert shown(box)["certificate_fits"]
