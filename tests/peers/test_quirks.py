"""Every quirk a virtual camera can play, recorded by `pasu record` in one run, and what the table promises for each.

All cameras share one recorder and at most two loops: whatever one of them does wrong, the healthy one beside it must
lose nothing.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import av
import pytest

from agent.demo.ledger import Asked, Offered, read_frames, read_requests
from agent.demo.quirks import KINDS, parse
from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from agent.demo.stamp import AUDIO_MARKER, stamps_in
from agent.mp4.reader import Init, Reader
from tests import nal
from tests.checker import Frame, GapRow, Picture, Segment, Verdict, check
from tests.held import Held
from tests.lab import Site, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SEGMENT_S = 5
RECORD_S = 26.0  # the slowest quirk is over by then: a stall of 8 s, 10 s in, with 5 s more to notice
PLACED_MS = 400  # a turn of the loop, a camera's own unrest, and slewing
USER, PASSWORD = "operator", "a long pass word"


@dataclass
class Evidence:
    """What is known of one camera after the run."""

    site: Site
    spec: CameraSpec
    camera: str
    offered: list[Offered]
    requests: list[Asked]
    health: dict[str, Any]
    gaps: list[GapRow]
    held_ms: int
    _stored: list[tuple[Segment, list[Picture]]] = field(default_factory=list)

    @property
    def stored(self) -> list[tuple[Segment, list[Picture]]]:
        if not self._stored:
            self._stored = self.site.stored(self.camera)
        return self._stored

    @property
    def pictures(self) -> list[Picture]:
        return [picture for _, pictures in self.stored for picture in pictures]

    def facts(self, kind: str) -> list[dict[str, Any]]:
        return [body for _, _, body in self.site.facts(kind) if body.get("camera") == self.camera]

    def runs(self) -> int:
        return len(self.site.rows("select distinct run from segment where camera = ?", self.camera))

    @property
    def placed_ms(self) -> int:
        """Return how far a label may be off: camera and recorder may both have been held up by the machine."""
        return PLACED_MS + 2 * self.held_ms

    def verdict(self, *, by_stamp: bool = False, placed_within_ms: int = 500) -> Verdict:
        """Account for every frame: bit by bit, or by its stamp where the way has taken parts of it."""
        placed_within_ms += 2 * self.held_ms
        frames = [
            Frame(one.frame, one.utc_ms, one.keyframe, str(one.frame) if by_stamp else one.sha256, True)
            for one in self.offered
        ]
        stored, digest = (self._by_stamp(), bytes.decode) if by_stamp else (self.stored, sha256)
        return check(frames, stored, self.gaps, digest=digest, placed_within_ms=placed_within_ms)

    def _by_stamp(self) -> list[tuple[Segment, list[Picture]]]:
        """Put the frame's number in the place of each picture's bytes.

        A picture that lost the packet with its stamp is, of the frames between its neighbours' stamps, the one
        taken nearest to its label: a label alone may be off by more than half a frame. What is left of two such
        pictures may be equal, so bytes name none.
        """
        pictures = sorted(self.pictures, key=lambda one: one.utc_ms)
        found = [stamps_in(self.spec.codec, picture.data) for picture in pictures]
        numbers = [stamp.frame if stamp else None for stamp in found]
        for index, picture in enumerate(pictures):
            if numbers[index] is not None:
                continue
            last = max((one for one in numbers[:index] if one is not None), default=-1)
            following = min((one for one in numbers[index + 1 :] if one is not None), default=1 << 62)
            between = [one for one in self.offered if last < one.frame < following]
            assert between, f"a picture without a stamp between {last} and {following}"
            numbers[index] = min(between, key=lambda one: abs(one.utc_ms - picture.utc_ms)).frame
        named = {
            id(one): replace(one, data=str(number).encode())
            for one, number in zip(pictures, numbers, strict=True)
        }
        return [(segment, [named[id(one)] for one in shown]) for segment, shown in self.stored]

    def late_ms(self) -> list[float]:
        """Return for each stored picture by how much its label differs from when it was taken."""
        taken = {one.sha256: one.utc_ms for one in self.offered}
        return [picture.utc_ms - taken[sha256(picture.data)] for picture in self.pictures]

    def asked(self, method: str) -> list[Asked]:
        return [one for one in self.requests if one.method == method]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# --- what may be promised --------------------------------------------------------------------------------------


def whole(seen: Evidence) -> None:
    """Assert that one session recorded every frame bit for bit, and labelled it with the time it was taken at."""
    verdict = seen.verdict()
    verdict.clean()
    assert not verdict.excused, verdict.summary()
    assert not seen.gaps
    assert len(verdict.stored) >= seen.spec.fps * 15, verdict.summary()
    assert seen.health["state"] == "recording"
    assert seen.health["reconnects"] == 0
    in_place(seen)


def in_place(seen: Evidence) -> None:
    worst = max(seen.late_ms(), key=abs)
    assert abs(worst) <= seen.placed_ms, f"a picture is labelled {worst:.0f} ms off"


def one_run(seen: Evidence) -> None:
    whole(seen)
    assert seen.runs() == 1


def repaired(*what: str) -> Callable[[Evidence], None]:
    def judge(seen: Evidence) -> None:
        one_run(seen)
        assert set(what) <= set(seen.health["repairs"]), seen.health["repairs"]

    return judge


def new_run(seen: Evidence) -> None:
    whole(seen)
    assert seen.runs() == 2


def spans_are_true(seen: Evidence, seam_ms: int = 0) -> None:
    """Assert that no segment claims more time than went by, whatever the camera's clock says (quirks 7, 8).

    seam_ms  how far the end of one and the start of the next may lie apart beyond that
    """
    placed_ms = seen.placed_ms
    taken = [one.utc_ms for one in seen.offered]
    for segment, pictures in seen.stored:
        assert taken[0] - placed_ms <= segment.start_ms < segment.end_ms <= taken[-1] + placed_ms + 1000
        assert segment.end_ms - segment.start_ms <= SEGMENT_S * 1500 + 1000
        assert pictures[-1].utc_ms <= segment.end_ms + placed_ms
    for (before, _), (after, _) in pairwise(seen.stored):
        assert abs(after.start_ms - before.end_ms) <= placed_ms + seam_ms


def jumping(seen: Evidence) -> None:
    whole(seen)
    spans_are_true(seen)


def wrong_rate(off_ms: int, settled_s: float) -> Callable[[Evidence], None]:
    """Assert that a clock at a wrong rate is found out: until then labels are off by so much, and right from then on.

    off_ms     the rate is only known after 2.5 s of arrivals, and what was written before stays as it is
    settled_s  after the first picture
    """

    def judge(seen: Evidence) -> None:
        verdict = seen.verdict(placed_within_ms=off_ms)
        verdict.clean()
        assert not verdict.excused
        assert not seen.gaps
        assert seen.health["repairs"]["rate"] == 1
        spans_are_true(seen, seam_ms=off_ms)
        late = seen.late_ms()
        settled = round(settled_s * seen.spec.fps)
        assert max(map(abs, late)) <= off_ms + 2 * seen.held_ms
        assert max(map(abs, late[settled:])) <= seen.placed_ms
        assert len(late) > 2 * settled

    return judge


def reordered(seen: Evidence) -> None:
    """Assert that labels put the pictures into the order they were taken in, late by what the encoder holds back."""
    verdict = seen.verdict(placed_within_ms=1500)
    verdict.clean()
    assert not verdict.excused
    assert seen.runs() == 1
    late = seen.late_ms()
    assert max(late) - min(late) <= seen.placed_ms, "the pictures are not as far apart as they were taken"
    times = [picture.utc_ms for picture in seen.pictures]
    assert any(later < earlier for earlier, later in pairwise(times)), "nothing was out of order"
    decodes(seen)


def burst_in_place(seen: Evidence) -> None:
    one_run(seen)
    (setup,) = seen.asked("PLAY")
    asked_at = setup.monotonic
    early = [one for one in seen.offered if one.monotonic < asked_at - 0.5]
    stored = {sha256(picture.data) for picture in seen.pictures}
    kept = [one for one in early if one.sha256 in stored]
    assert len(kept) >= seen.spec.fps, "the burst was not recorded"


def decodes(seen: Evidence) -> None:
    """Assert that a stock decoder shows every picture of every segment, in the size that its row claims."""
    for segment, pictures in seen.stored:
        with av.open(io.BytesIO(seen.site.plain(segment))) as container:
            sizes = Counter((frame.width, frame.height) for frame in container.decode(video=0))
        ((size, count),) = sizes.items()
        assert count == len(pictures), segment.path.name
        name = str(segment.path.relative_to(seen.site.vault))
        assert seen.site.rows("select width, height from segment where path = ?", name) == [size]


def plays(seen: Evidence) -> None:
    one_run(seen)
    decodes(seen)


def both_sizes_play(seen: Evidence) -> None:
    whole(seen)
    decodes(seen)
    sizes = seen.site.rows("select distinct width, height from segment where camera = ?", seen.camera)
    assert len(sizes) == 2
    assert seen.runs() >= 3


def true_profile(seen: Evidence) -> None:
    plays(seen)
    segment, pictures = seen.stored[0]
    (init,) = [value for value in Reader().feed(seen.site.plain(segment)) if isinstance(value, Init)]
    sps = next(unit for unit in nal.units_of(pictures[0].data) if unit[0] & 31 == nal.SPS)
    assert init.config[1:4] == sps[1:4]
    assert init.config[1:4] != bytes.fromhex("4D0033")


def capped(seen: Evidence) -> None:
    """Assert that segments are cut without a keyframe, and follow one another without a hole (quirk 16)."""
    verdict = seen.verdict()
    verdict.clean()
    assert not verdict.excused
    in_place(seen)
    lengths = [segment.end_ms - segment.start_ms for segment, _ in seen.stored]
    assert max(lengths) <= SEGMENT_S * 1500 + 1000
    starts = [pictures[0].key for _, pictures in seen.stored]
    assert starts[0]
    assert not all(starts), "no segment had to be cut in the middle of a GOP"
    rows = seen.site.rows(
        "select keyframe_start from segment where camera = ? order by start_ms", seen.camera
    )
    assert [bool(row[0]) for row in rows] == starts


def nothing_but_waiting(seen: Evidence) -> None:
    """Assert that without a keyframe nothing is stored, and that the state says why."""
    assert not seen.site.segments(seen.camera)
    assert seen.health["state"] == "playing"
    assert seen.health["skipped"] > seen.spec.fps * 15
    assert seen.health["frames"] == 0


def packets_lost(seen: Evidence) -> None:
    """Assert that what was lost lies in a gap that says so, to the frame, and that the run goes on (quirk 27)."""
    verdict = seen.verdict(by_stamp=True)
    verdict.clean()
    assert seen.gaps
    assert {gap.cause for gap in seen.gaps} == {"stream_damaged"}
    assert seen.runs() == 1
    assert seen.health["reconnects"] == 0
    assert len(verdict.stored) >= seen.spec.fps * 15


def kept_alive(seen: Evidence) -> None:
    one_run(seen)
    played = seen.asked("PLAY")[0].monotonic
    asked = [one for one in seen.requests if one.monotonic > played and one.method != "TEARDOWN"]
    assert len(asked) >= 4, "a session of 8 s needs more than that in 26"


def kept_alive_by_options(seen: Evidence) -> None:
    kept_alive(seen)
    played = seen.asked("PLAY")[0].monotonic
    assert len([one for one in seen.asked("OPTIONS") if one.monotonic > played]) >= 3


def logged_in(seen: Evidence) -> None:
    """Assert that it plays, which needs the log-in, and that the password is nowhere (no file, no log)."""
    one_run(seen)
    secret = PASSWORD.encode()
    files = [path for path in (*seen.site.state.rglob("*"), *seen.site.run.rglob("*")) if path.is_file()]
    assert files
    assert not [path for path in files if secret in path.read_bytes()]
    assert PASSWORD not in seen.site.log


def said_who_we_are(seen: Evidence) -> None:
    one_run(seen)
    for one in seen.requests:
        assert "User-Agent" in dict(one.headers)


def followed(seen: Evidence) -> None:
    """Assert that the log-in went along to the new address of the same host (quirk 35)."""
    logged_in(seen)
    assert all(one.url.split("/moved")[0] != one.url for one in seen.asked("SETUP"))


def refused(detail: str) -> Callable[[Evidence], None]:
    """Assert that nothing is stored, and that the technician reads the exact reason."""

    def judge(seen: Evidence) -> None:
        assert not seen.site.segments(seen.camera)
        assert seen.health["cause"] == "camera_refused"
        assert seen.health["state"] in ("lost", "connecting")
        assert detail in seen.health["detail"], seen.health["detail"]
        assert PASSWORD not in seen.health["detail"]
        assert seen.facts("camera.lost")[0]["cause"] == "camera_refused"
        assert not seen.asked("SETUP")
        assert len({one.client for one in seen.requests}) >= 3, "a camera that may be mended is asked again"

    return judge


def silent(seen: Evidence) -> None:
    assert not seen.site.segments(seen.camera)
    assert seen.health["cause"] == "camera_silent"
    tries = [one.monotonic for one in seen.asked("PLAY")]
    assert len(tries) >= 3
    for earlier, later in pairwise(tries):
        assert 5 <= later - earlier < 10, "5 s of silence end it, and it is tried again at once"
    assert len(seen.asked("TEARDOWN")) >= len(tries) - 1, (
        "it is told each time, so that it can free its place"
    )


def one_session(seen: Evidence) -> None:
    one_run(seen)
    assert len({one.client for one in seen.requests if one.method == "PLAY"}) == 1


def pushed_audio_is_dropped(seen: Evidence) -> None:
    one_run(seen)
    assert seen.facts("camera.uninvited_data") == [{"camera": seen.camera}]
    for segment, _ in seen.stored:
        assert AUDIO_MARKER not in seen.site.plain(segment)


def stalled(seen: Evidence) -> None:
    """Assert that 8 s without a byte cost what was not sent, and at most 5 s more (quirk 45)."""
    (gap,) = seen.gaps
    assert gap.cause == "camera_silent"
    again_within(seen, gap, well_ms=sent_again_ms(seen))
    assert len(seen.asked("PLAY")) >= 2


def rebooted(seen: Evidence) -> None:
    """Assert that the short GOP before the plug was pulled is there to its last frame (quirk 14)."""
    gap = seen.gaps[0]
    # The last picture's length is known by its successor, which never came.
    assert gap.cause in ("camera_closed", "camera_unreachable")
    stored = {sha256(picture.data) for picture in seen.pictures}
    ends = [
        earlier
        for earlier, later in pairwise(seen.offered)
        if earlier.sessions and later.utc_ms - earlier.utc_ms > 2000
    ]
    assert len(ends) == 1
    assert ends[0].sha256 in stored, "the last picture before the plug was pulled"
    assert not ends[0].keyframe
    well = next(one for one in seen.offered if one.utc_ms > ends[0].utc_ms)
    again_within(seen, gap, well_ms=well.utc_ms)


def sent_again_ms(seen: Evidence) -> int:
    """Return when the camera was well: 8 s after its last frame before the hole that somebody got."""
    begun = [one for one in seen.offered if one.sessions]
    earlier, _ = max(pairwise(begun), key=lambda pair: pair[1].utc_ms - pair[0].utc_ms)
    return earlier.utc_ms + 8000


def again_within(seen: Evidence, gap: GapRow, well_ms: int) -> None:
    later = [picture.utc_ms for picture in seen.pictures if picture.utc_ms >= well_ms]
    assert later, "never recorded again"
    took_s = (min(later) - well_ms) / 1000
    print(f"{seen.camera}: {seen.spec.quirks}: recording again {took_s:.2f} s after the camera was well")
    assert took_s <= 5.0 * 2, "5 s is what is asked for; twice that for a busy machine"
    verdict = seen.verdict()
    verdict.clean()
    assert {cause for _, cause in verdict.excused} <= {gap.cause, *(one.cause for one in seen.gaps)}


# --- the cameras -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One camera: what it plays, how it is configured, and what must come of it."""

    quirks: str
    judge: Callable[[Evidence], None]
    options: dict[str, object] = field(default_factory=dict)
    log_in: bool = False
    password: str = PASSWORD
    spec: dict[str, Any] = field(default_factory=dict)


UDP: dict[str, object] = {"transport": "udp"}
BIG = {"bitrate": 2_000_000}

CASES = (
    Case("", one_run),
    Case("", one_run, UDP),
    # time stamps
    Case("bad_first_timestamp", repaired("first_timestamp"), spec={"gop": 1}),
    Case("bad_first_timestamp=-40000", one_run),
    Case("bursts=5", one_run),
    Case("equal_timestamps", repaired("timestamp")),
    Case("backward_timestamp", one_run),
    Case("timestamp_jump=3600@5", new_run),
    Case("timestamp_jump=-3600@5", new_run),
    Case("b_frames", reordered, spec={"prepared": False}),
    Case("b_frames=3", reordered, spec={"prepared": False, "codec": "h265"}),
    Case("clock_x10", wrong_rate(3500, 4)),
    Case("clock_x10=0.1", wrong_rate(3000, 10)),
    Case("last_delta_huge=30000@5", jumping),
    Case("no_sender_reports", one_run),
    Case("clock_drift=300", one_run),
    Case("clock_drift=-300", one_run),
    Case("clock_step=60@5", one_run),
    Case("burst_on_connect=3", burst_in_place),
    # pictures
    Case("sps_change@6", both_sizes_play),
    Case("sps_change@7", both_sizes_play, spec={"codec": "h265"}),
    Case("long_gop=12, burst_on_connect=12", capped),
    Case("no_keyframes, burst_on_connect=600", capped),
    Case("no_keyframes", nothing_but_waiting),
    Case("parameter_sets_in_band_only", plays),
    Case("parameter_sets_in_band_only", plays, spec={"codec": "h265"}),
    Case("parameter_sets_in_sdp_only", plays),
    Case("parameter_sets_in_sdp_only", plays, spec={"codec": "h265"}),
    Case("parameter_sets_in_sdp_only", plays, spec={"codec": "mpeg4"}),
    Case("wrong_profile_in_sdp", true_profile),
    Case("broken_sprop", plays),
    Case("broken_sprop", plays, spec={"codec": "h265"}),
    Case("frozen_picture@8", one_run),
    Case("grey_filler@8", one_run),
    # packets
    Case("marker_on_sps", one_run),
    Case("marker_on_sps", one_run, spec={"codec": "h265"}),
    Case("no_marker", one_run),
    Case("no_marker", one_run, spec={"codec": "h265"}),
    Case("garbage_between_frames", one_run),
    Case("stale_session_packets", one_run),
    Case("stale_session_packets", one_run, UDP),
    Case("start_codes_in_payload", one_run),
    Case("start_codes_in_payload", one_run, spec={"codec": "h265"}),
    Case("udp_loss=100", packets_lost, UDP, spec={"bitrate": 400_000}),
    Case("udp_reorder", one_run, UDP, spec={"bitrate": 400_000}),
    Case("udp_duplicates", one_run, UDP, spec={"bitrate": 400_000}),
    Case("oversized_packets", one_run, spec=BIG),
    Case("oversized_packets", one_run, UDP, spec=BIG),
    # protocol
    Case("keepalive_options_only=8", kept_alive_by_options),
    Case("keepalive_options_only=8", kept_alive_by_options, UDP),
    Case("ignores_get_parameter, session_timeout=8", kept_alive),
    Case("refuses_get_parameter, session_timeout=8", kept_alive_by_options),
    Case("session_timeout=8", kept_alive),
    Case("basic", logged_in, log_in=True),
    Case("digest_md5", logged_in, log_in=True),
    Case("digest_sha256", logged_in, log_in=True),
    Case("digest_no_qop", logged_in, log_in=True),
    Case("digest_both", logged_in, log_in=True),
    Case("stale_nonce, session_timeout=8", logged_in, log_in=True),
    Case("basic", refused("Basic"), {"allow_basic_auth": False}, log_in=True),
    Case("digest_md5", refused("wrong_password"), log_in=True, password="not it"),
    Case("needs_user_agent", said_who_we_are),
    Case("redirect_same_host", followed, log_in=True),
    Case("redirect_other_host", refused("redirect_refused")),
    Case("setup_then_silence", silent),
    Case("one_session_only", one_session),
    Case("audio_pushed", pushed_audio_is_dropped),
    Case("foreign_channels", one_run),
    Case("absolute_control", one_run),
    Case("stall=8@12", stalled),
    Case("reboot=3@12.45", rebooted),
)


def spec_of(number: int, case: Case) -> CameraSpec:
    values: dict[str, Any] = {
        "width": 320,
        "height": 240,
        "fps": 10.0,
        "gop": 10,
        "prepared": True,
        "quirks": case.quirks,
    }
    if case.log_in:
        values |= {"username": USER, "password": PASSWORD}
    return CameraSpec(number, **(values | case.spec))


@dataclass
class Run:
    """All cameras, recorded."""

    site: Site
    seen: list[Evidence]
    workers: set[int]
    lost: int


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder: Path = tmp_path_factory.mktemp("quirks")
    specs = [spec_of(number, case) for number, case in enumerate(CASES)]
    ids = [f"cam{number:02d}" for number in range(len(CASES))]
    with CameraProcess(specs, folder / "ledger") as cameras:
        site = Site(
            folder / "site",
            {camera: cameras.urls[number] for number, camera in enumerate(ids)},
            segment_s=SEGMENT_S,
            camera_options={camera: case.options for camera, case in zip(ids, CASES, strict=True)},
            secrets={
                camera: (USER, case.password) for camera, case in zip(ids, CASES, strict=True) if case.log_in
            },
        )
        time.sleep(3)  # so that there is something for burst_on_connect to begin with
        with site, Held() as held:
            site.wait_recording(ids[0])
            time.sleep(RECORD_S)
            health = site.health()
            workers = set(site.workers().values())
            assert site.stop(60) == 0, site.log[-3000:]
        wait_for(
            "the cameras to see it go",
            lambda: not any(one["sessions"] for one in cameras.command("status")["cameras"]),
        )
        cameras.command("flush")
    seen = [
        Evidence(
            site,
            spec,
            camera,
            read_frames(folder / "ledger" / f"{spec.name}.frames.jsonl"),
            read_requests(folder / "ledger" / f"{spec.name}.requests.jsonl"),
            health["cameras"][camera],
            site.gaps(camera),
            held.most_ms,
        )
        for camera, spec in zip(ids, specs, strict=True)
    ]
    return Run(site, seen, workers, health["workers_lost"])


def title(number: int) -> str:
    case = CASES[number]
    more = [str(value) for value in (*case.options.values(), case.spec.get("codec", ""))]
    return " ".join([case.quirks or "healthy", *filter(None, more)])


@pytest.mark.parametrize("number", range(len(CASES)), ids=title)
def test_quirk(run: Run, number: int) -> None:
    seen = run.seen[number]
    print(f"{title(number)}: {seen.health['state']}, {seen.runs()} runs, repairs {seen.health['repairs']}")
    CASES[number].judge(seen)


def test_no_camera_cost_the_worker_anything(run: Run) -> None:
    assert run.lost == 0
    assert len(run.workers) <= 2, "a camera was given a worker of its own"
    assert "Traceback" not in run.site.log, run.site.log[run.site.log.index("Traceback") :][:3000]
    assert "session_error" not in run.site.log


def test_sound_was_never_asked_for(run: Run) -> None:
    for seen in run.seen:
        for setup in seen.asked("SETUP"):
            assert "trackID=0" in setup.url, f"{seen.camera}: {setup.url}"


def test_every_quirk_has_a_case() -> None:
    """A quirk that is added to the virtual camera without a promise here fails."""
    played = {name for case in CASES for name in parse(case.quirks).played}
    assert played == set(KINDS), f"without a case: {sorted(set(KINDS) - played)}"
