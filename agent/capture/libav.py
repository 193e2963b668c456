"""Sources that need libav: analogue boards by V4L2, MPEG-TS over HTTP or UDP, files. Edge and shell of one process.

One process carries one such source, since libav can hang or crash in ways that nothing inside the process can
mend. A thread reads; the main thread keeps the time: if the reader is silent too long the process ends
itself, and the parent starts another. Encoded video passes through untouched. Raw pictures of a capture board
are encoded to H.264, with the board's own encoder where libav knows one. Streams other than the one video
stream are discarded by the demuxer.
"""

from __future__ import annotations

import base64
import logging
import queue
import threading
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import av.error
import av.logging
from av.stream import Discard

from agent.capture.camera import ASLEEP_S
from agent.capture.identity import Likeness
from agent.capture.loop import BEAT_S, TURN_S
from agent.capture.pace import Pace
from agent.capture.shown import STEADY, camera_state, storage_state
from agent.model import GapCause
from agent.rtsp.media import AccessUnit, VideoFormat
from agent.rtsp.units import annexb_to_sample, format_from_units, split_sample, split_start_codes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.capture.camera import CameraRecorder
    from agent.clock import Clock
    from agent.ports import Recorder

CLOCK_HZ = 90_000
SILENT_S = 5.0
OPEN_S = 8.0
QUEUE_PICTURES = 256
RETRY_S = 2.0
TRANSPORT_STREAM = "mpegts"
"""What a camera encoded itself. A board's pictures are encoded here, and would say nothing of who took them."""
CODECS = {"h264": "h264", "hevc": "h265", "mpeg4": "mpeg4", "mjpeg": "mjpeg"}
# Boards first: the Raspberry Pi and most ARM boards, Rockchip, then Intel; software last.
ENCODERS = ("h264_v4l2m2m", "h264_rkmpp", "h264_qsv", "libx264")

CAMERA_ERRORS = (av.error.FFmpegError, OSError, ValueError, EOFError)

log = logging.getLogger("pasu.record")


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """Where pictures come from: a URL for libav, its input format if it must be said, and options for it.

    paced  true for a file: it is played at the speed of its own timestamps
    """

    url: str
    container: str | None
    options: dict[str, str]
    paced: bool


def plan_source(
    url: str,
    *,
    width: int = 0,
    height: int = 0,
    fps: int = 0,
    login: tuple[str, str] | None = None,
    allow_basic: bool,
) -> SourcePlan:
    """Turn a configured URL (file:, v4l2:, http(s)://, udp://) into what libav is told.

    width,height,fps  to ask of a capture board; 0 leaves it to the board
    login             user and password for HTTP; they travel as a header, never in the URL, and no redirect is
                      followed with them: libav would send them to any host
    allow_basic       whether they may go out unhashed: libav knows no other way, so else they do not
    """
    scheme, _, rest = url.partition(":")
    if scheme == "v4l2":
        options = {"framerate": str(fps)} if fps else {}
        if width and height:
            options["video_size"] = f"{width}x{height}"
        return SourcePlan(rest, "v4l2", options, paced=False)
    if scheme == "file":
        return SourcePlan(rest.removeprefix("//"), None, {}, paced=True)
    options = (
        {"rw_timeout": "4000000", "timeout": "4000000"}
        if scheme.startswith("http")
        else {"fifo_size": "4096"}
    )
    if login is not None and allow_basic and scheme.startswith("http"):
        token = base64.b64encode(":".join(login).encode()).decode()
        options |= {"headers": f"Authorization: Basic {token}\r\n", "max_redirects": "0"}
    # Never guessed: what comes could be a playlist, which names other hosts and files.
    return SourcePlan(url, TRANSPORT_STREAM, options, paced=False)


class LibavWorker:
    """The main thread's side: takes pictures from the reader, flushes, reports, and ends what hangs."""

    def __init__(
        self,
        name: str,
        plan: SourcePlan,
        camera: CameraRecorder,
        recorder: Recorder,
        clock: Clock,
        *,
        loss_window_s: float,
        beat: Callable[[dict[str, Any]], None],
    ) -> None:
        self._name = name
        self._plan = plan
        self._camera = camera
        self._recorder = recorder
        self._clock = clock
        self._pace = Pace(loss_window_s)
        self._beat = beat
        self._pictures: queue.Queue[AccessUnit | BaseException | tuple[str, ...]] = queue.Queue(
            QUEUE_PICTURES
        )
        self._state = "connecting"
        self._cause = ""
        self._detail = ""
        self._offered: list[str] = []
        self._last_data = clock.monotonic()
        self._reconnects = 0
        self._likeness = Likeness(plan.url)

    def run(self, stopping: Callable[[], bool]) -> int:
        """Record until `stopping`; return the exit status: 0 in order, 1 when the reader hangs."""
        av.logging.set_level(None)  # libav prints URLs
        self._start_reader()
        next_beat = 0.0
        retry_at: float | None = None
        turned = self._clock.monotonic()
        counted = (0, 0, turned)
        while not stopping():
            now, instant = self._clock.monotonic(), self._clock.now()
            if now - turned > ASLEEP_S:
                self._camera.woke()
            turned = now
            self._camera.follow(instant, now)
            if retry_at is not None and now >= retry_at:
                retry_at = None
                self._last_data = now
                self._start_reader()
            if self._drain():
                retry_at = now + RETRY_S if not self._plan.paced else now
                self._reconnects += 1
            if retry_at is None and now - self._last_data > (SILENT_S if self._state in STEADY else OPEN_S):
                self._camera.session_ended(GapCause.CAMERA_SILENT, "no picture", instant)
                self._camera.leave(instant)
                return 1
            if self._pace.handover_due(now):
                self._camera.flush(instant)
                if self._pace.window_ends(begun_lately=self._camera.begun_lately(instant)):
                    self._recorder.flush()
            if now >= next_beat:
                next_beat = now + BEAT_S
                counted = self._report(now, counted)
            time.sleep(TURN_S)
        now, instant = self._clock.monotonic(), self._clock.now()
        self._camera.follow(instant, now)
        self._camera.session_ended(GapCause.AGENT_STOPPED, "", instant)
        return 0

    def _start_reader(self) -> None:
        self._likeness.session({}, b"")
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            for item in read_source(self._plan, self._clock):
                self._pictures.put(item)
            self._pictures.put(EOFError("the source has ended"))
        except Exception as error:
            if not isinstance(error, CAMERA_ERRORS):
                log.exception("%s: error inside the session", self._name)
            self._pictures.put(error)

    def _drain(self) -> bool:
        """Record what the reader has put; return true when it has said that it ended."""
        ended = False
        for _ in range(QUEUE_PICTURES):  # a source faster than time must not keep us from everything else
            if ended:
                break
            try:
                item = self._pictures.get_nowait()
            except queue.Empty:
                return False
            now, instant = self._clock.monotonic(), self._clock.now()
            self._last_data = now
            if isinstance(item, AccessUnit):
                self._camera.picture(item, instant, now)
                if self._plan.container == TRANSPORT_STREAM and item.keyframe and item.format is not None:
                    self._likeness.format(item.format)
                resting = "resting" if self._camera.resting else "playing"
                self._state = "recording" if self._camera.recording else resting
            elif isinstance(item, tuple):
                self._offered = list(item)
                self._camera.tell("camera.audio_offered", {"encodings": self._offered})
            else:
                ended = True
                cause = GapCause.SESSION_ERROR
                if isinstance(item, CAMERA_ERRORS):
                    lost = isinstance(item, EOFError) or self._state in STEADY
                    cause = GapCause.CAMERA_CLOSED if lost else GapCause.CAMERA_UNREACHABLE
                self._cause = str(cause)
                self._detail = type(item).__name__
                self._state = "lost"
                self._camera.follow(instant, now)
                self._camera.session_ended(cause, type(item).__name__, instant)
                log.warning("%s: %s: %s", self._name, cause, type(item).__name__)
        return ended

    def _report(self, now: float, counted: tuple[int, int, float]) -> tuple[int, int, float]:
        camera = self._camera
        frames, octets, since = counted
        elapsed = max(now - since, 0.001)
        state = camera_state(
            camera,
            self._recorder.totals().get(self._name, {}),
            now,
            state=self._state,
            cause="" if self._state in STEADY else self._cause,
            detail="" if self._state in STEADY else self._detail,
            audio_offered=self._offered,
            likeness=self._likeness.to_json(),
            silent_ms=round((now - self._last_data) * 1000),
            reconnects=self._reconnects,
            fps=round((camera.frames - frames) / elapsed, 1),
            kbit_s=round((camera.bytes - octets) / elapsed / 125),
        )
        self._beat(
            {
                "cameras": {self._name: state},
                "backlog_bytes": self._recorder.backlog_bytes(),
                "storage": storage_state(self._recorder),
            }
        )
        return camera.frames, camera.bytes, now


def read_source(plan: SourcePlan, clock: Clock) -> Iterator[AccessUnit | tuple[str, ...]]:
    """Open a source and yield its pictures; first, if there is sound, the names of what is offered and left alone.

    Raises  av.error.FFmpegError, OSError for a source that does not open or breaks; ValueError for one without video
    """
    options = dict(plan.options)
    with av.open(
        plan.url, format=plan.container, options=options, timeout=(OPEN_S - 1, SILENT_S)
    ) as container:
        if not container.streams.video:
            raise ValueError("the source has no video")
        stream = container.streams.video[0]
        for other in container.streams:
            if other is not stream:
                other.discard = Discard.all
        if container.streams.audio:
            yield tuple(audio.codec_context.name for audio in container.streams.audio)
        units = (
            _passed_through(container, stream)
            if stream.codec_context.name in CODECS
            else _encoded(container, stream)
        )
        yield from _paced(units, clock) if plan.paced else _arrived(units, clock)


Timed = tuple[bytes, int, bool, VideoFormat | None]


def _arrived(units: Iterator[Timed], clock: Clock) -> Iterator[AccessUnit]:
    for data, timestamp, keyframe, form in units:
        yield AccessUnit(timestamp, data, keyframe, 0, False, form, clock.monotonic())


def _paced(units: Iterator[Timed], clock: Clock) -> Iterator[AccessUnit]:
    """Give every picture at its own time; the first now."""
    begun: tuple[float, int] | None = None
    for data, timestamp, keyframe, form in units:
        now = clock.monotonic()
        begun = begun or (now, timestamp)
        due = begun[0] + (timestamp - begun[1]) / CLOCK_HZ
        if due > now:
            time.sleep(due - now)
        yield AccessUnit(timestamp, data, keyframe, 0, False, form, clock.monotonic())


def _passed_through(container: Any, stream: Any) -> Iterator[Timed]:
    """Yield what is encoded already, byte for byte, as MP4 samples."""
    codec = CODECS[stream.codec_context.name]
    extradata = bytes(stream.codec_context.extradata or b"")
    lengths = codec in ("h264", "h265") and extradata[:1] == b"\x01"
    form = _format(codec, extradata, stream)
    for packet in container.demux(stream):
        timestamp = packet.pts if packet.pts is not None else packet.dts
        if packet.size == 0 or timestamp is None:
            continue
        data = bytes(packet)
        if codec in ("h264", "h265") and not lengths:
            data = annexb_to_sample(data)
            if packet.is_keyframe:
                found = format_from_units(codec, split_sample(data), CLOCK_HZ)
                form = found if found is not None and found != form else form
        yield data, _ticks(timestamp, packet.time_base), packet.is_keyframe, form


def _encoded(container: Any, stream: Any) -> Iterator[Timed]:
    """Yield raw pictures encoded to H.264."""
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    encoder = _open_encoder(stream.codec_context.width, stream.codec_context.height, rate)
    form: VideoFormat | None = None
    for frame in container.decode(stream):
        picture = frame.reformat(format="yuv420p")
        picture.pts = _ticks(frame.pts, frame.time_base) if frame.pts is not None else None
        picture.time_base = Fraction(1, CLOCK_HZ)
        for packet in encoder.encode(picture):
            data = annexb_to_sample(bytes(packet))
            if packet.is_keyframe:
                found = format_from_units("h264", split_sample(data), CLOCK_HZ)
                form = found if found is not None and found != form else form
            yield data, _ticks(packet.pts, packet.time_base), packet.is_keyframe, form


def _open_encoder(width: int, height: int, rate: Fraction) -> Any:
    """Return the first encoder that opens: two seconds a GOP, no reordering, about 0.1 bit a pixel."""
    for name in ENCODERS:
        try:
            encoder: Any = av.CodecContext.create(name, "w")
            encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
            encoder.framerate = rate
            encoder.time_base = Fraction(1, CLOCK_HZ)
            encoder.gop_size = max(1, round(rate * 2))
            encoder.max_b_frames = 0
            encoder.bit_rate = max(500_000, int(width * height * rate / 10))
            if name == "libx264":
                encoder.options = {"preset": "veryfast", "tune": "zerolatency"}
            encoder.open()
        except (av.error.FFmpegError, ValueError, OSError):
            continue
        log.info("analogue pictures are encoded by %s", name)
        return encoder
    raise ValueError("no H.264 encoder is there")


def _format(codec: str, extradata: bytes, stream: Any) -> VideoFormat | None:
    if codec == "mjpeg":
        return VideoFormat(codec, CLOCK_HZ, stream.codec_context.width, stream.codec_context.height, b"", 0)
    units = [extradata] if codec == "mpeg4" else units_of_config(codec, extradata)
    return format_from_units(codec, units, CLOCK_HZ)


def units_of_config(codec: str, extradata: bytes) -> list[bytes]:
    """Return the parameter sets in an avcC or hvcC record, or between start codes.

    Source  ISO/IEC 14496-15, 5.3.3.1.2 and 8.3.3.1.2
    """
    if extradata[:1] != b"\x01":
        return split_start_codes(extradata)
    units: list[bytes] = []
    at = 22 if codec == "h265" else 5
    arrays = extradata[at] if codec == "h265" else 2
    at += codec == "h265"
    for _ in range(arrays):
        if codec == "h265":
            count = int.from_bytes(extradata[at + 1 : at + 3])
            at += 3
        else:
            count = extradata[at] & 31
            at += 1
        for _ in range(count):
            end = at + 2 + int.from_bytes(extradata[at : at + 2])
            units.append(extradata[at + 2 : end])
            at = end
    return units


def _ticks(value: int, time_base: Fraction) -> int:
    return round(value * time_base * CLOCK_HZ)
