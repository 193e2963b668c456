"""The part of a virtual camera that makes frames: painter, encoders, stamps. No sockets, no clock."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from agent.demo.encoder import Coding, Composer, Encoder, LiveEncoder, Picture, PreparedEncoder, Show
from agent.demo.pictures import Painter, Scene

if TYPE_CHECKING:
    from agent.demo.quirks import Quirks
    from agent.demo.spec import CameraSpec


@dataclass(frozen=True, slots=True)
class Sample:
    """One access unit, ready to be sent.

    media_s   seconds on the camera's monotonic clock since it started, when the picture was taken
    data      NAL units behind 4-byte lengths (h264, h265), or the raw picture
    """

    frame: int
    utc_ms: int
    media_s: float
    keyframe: bool
    data: bytes
    sha256: str


class Studio:
    """Makes the frames of one camera.

    utc_ms          when it begins, for pictures that are prepared
    parameter_sets  those that the SDP names: of the size that the specification gives
    """

    def __init__(self, spec: CameraSpec, quirks: Quirks, utc_ms: int = 0) -> None:
        self._spec = spec
        self._utc_ms = utc_ms
        self._quirks = quirks
        self._composer = Composer(spec.codec, spec.number, fps=spec.fps, bitrate=spec.bitrate)
        self._in_band = "parameter_sets_in_sdp_only" not in quirks
        self._small = False
        self._next_change_s = quirks.after("sps_change")
        self._shown: Show = "scene"
        self._asked: Show | None = None
        self._media: dict[int, float] = {}
        self._encoder = self._new_encoder()
        self.parameter_sets = self._encoder.parameter_sets

    def show(self, what: Show) -> None:
        """Show the scene, its next picture for ever, or grey; overrules the quirks."""
        self._asked = what

    def restart(self) -> None:
        """Begin anew with a keyframe, as after a reboot."""
        self._small = False
        self._media.clear()
        self._encoder = self._new_encoder()
        self._shown = "scene"

    def make(self, frame: int, utc_ms: int, media_s: float) -> list[Sample]:
        """Make one frame; with B-frames, none or several samples come out, in decoding order."""
        pictures: list[Picture] = []
        sets = self._encoder.parameter_sets
        if media_s >= self._next_change_s:
            pictures += self._encoder.flush()
            self._small = not self._small
            self._next_change_s = media_s + max(self._quirks.after("sps_change"), 1 / self._spec.fps)
            self._encoder = self._new_encoder()
            self._shown = "scene"
        samples = [self._compose(picture, sets) for picture in pictures]
        self._direct(media_s)
        self._media[frame] = media_s
        pictures = self._encoder.encode(frame, utc_ms, utc_ms / 1000)
        return samples + [self._compose(picture, self._encoder.parameter_sets) for picture in pictures]

    def _direct(self, media_s: float) -> None:
        """Choose what is shown now."""
        what: Show = "scene"
        if media_s >= self._quirks.after("frozen_picture"):
            what = "frozen"
        if media_s >= self._quirks.after("grey_filler"):
            what = "grey"
        what = self._asked or what
        if what != self._shown:
            self._encoder.show(what)
            self._shown = what

    def _compose(self, picture: Picture, sets: tuple[bytes, ...]) -> Sample:
        in_band = picture.keyframe and self._in_band
        data = self._composer.compose(picture, sets if in_band else ())
        media_s = self._media.pop(picture.frame, 0.0)
        digest = hashlib.sha256(data).hexdigest()
        return Sample(picture.frame, picture.utc_ms, media_s, picture.keyframe, data, digest)

    def _new_encoder(self) -> Encoder:
        spec, quirks = self._spec, self._quirks
        width, height = (
            (_smaller(spec.width), _smaller(spec.height)) if self._small else (spec.width, spec.height)
        )
        gop = spec.gop
        if "long_gop" in quirks:
            gop = max(1, round(quirks.value("long_gop") * spec.fps))
        if "no_keyframes" in quirks:
            gop = 0
        coding = Coding(
            spec.codec, width, height, spec.fps, gop, int(quirks.value("b_frames")), threads=spec.threads
        )
        scene = cast("Scene", spec.scene) if spec.scene else None
        painter = Painter(spec.number, spec.name, width, height, scene)
        return (
            PreparedEncoder(painter, coding, self._utc_ms) if spec.prepared else LiveEncoder(painter, coding)
        )


def _smaller(side: int) -> int:
    """Return three quarters of a side, a multiple of 16."""
    return max(64, side * 3 // 4 // 16 * 16)
