"""What a camera's stream says about the camera, without decoding a picture. Pure.

Two parts. `Gauge` is in the worker and is shown every picture: its size, its place on the timeline, whether it is a
keyframe. `Watch` is in the parent and is shown every heartbeat: it names what is wrong (`agent/health`).

How a picture that stands still is found (fault D3). An encoder that is given the same picture again writes the same
slices again, as soon as its rate control has settled; only their headers differ, and what stands beside them (SEI with
a clock). H.264 makes two keyframes in a row differ by idr_pic_id, which may shift every bit behind it, and rate control
may take turns between two quantisers: so a keyframe of a still picture has one of two forms, four at most. A living
sensor hardly ever repeats itself: of a dark, smoothed, heavily compressed scene nearly every picture between keyframes
is the smallest that can be, for minutes, but keyframes are new, or of many forms where noise is below the last bit.
So keyframes decide, and the pictures between them may only object: where most of them are more than skipped blocks,
something moved. Measured with x264, x265, MPEG-4 and MJPEG; tests/peers/test_frozen.py measures it again.

Not found: a frozen picture into which the camera still writes a running clock, and one whose encoder never settles.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from agent.health import Raised
from agent.model import GapCause

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

WINDOW_S = 10
FLOOR_FPS_TENTHS = 150  # the least that is asked for: 15.0 pictures a second
FLOOR_LONG, FLOOR_SHORT = 320, 240  # pixels of the longer and of the shorter side
GOOD_WINDOWS = 2  # until a rate that was too low is believed again
RARE_S = 15  # a break costs all up to the next keyframe: a quarter of a minute of it is too much
HURT_PERMILLE = 10  # one picture in a hundred with something missing
FROZEN_S = 20.0  # with a keyframe every ten seconds it is known after 50: within the minute
KEYFRAMES_KEPT = 16
FORMS = (
    (3, 2),
    (8, 4),
)  # so many repeats in a row, of so many forms at most: the more forms, the more repeats
SLICE_HEADER = 32  # bytes; hashed from there. A header is 5 to 20, and longer ones just tell less
MOST_SLICES = 256
_FIRST_OTHER = {"h264": 6, "h265": 32}  # types below are slices (H.264 table 7-1, H.265 table 7-1)
SAMPLE_S = 1.0  # where every picture is a keyframe one a second is looked at
SKIPPED_AT_LEAST = 64  # bytes of slice headers, delimiters and SEI
MACROBLOCKS_A_BYTE = (
    8 * 256
)  # pixels: a skipped macroblock costs a bit at most (MPEG-4; the others take less)
ABSENT_S = 10.0
SILENT_S = (
    5.0  # a session of which nothing came for so long was ended for that: it need not be waited for twice
)

_NAMED = {
    str(GapCause.CAMERA_REFUSED): "camera.refused",
    str(GapCause.CAMERA_SILENT): "camera.silent",
}


class Gauge:
    """Measures one camera's stream over windows of ten seconds of its own time."""

    __slots__ = (
        "_begin",
        "_codec",
        "_good",
        "_height",
        "_hurt",
        "_key_bytes",
        "_key_ticks",
        "_keys",
        "_last",
        "_looked",
        "_moving",
        "_pictures",
        "_rate",
        "_repeats",
        "_same_since",
        "_seen",
        "_skipped",
        "_slow",
        "_width",
        "fps_tenths",
        "hurt_permille",
        "keyframe_ms",
    )

    def __init__(self) -> None:
        """Begin with nothing measured: numbers are None until a window is full."""
        self.fps_tenths: int | None = None
        self.hurt_permille = 0
        self.keyframe_ms: int | None = None
        self._slow = False
        self._good = 0
        self.restart("", 1, 0, 0)

    def restart(self, codec: str, rate_hz: int, width: int, height: int) -> None:
        """Begin a run: time has no connection to what was before, nor need the picture.

        codec    h264 and h265 come as NAL units behind 4-byte lengths, others as they are
        rate_hz  ticks a second of the times that follow; width, height in pixels, 0 when unknown
        """
        self._codec = codec
        self._rate = rate_hz
        self._width, self._height = width, height
        self._skipped = SKIPPED_AT_LEAST + width * height // MACROBLOCKS_A_BYTE
        self._begin: int | None = None
        self._last = 0
        self._pictures = self._hurt = 0
        self._key_ticks: int | None = None
        self._keys: deque[int] = deque(maxlen=KEYFRAMES_KEPT)
        self._key_bytes = -1
        self._repeats = 0
        self._looked: int | None = None
        self._seen = self._moving = 0
        self._same_since: int | None = None

    def picture(self, data: bytes, ticks: int, keyframe: bool, hurt: bool) -> None:
        """Take one picture. ticks: its decode time; hurt: something of it, or before it, is missing."""
        size = len(data)
        begin = self._begin
        self._last = ticks
        if begin is None:
            self._begin = begin = ticks
        else:
            self._pictures += 1
            if hurt:
                self._hurt += 1
        if keyframe:
            self._keyframe(data, size, ticks)
        else:
            self._seen += 1
            if size > self._skipped:
                self._moving += 1
        if ticks - begin >= WINDOW_S * self._rate:
            self._close_window(ticks - begin)

    def _close_window(self, ticks: int) -> None:
        """Make numbers of a full window. Its last picture is the next one's first: intervals are counted."""
        self.fps_tenths = (10 * self._pictures * self._rate + ticks // 2) // ticks
        self.hurt_permille = 1000 * self._hurt // self._pictures
        if self.fps_tenths < FLOOR_FPS_TENTHS:
            self._slow, self._good = True, 0
        else:
            self._good += 1
            self._slow = self._slow and self._good < GOOD_WINDOWS
        self._begin = self._last
        self._pictures = self._hurt = 0

    def _keyframe(self, data: bytes, size: int, ticks: int) -> None:
        if self._key_ticks is not None:
            self.keyframe_ms = (ticks - self._key_ticks) * 1000 // self._rate
        self._key_ticks = ticks
        if self._looked is not None and ticks - self._looked < SAMPLE_S * self._rate:
            self._seen += 1
            if size != self._key_bytes:
                self._moving += 1
            return
        self._look(_digest(self._codec, data), size, ticks)

    def _look(self, digest: int, size: int, ticks: int) -> None:
        """Compare a keyframe with those before it."""
        if 2 * self._moving > self._seen:
            self._keys.clear()
        if digest not in self._keys:
            self._repeats, self._same_since = 0, None
        else:
            self._repeats += 1
            self._same_since = ticks if self._same_since is None else self._same_since
        self._keys.append(digest)
        self._key_bytes = size
        self._looked = ticks
        self._seen = self._moving = 0

    def numbers(self) -> dict[str, int | None]:
        """Return what the health file shows; None until it is known."""
        return {
            "fps_tenths": self.fps_tenths,
            "keyframe_ms": self.keyframe_ms,
            "hurt_permille": self.hurt_permille,
        }

    def conditions(self) -> dict[str, str]:
        """Return what is wrong with the stream: code and detail."""
        found: dict[str, str] = {}
        below = []
        long, short = max(self._width, self._height), min(self._width, self._height)
        if long and (long < FLOOR_LONG or short < FLOOR_SHORT):
            below.append(f"{self._width}x{self._height}")
        if self._slow and self.fps_tenths is not None:
            below.append(f"{self.fps_tenths // 10}.{self.fps_tenths % 10}/s")
        if below:
            found["camera.below_floor"] = " ".join(below)
        since_s = 0 if self._key_ticks is None else (self._last - self._key_ticks) // self._rate
        rare_s = max(since_s, (self.keyframe_ms or 0) // 1000)
        if rare_s >= RARE_S:
            found["camera.keyframes_rare"] = f"{rare_s} s"
        if self.hurt_permille >= HURT_PERMILLE:
            found["camera.damaged_stream"] = f"{self.hurt_permille // 10}.{self.hurt_permille % 10} %"
        if self._stands_still():
            found["camera.frozen"] = ""
        return found

    def _stands_still(self) -> bool:
        if self._same_since is None or self._last - self._same_since < FROZEN_S * self._rate:
            return False
        forms = len(set([*self._keys][-self._repeats - 1 :]))
        return any(self._repeats >= repeats and forms <= most for repeats, most in FORMS)


def _digest(codec: str, data: bytes) -> int:
    """Hash what of a keyframe is picture: its slices without their headers, or all but the first quarter."""
    view = memoryview(data)
    other = _FIRST_OTHER.get(codec)
    if other is None:
        return hash(view[len(data) // 4 :])
    found: list[int] = []
    at = 0
    while at + 4 < len(data) and len(found) < MOST_SLICES:
        end = at + 4 + int.from_bytes(view[at : at + 4])
        kind = data[at + 4] & 31 if codec == "h264" else data[at + 4] >> 1 & 63
        if kind < other:
            found.append(hash(view[at + 4 + SLICE_HEADER : end]))
        at = end
    return hash(tuple(found))


class Watch:
    """Makes conditions of what the workers say of their cameras."""

    def __init__(self) -> None:
        """Begin with no camera."""
        self._seen_s: dict[str, float] = {}

    def raised(
        self, states: Mapping[str, Mapping[str, Any]], plaintext: Collection[str], now_s: float
    ) -> list[Raised]:
        """Return what is wrong, camera by camera.

        states     of every configured camera, as in the health file; picture_ms is for how long none has come
        plaintext  cameras whose pictures come without encryption
        now_s      monotonic; a camera is given ABSENT_S from when it is first asked about
        """
        self._seen_s = {camera: self._seen_s.get(camera, now_s) for camera in states}
        found: list[Raised] = []
        for camera, state in states.items():
            if state["state"] == "recording":
                self._seen_s[camera] = now_s - (state.get("picture_ms") or 0) / 1000
                found += [
                    Raised(code, camera, detail) for code, detail in state.get("conditions", {}).items()
                ]
            elif state["state"] == "resting":
                self._seen_s[camera] = now_s - (state.get("picture_ms") or 0) / 1000
            else:
                found += self._absent(camera, state, now_s - self._seen_s[camera])
            if state.get("audio_offered"):
                found.append(Raised("camera.audio_offered", camera, " ".join(state["audio_offered"])))
            if camera in plaintext:
                found.append(Raised("camera.plaintext_leg", camera))
            if state.get("hours_open"):
                found.append(Raised("camera.hours_open", camera))
            if state.get("restricted"):
                found.append(Raised("camera.poisoned", camera))
            if state.get("identity"):
                found.append(Raised("camera.identity_changed", camera, " ".join(state["identity"])))
        return found

    @staticmethod
    def _absent(camera: str, state: Mapping[str, Any], absent_s: float) -> list[Raised]:
        cause = state.get("cause", "")
        code = _NAMED.get(cause, "camera.unreachable")
        wait_s = SILENT_S if code == "camera.silent" else ABSENT_S
        picture_ms = state.get("picture_ms")
        if state["state"] == "playing" and picture_ms is not None and picture_ms < SILENT_S * 1000:
            wait_s = (
                RARE_S  # pictures come, and the next keyframe may be that far: so it is each time hours begin
            )
        if absent_s < wait_s:
            return []
        return [Raised(code, camera, cause or "no_keyframe")]
