"""What no XML parser of ours is ever handed: documents with declarations, and bytes in disguise."""

from __future__ import annotations

import re

from agent.onvif.text import tame

MAX_BYTES = 512 * 1024  # sixteen profiles of a talkative camera take 60 KiB
# ASCII means itself in these, so that what is looked for cannot hide. UTF-7, UTF-16 and EBCDIC are not among them.
_ENCODINGS = frozenset(
    ("utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "windows-1252", "euc-kr", "gb2312", "gbk")
)
_DECLARED = re.compile(
    rb"""\A(?:\xef\xbb\xbf)?\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']"""
)


class AnswerError(Exception):
    """An answer that cannot be used, or none.

    code  stable: timeout, closed, too-long, too-many, redirect, status, declarations, encoding, malformed, fault
    """

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.detail = tame(detail, 120)

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}" if self.detail else self.code


def screen(content: bytes) -> bytes:
    """Return the document as it is, or raise AnswerError.

    Refused are documents that are too long, in an encoding where "<!" may look otherwise, and with a document type:
    no entities, no outside references, nothing that grows when it is read. SOAP forbids them (SOAP 1.2 section 5).
    """
    if len(content) > MAX_BYTES:
        raise AnswerError("too-long")
    if b"\0" in content or content.startswith((b"\xfe\xff", b"\xff\xfe")):
        raise AnswerError("encoding")
    declared = _DECLARED.match(content)
    if declared and declared[1].decode("ascii").lower() not in _ENCODINGS:
        raise AnswerError("encoding", declared[1].decode("ascii"))
    if declared is None and b"encoding" in content[:256].partition(b"?>")[0] and b"<?xml" in content[:16]:
        raise AnswerError("encoding")
    if b"<!" in content.replace(b"<!--", b"").replace(b"<![CDATA[", b""):
        raise AnswerError("declarations")
    return content
