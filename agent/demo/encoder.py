"""Encode test pictures into access units that carry their stamp.

Two ways: `LiveEncoder` draws and encodes every frame; `PreparedEncoder` encodes one GOP at the start, and
afterwards only new stamps are written beside it, so that one core can play a hundred cameras.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, Protocol

import av
import cv2
import numpy as np

from agent.demo.stamp import Stamp, sei, user_data
from agent.demo.units import join_sample, split_unit

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

    from agent.demo.pictures import Painter
    from agent.demo.stamp import Image

LIBRARIES = {"h264": "libx264", "h265": "libx265", "mpeg4": "mpeg4"}
CODECS = (*LIBRARIES, "mjpeg")
Show = Literal["scene", "frozen", "grey"]
JPEG_QUALITY = 70
FILLER_HEADER = {"h264": b"\x0c", "h265": b"\x4c\x01"}
LEAST_FILLER = 64  # smaller ones would only cost packets


@dataclass(frozen=True, slots=True)
class Picture:
    """One encoded picture without parameter sets and without stamp.

    frame     number in display order; pictures come in decoding order
    units     NAL units without framing (h264, h265), or the one coded picture (mpeg4, mjpeg)
    """

    frame: int
    utc_ms: int
    keyframe: bool
    units: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Coding:
    """How to encode.

    gop         frames from keyframe to keyframe; 0 means one at the start and never again
    b_frames    pictures between references that are coded out of order
    bitrate     bits per second, reached by filler that costs no thought; 0 leaves the codec's own size
    threads     for the encoder; 1 is cheapest, more are for large pictures
    """

    codec: str
    width: int
    height: int
    fps: float
    gop: int
    b_frames: int = 0
    bitrate: int = 0
    threads: int = 1


class Encoder(Protocol):
    """What a camera encodes with."""

    parameter_sets: tuple[bytes, ...]

    def encode(self, frame: int, utc_ms: int, motion_s: float) -> list[Picture]:
        """Draw and encode one frame; with B-frames, none or several pictures come out."""
        ...

    def flush(self) -> list[Picture]:
        """Hand out what B-frames still hold back; nothing is encoded afterwards."""
        ...

    def show(self, what: Show) -> None:
        """Choose what the pictures show from now on; stamps in the bitstream go on either way."""
        ...


class LiveEncoder:
    """Draws and encodes every frame."""

    def __init__(self, painter: Painter, coding: Coding) -> None:
        self._painter = painter
        self._coding = coding
        self._times: dict[int, int] = {}
        self._still: Image | None = None
        self._freeze = False
        self._context = None if coding.codec == "mjpeg" else _open(coding)
        self.parameter_sets: tuple[bytes, ...] = ()
        if coding.codec != "mjpeg":
            self._learn_parameter_sets()

    def encode(self, frame: int, utc_ms: int, motion_s: float) -> list[Picture]:
        """Draw and encode one frame; with B-frames, none or several pictures come out."""
        image = self._still
        if image is None:
            image = self._painter.paint(frame, utc_ms, motion_s)
        if self._freeze:
            self._still, self._freeze = image, False
        if self._context is None:
            return [Picture(frame, utc_ms, True, (encode_jpeg(image),))]
        self._times[frame] = utc_ms
        return self._take(self._context, _to_frame(image, frame))

    def flush(self) -> list[Picture]:
        """Hand out what B-frames still hold back; nothing is encoded afterwards."""
        return [] if self._context is None else self._take(self._context, None)

    def show(self, what: Show) -> None:
        """Show the scene, its next picture for ever, or an even grey without bar code."""
        self._freeze = what == "frozen"
        self._still = None
        if what == "grey":
            self._still = np.full((self._coding.height, self._coding.width, 3), 128, np.uint8)

    def _take(self, context: VideoCodecContext, picture: av.VideoFrame | None) -> list[Picture]:
        pictures = []
        for packet in context.encode(picture):
            if packet.pts is None:
                continue
            _, units = split_unit(self._coding.codec, bytes(packet))
            pictures.append(
                Picture(packet.pts, self._times.pop(packet.pts, 0), packet.is_keyframe, tuple(units))
            )
        return pictures

    def _learn_parameter_sets(self) -> None:
        """Encode one picture with a second encoder of the same settings: SDP wants them before any frame."""
        context = _open(self._coding)
        image = self._painter.paint(0, 0, 0.0)
        packets = [*context.encode(_to_frame(image, 0)), *context.encode(None)]
        for packet in packets:
            sets, _ = split_unit(self._coding.codec, bytes(packet))
            if sets:
                self.parameter_sets = tuple(sets)
                return
        raise RuntimeError(f"the {self._coding.codec} encoder gave no parameter sets")


class PreparedEncoder:
    """Plays one GOP, encoded at the start, over and over.

    The stamp in the bitstream is true for each frame. The picture, its text and its bar code are those of
    the loop: they repeat.
    """

    def __init__(self, painter: Painter, coding: Coding, utc_ms: int = 0) -> None:
        if coding.b_frames:
            raise ValueError("a prepared GOP has no B-frames")
        length = max(1, coding.gop or round(coding.fps))
        live = LiveEncoder(painter, Coding(coding.codec, coding.width, coding.height, coding.fps, length))
        # Two GOPs, and the second is kept: an encoder that varies idr_pic_id then differs from its own first.
        pictures: list[Picture] = []
        for frame in range(2 * length):
            step_ms = round(frame * 1000 / coding.fps)
            pictures += live.encode(frame, utc_ms + step_ms, step_ms / 1000)
        self._loop = pictures[-length:]
        if not self._loop[0].keyframe:
            raise RuntimeError(f"the {coding.codec} encoder did not keep to a GOP of {length}")
        self._stuck = False
        self._endless = coding.gop == 0
        self._at = 0
        self.parameter_sets = live.parameter_sets

    def encode(self, frame: int, utc_ms: int, motion_s: float) -> list[Picture]:  # noqa: ARG002 - nothing is drawn
        """Hand out the next picture of the loop under a new number and time."""
        if self._stuck:
            return [Picture(frame, utc_ms, True, self._loop[0].units)]
        picture = self._loop[self._at]
        self._at += 1
        if self._at == len(self._loop):
            # Without keyframes the loop leaves its first one out: wrong pictures, right syntax.
            self._at = 1 if self._endless and len(self._loop) > 1 else 0
        return [Picture(frame, utc_ms, picture.keyframe, picture.units)]

    def flush(self) -> list[Picture]:
        """Hand out nothing: nothing is held back."""
        return []

    def show(self, what: Show) -> None:
        """Play the loop, or for "frozen" and "grey" its first picture only: nothing else was prepared."""
        self._stuck = what != "scene"
        self._at = 0


class Composer:
    """Puts samples together: parameter sets, stamp, picture, filler up to the wanted bitrate."""

    def __init__(self, codec: str, number: int, *, fps: float, bitrate: int = 0) -> None:
        self._codec = codec
        self._number = number
        self._frame_bytes = bitrate / 8 / fps
        self._credit = 0.0

    def compose(self, picture: Picture, parameter_sets: tuple[bytes, ...]) -> bytes:
        """Return the MP4 sample: NAL units behind 4-byte lengths, or the raw picture.

        parameter_sets  to put in front; the caller knows whether they belong in band
        """
        stamp = Stamp(self._number, picture.frame, picture.utc_ms)
        if self._codec == "mjpeg":
            data = picture.units[0]
            room = self._filler_room(len(data))
            # Fill bytes in front of a marker: ISO 10918-1, B.1.1.2.
            return data[:-2] + b"\xff" * room + data[-2:] if room else data
        if self._codec == "mpeg4":
            data = b"".join(parameter_sets) + user_data(stamp)
            room = self._filler_room(len(data) + len(picture.units[0]))
            # Padding inside the user data: any byte but zero is allowed there.
            return data + b"\xff" * room + picture.units[0]
        units = [*parameter_sets, sei(self._codec, stamp), *picture.units]
        room = self._filler_room(sum(map(len, units)) + 4 * len(units))
        if room:
            units.append(FILLER_HEADER[self._codec] + b"\xff" * room + b"\x80")
        return join_sample(units)

    def _filler_room(self, size: int) -> int:
        """Say how many bytes are missing; a keyframe's surplus is paid back by the frames after it."""
        if not self._frame_bytes:
            return 0
        self._credit += self._frame_bytes - size
        if self._credit < LEAST_FILLER:
            self._credit = max(self._credit, -20 * self._frame_bytes)
            return 0
        room = int(self._credit)
        self._credit -= room
        return room


def encode_jpeg(image: Image, quality: int = JPEG_QUALITY) -> bytes:
    """Encode a baseline 4:2:0 JPEG with the standard Huffman tables, as RFC 2435 needs."""
    done, data = cv2.imencode(
        ".jpg",
        image,
        [
            cv2.IMWRITE_JPEG_QUALITY,
            quality,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
        ],
    )
    if not done:
        raise RuntimeError("the JPEG encoder refused the picture")
    return data.tobytes()


def _to_frame(image: Image, pts: int) -> av.VideoFrame:
    planes = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8)
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    frame.pts = pts
    return frame


def _open(coding: Coding) -> VideoCodecContext:
    context = av.CodecContext.create(LIBRARIES[coding.codec], "w")
    assert isinstance(context, av.VideoCodecContext)
    rate = _fraction(coding.fps)
    context.width, context.height, context.pix_fmt = coding.width, coding.height, "yuv420p"
    context.framerate, context.time_base = rate, 1 / rate
    gop = coding.gop or 1_000_000
    context.gop_size = gop if coding.codec != "mpeg4" else min(gop, 600)
    context.max_b_frames = coding.b_frames
    context.thread_count = coding.threads
    if coding.codec == "mpeg4":
        context.bit_rate = round(coding.width * coding.height * coding.fps * 0.12)
    elif coding.codec == "h264":
        extra = f"keyint={gop}:min-keyint=1:scenecut=0:open-gop=0"
        tune = {} if coding.b_frames else {"tune": "zerolatency"}
        context.options = {
            "preset": "ultrafast",
            "crf": "27",
            "x264-params": extra,
            "forced-idr": "1",
            **tune,
        }
        if coding.b_frames:
            context.options = {**context.options, "bf": str(coding.b_frames), "b_strategy": "0"}
    else:
        pools = "none" if coding.threads == 1 else str(coding.threads)
        # The look-ahead must be longer than a row of B-frames, or the encoder refuses to open.
        lookahead = coding.b_frames + 1 if coding.b_frames else 0
        extra = (
            f"keyint={gop}:min-keyint=1:scenecut=0:open-gop=0:bframes={coding.b_frames}:b-adapt=0:log-level=none"
            f":pools={pools}:frame-threads=1:rc-lookahead={lookahead}:repeat-headers=1:info=0"
        )
        tune = {} if coding.b_frames else {"tune": "zerolatency"}
        context.options = {
            "preset": "ultrafast",
            "crf": "30",
            "x265-params": extra,
            "forced-idr": "1",
            **tune,
        }
    return context


def _fraction(fps: float) -> Fraction:
    return Fraction(fps).limit_denominator(1001)
