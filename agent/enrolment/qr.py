"""A request as a QR code: `PASU1:` and the compressed request in base45, to be photographed off a screen."""

from __future__ import annotations

import io
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING

import segno

from agent.enrolment import base45

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "PASU1:"
DICTIONARY = (
    '{"box":"gn-0001","csr":"MIHMMHQCAQAwEjEQMA4GA1UEAwwHZ24tMDAwMTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABA'
    "gMBkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEoAAwCgYIKoZIzj0EAwIDSQAwRgIhAIgADAKBggqhkjOPQQDAgNIADBFAiB"
    'AKBggqhkjOPQQDAgNHADBEAiB","made_ms":17,"magic":"pasu-enrol-request","operator":"시청 정보산업과",'
    '"signature":"— pasu/gn-0001 ","site":"경포해변 1지점","v":1,"vkey":"pasu/gn-0001+'
).encode()
"""What requests have in common (RFC 1950, section 2.2): with it the code fits a terminal of 80 columns."""
READ_S = 30.0
MOST_BYTES = 1 << 14
"""Of a request that is unpacked: four times what fits in a code."""


def pack(request: str) -> str:
    """Return the text of the code."""
    packer = zlib.compressobj(9, zdict=DICTIONARY)
    return PREFIX + base45.encode(packer.compress(request.encode()) + packer.flush())


def unpack(text: str) -> bytes:
    """Return the request in a code's text. Raises ValueError for any other code."""
    if not text.startswith(PREFIX):
        raise ValueError("a code of something else")
    packed = zlib.decompressobj(zdict=DICTIONARY)
    try:
        data = packed.decompress(base45.decode(text.removeprefix(PREFIX)), MOST_BYTES)
    except zlib.error:
        raise ValueError("a damaged code") from None
    if not packed.eof:
        raise ValueError("too long, or cut off")
    return data


def code(request: str, level: str) -> segno.QRCode:
    """Return the code.

    level  "l" or "m": 7 % or 15 % of it may be unreadable
    """
    return segno.make_qr(pack(request), error=level, mode="alphanumeric", boost_error=False)


def terminal(request: str) -> tuple[str, int]:
    """Draw the code with half blocks, two modules in a character; return it with its width in columns."""
    drawn = code(request, "l")
    out = io.StringIO()
    drawn.terminal(out, compact=True, border=2)
    return out.getvalue(), int(drawn.symbol_size(border=2)[0])


def save(request: str, path: Path) -> None:
    """Write the code as a picture: PNG or SVG, by the name's ending. Raises OSError."""
    code(request, "m").save(str(path), scale=6, border=4)


def read_image(path: Path) -> bytes:
    """Find a request's code in a picture. Raises ValueError when there is none, or it cannot be read.

    In a process of its own, with a time limit: OpenCV's decoder was seen to go round for ever on a damaged code.
    """
    try:
        found = subprocess.run(
            [sys.executable, "-P", "-m", "agent.enrolment.qr", str(path)],
            capture_output=True,
            timeout=READ_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ValueError("no enrolment request in this picture") from None
    if found.returncode:
        raise ValueError("not a picture, or no enrolment request in it")
    return unpack(found.stdout.decode("ascii", "replace"))


def search(path: str) -> str:
    """Return the text of a request's code in a picture; empty when there is none. May take for ever."""
    import cv2

    cv2.setNumThreads(1)
    picture = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
    if picture is None:
        return ""
    for made in (cv2.QRCodeDetectorAruco, cv2.QRCodeDetector):
        for seen in (picture, cv2.medianBlur(picture, 3)):
            for text in made().detectAndDecodeMulti(seen)[1]:
                if text.startswith(PREFIX):
                    return str(text)
    return ""


if __name__ == "__main__":
    said = search(sys.argv[1])
    sys.stdout.write(said)
    sys.exit(0 if said else 1)
