"""What a virtual camera offered and what it was asked, for tests to account by."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from pathlib import Path

MOST_ENTRIES = 200_000  # nearly four hours of 15 pictures a second; about 60 MB


@dataclass(frozen=True, slots=True)
class Offered:
    """One frame that a camera offered.

    monotonic  seconds of the camera process's monotonic clock, when the frame was due
    sha256     hexadecimal, of the sample that was put on the wire: NAL units behind 4-byte lengths, or the
               raw picture
    sessions   to how many it was sent; dropped says for how many it was not, their buffers being full
    """

    camera: int
    frame: int
    utc_ms: int
    monotonic: float
    keyframe: bool
    size: int
    sha256: str
    sessions: int
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """One RTSP request that a camera got. Credentials are taken out of url and headers."""

    monotonic: float
    client: str
    method: str
    url: str
    headers: tuple[tuple[str, str], ...]


class CameraLedger:
    """Keeps both in memory, the newest last, and writes them as JSON lines when given a directory.

    directory  gets `<name>.frames.jsonl` and `<name>.requests.jsonl`
    """

    def __init__(self, name: str, directory: Path | None = None) -> None:
        self.frames: deque[Offered] = deque(maxlen=MOST_ENTRIES)
        self.requests: deque[Asked] = deque(maxlen=MOST_ENTRIES)
        self._frames_file = _open(directory, f"{name}.frames.jsonl")
        self._requests_file = _open(directory, f"{name}.requests.jsonl")

    def offered(self, entry: Offered) -> None:
        """Note a frame."""
        self.frames.append(entry)
        if self._frames_file:
            self._frames_file.write(json.dumps(asdict(entry)) + "\n")

    def asked(self, entry: Asked) -> None:
        """Note a request; these are few, and are on disk at once."""
        self.requests.append(entry)
        if self._requests_file:
            self._requests_file.write(json.dumps(asdict(entry)) + "\n")
            self._requests_file.flush()

    def flush(self) -> None:
        """Hand to the system what is still buffered."""
        if self._frames_file:
            self._frames_file.flush()

    def close(self) -> None:
        """Close the files; what is in memory stays readable."""
        for file in (self._frames_file, self._requests_file):
            if file:
                file.close()
        self._frames_file = self._requests_file = None


def read_frames(path: Path) -> list[Offered]:
    """Read a `.frames.jsonl`; a last line that is still being written is left out."""
    return [Offered(**json.loads(line)) for line in _whole_lines(path)]


def read_requests(path: Path) -> list[Asked]:
    """Read a `.requests.jsonl`; a last line that is still being written is left out."""
    entries = []
    for line in _whole_lines(path):
        fields = json.loads(line)
        fields["headers"] = tuple((name, value) for name, value in fields["headers"])
        entries.append(Asked(**fields))
    return entries


def safe_headers(headers: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Take the secrets out: of Authorization only its scheme stays."""
    return tuple(
        (name, value.split(" ", 1)[0] if "authorization" in name.lower() else value)
        for name, value in headers
    )


def _open(directory: Path | None, name: str) -> TextIO | None:
    if directory is None:
        return None
    directory.mkdir(parents=True, exist_ok=True)
    return (directory / name).open("a", encoding="utf-8", buffering=1 << 16)


def _whole_lines(path: Path) -> list[str]:
    return [line for line in path.read_text("utf-8").splitlines(keepends=True) if line.endswith("\n")]
