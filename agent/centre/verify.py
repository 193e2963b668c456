"""`pasu centre verify`: check a bundle without the box it came from.

Believed is the box's public key, and the centre's own earlier checkpoint where one is given; nothing else.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.centre import sums
from agent.consignment import SUMS
from agent.errors import ConfigError, IntegrityFault
from agent.language import say
from agent.model import Span, uncovered
from agent.storage.proof import bundle, leaf, merkle, note
from agent.storage.proof.bundle import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agent.storage.proof.bundle import Bundle, Proven
    from agent.storage.proof.note import Head, Verifier

SIGNATURE = "signature"  # the checkpoint is not signed by the key
BOX = "box"  # the checkpoint is of another box than the bundle says
ENTRY = "entry"  # an entry that the proof does not lead from, or that is none
CLAIM = "claim"  # the box's own statement of what it gave out is missing, or names other files
FILE_MISSING = "file_missing"
FILE_CHANGED = "file_changed"
FILE_STRANGE = "file_strange"  # a file that nothing in the bundle speaks of
UNPROVEN = "unproven"  # the ledger had no entry of this file: the box says so itself
RELABELLED = "relabelled"  # another span than the entry's, and no entry that says so
UNEXPLAINED = "unexplained"  # neither picture nor reason for a part of the span
WITNESS = "witness"  # the ledger does not go on from the centre's checkpoint, or nothing shows it

_READ_BYTES = 1 << 20
_MOST_CHECKPOINT = 1 << 20


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not right.

    what    one of the words above
    where   file, or entry, or span of UTC ms as "start-end"
    detail  in the reader's language, but for what a parser says
    """

    what: str
    where: str
    detail: str = ""
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A part of the span without a picture, and what the ledger says why: gap, erasure, loss."""

    span: Span
    kind: str
    cause: str


@dataclass(slots=True)
class Report:
    """What was found.

    proven   files whose content the signed ledger names, in order
    tails    small files beside salvaged segments, which no entry covers
    told     proven reasons for parts of the span without picture
    continues  size of the centre's checkpoint that the ledger is shown to go on from; None when none was given or shown
    """

    box: str
    camera: str
    span: Span
    ledger: str = ""
    size: int = 0
    proven: list[str] = field(default_factory=list)
    tails: list[str] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    continues: int | None = None

    @property
    def good(self) -> bool:
        """Whether everything is right."""
        return not self.problems


def read_key(text: str) -> Verifier:
    """Read the box's public key. Raises ConfigError KEY_UNREADABLE."""
    try:
        return note.Verifier.parse(text)
    except note.NoteError as error:
        raise ConfigError(
            "KEY_UNREADABLE",
            say("박스의 공개키가 아닙니다", "this is not a box's public key"),
            hint=say(
                "박스의 keys/box.vkey를 주십시오. pasu/로 시작합니다",
                "give the box's keys/box.vkey, or what is in it; it begins with pasu/",
            ),
            reason=str(error),
        ) from None


def verify(
    folder: Path,
    verifier: Verifier,
    witness: bytes | None,
    progress: Callable[[int, int], None],
) -> Report:
    """Check a bundle.

    folder    holds CHECKPOINT, proofs.json and the sealed files; nothing outside of it is looked at
    verifier  the box's key, as the centre got it at enrolment
    witness   an earlier checkpoint of the same box that the centre kept: a signed note
    progress  told how many bytes of files are hashed, and of how many
    Raises    IntegrityFault BUNDLE_INVALID when there is nothing to check
    """
    given = _read_bundle(folder)
    report = Report(given.box, given.camera, given.span)
    head = _head(folder, verifier, given, report)
    if head is None:
        return report  # without a signature nothing else says anything
    good = [one for one in given.entries if _included(one, head, report)]
    facts = [one for one in good if _fits(one, given, report)]
    _check_files(
        folder, given, [one for one in facts if one.entry["kind"] in bundle.STORED], report, progress
    )
    _check_claim(given, facts, report)
    _check_span(given, facts, report)
    _check_witness(given, head, verifier, witness, report)
    return report


def _read_bundle(folder: Path) -> Bundle:
    try:
        return bundle.parse(_read(folder / bundle.PROOFS, bundle.MOST_BYTES))
    except (OSError, BundleError) as error:
        raise IntegrityFault(
            "BUNDLE_INVALID",
            say("증거 묶음이 아닙니다", "this is not a bundle"),
            hint=say(
                "`pasu ledger prove`가 만든 폴더를 주십시오",
                "name the directory that `pasu ledger prove` made",
            ),
            path=str(folder),
            reason=(error.strerror or "") if isinstance(error, OSError) else str(error),
        ) from None


def _read(path: Path, most: int) -> bytes:
    """Read a regular file that is not longer than `most`. Raises OSError, BundleError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise BundleError(f"{path.name} is no file")
        data = file.read(most + 1)
    if len(data) > most:
        raise BundleError(f"{path.name} is too long")
    return data


def _head(folder: Path, verifier: Verifier, given: Bundle, report: Report) -> Head | None:
    """Return what the checkpoint says, if the box signed it."""
    try:
        signed = note.parse_note(_read(folder / bundle.CHECKPOINT, _MOST_CHECKPOINT))
        signed.verify(verifier)
        head = note.parse_head(signed.text)
    except FileNotFoundError:
        report.problems.append(Problem(FILE_MISSING, bundle.CHECKPOINT))
        return None
    except (OSError, BundleError, note.NoteError) as error:
        report.problems.append(Problem(SIGNATURE, bundle.CHECKPOINT, str(error)))
        return None
    name, _, report.ledger = head.origin.rpartition("/")
    report.size = head.size
    if name != f"pasu/v1/{given.box}":
        report.problems.append(Problem(BOX, bundle.CHECKPOINT, head.origin))
    return head


def _included(one: Proven, head: Head, report: Report) -> bool:
    """Tell whether the signed tree holds an entry."""
    seq = one.entry.get("seq")
    try:
        own = leaf.object_hash(one.entry)
    except ValueError as error:
        report.problems.append(Problem(ENTRY, str(seq), str(error)))
        return False
    if type(seq) is int and merkle.verify_inclusion(own, seq - 1, head.size, one.proof, head.root):
        return True
    report.problems.append(Problem(ENTRY, str(seq)))
    return False


def _fits(one: Proven, given: Bundle, report: Report) -> bool:
    """Tell whether an entry says what its kind says, about this camera."""
    kind, body = one.entry["kind"], one.entry["body"]
    wanted: dict[str, type] = {}
    if kind in bundle.TOLD or kind == bundle.CLAIM:
        wanted = {"camera": str, "start_ms": int, "end_ms": int}
    if kind in bundle.STORED:
        wanted |= {"path": str, "sha256": str, "sealed_bytes": int}
    if any(type(body.get(name)) is not type_ for name, type_ in wanted.items()):
        detail = say(f"{kind}에 있어야 할 것이 빠짐", f"a {kind} without its fields")
        problem = Problem(ENTRY, str(one.entry["seq"]), detail)
    elif wanted and (body["camera"] != given.camera or body["end_ms"] < body["start_ms"]):
        detail = say(
            "다른 카메라이거나 구간이 거꾸로임", "about another camera, or a span that ends before it begins"
        )
        problem = Problem(ENTRY, str(one.entry["seq"]), detail)
    else:
        return True
    report.problems.append(problem)
    return False


def _check_files(
    folder: Path,
    given: Bundle,
    stored: list[Proven],
    report: Report,
    progress: Callable[[int, int], None],
) -> None:
    """Compare every file with its entry, and look for files that nobody speaks of."""
    total = sum(one.entry["body"]["sealed_bytes"] for one in stored)
    done = 0
    spoken: set[str] = {bundle.CHECKPOINT, bundle.PROOFS, SUMS}
    read: dict[str, str] = {}
    for one in stored:
        body, file = one.entry["body"], one.file
        if not bundle.is_segment_path(file) or file in spoken:
            detail = say("파일 이름이 올바르지 않거나 두 번 쓰임", "its file's name is none, or used twice")
            report.problems.append(Problem(ENTRY, str(one.entry["seq"]), detail))
            continue
        spoken.add(file)
        if body.get("has_tail"):
            spoken.add(file + ".tail")
            if (folder / (file + ".tail")).exists():
                report.tails.append(file + ".tail")
        problem = _compare(folder, file, body, lambda size: progress(done + size, total))  # noqa: B023 - called at once
        done += body["sealed_bytes"]
        if problem:
            report.problems.append(problem)
        else:
            report.proven.append(file)
            read[file] = body["sha256"]
    for file in given.unproven:
        spoken |= {file, file + ".tail"}
        report.problems.append(Problem(UNPROVEN, file))
    strange = sorted(set(_files(folder)) - spoken)
    report.problems += [Problem(FILE_STRANGE, file) for file in strange]
    named = {problem.where for problem in report.problems}
    report.problems += [
        Problem(what, where, detail)
        for what, where, detail in sums.compare(folder, read)
        if where not in named
    ]


def _compare(
    folder: Path, file: str, body: dict[str, Any], progress: Callable[[int], None]
) -> Problem | None:
    """Hash a file, reached from the bundle's directory without following any link."""
    try:
        fd = sums.open_below(folder, file)
    except FileNotFoundError:
        return Problem(FILE_MISSING, file)
    except OSError as error:
        return Problem(FILE_MISSING, file, error.strerror or "")
    digest, size = hashlib.sha256(), 0
    try:
        with os.fdopen(fd, "rb", buffering=0) as stream:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return Problem(FILE_CHANGED, file, say("보통 파일이 아님", "no regular file"))
            while data := stream.read(_READ_BYTES):
                digest.update(data)
                size += len(data)
                progress(size)
    except OSError as error:
        detail = say(f"읽지 못함: {error.strerror}", f"reading failed: {error.strerror}")
        return Problem(FILE_CHANGED, file, detail)
    if size != body["sealed_bytes"]:
        expected = body["sealed_bytes"]
        detail = say(f"{expected}바이트여야 하나 {size}바이트", f"{size} bytes instead of {expected}")
        return Problem(FILE_CHANGED, file, detail)
    if digest.hexdigest() != body["sha256"]:
        detail = say("SHA-256이 원장과 다름", "another SHA-256 than the ledger's")
        return Problem(FILE_CHANGED, file, detail)
    return None


def _files(folder: Path) -> Iterator[str]:
    """Yield every name below a directory that is no directory, links unfollowed."""
    for top, _, names in os.walk(folder, followlinks=False):
        inside = os.path.relpath(top, folder)
        yield from (name if inside == "." else f"{inside}/{name}" for name in names)


def _check_claim(given: Bundle, facts: list[Proven], report: Report) -> None:
    """Compare with what the box itself wrote into its ledger when it made the bundle."""
    stored = [one for one in facts if one.entry["kind"] in bundle.STORED]
    digest = bundle.digest([(one.entry["body"]["sha256"], one.file) for one in stored])
    for one in facts:
        body = one.entry["body"]
        span = (body.get("start_ms"), body.get("end_ms"))
        if one.entry["kind"] == bundle.CLAIM and span == (given.span.start_ms, given.span.end_ms):
            if body.get("segments") == len(stored) and body.get("digest") == digest:
                return
            told = body.get("segments")
            detail = say(
                f"파일 {told}개를 적었으나 묶음에는 {len(stored)}개이거나 다른 것",
                f"it names {told} files, this bundle {len(stored)}, or others",
            )
            report.problems.append(Problem(CLAIM, str(one.entry["seq"]), detail))
            return
    detail = say("이 묶음을 만들었다는 기록이 없음", "no entry says that this bundle was made")
    report.problems.append(Problem(CLAIM, bundle.PROOFS, detail))


def _check_span(given: Bundle, facts: list[Proven], report: Report) -> None:
    """Look for parts of the span that have neither picture nor reason."""
    shifts = {one.entry["body"].get("shift_ms") for one in facts if one.entry["kind"] == bundle.RELABELLED}
    covered: list[Span] = []
    for one in facts:
        kind, body = one.entry["kind"], one.entry["body"]
        if kind not in bundle.TOLD:
            continue
        own = Span(body["start_ms"], body["end_ms"])
        if kind not in bundle.STORED:
            report.told.append(Told(own, kind, str(body.get("cause", ""))))
            covered.append(own)
            continue
        span = one.span or own
        if span.start_ms - own.start_ms not in {0, *shifts} or span.length_ms != own.length_ms:
            report.problems.append(Problem(RELABELLED, one.file, span=own))
            span = own
        covered.append(span)
    report.told.sort(key=lambda one: (one.span.start_ms, one.span.end_ms))
    report.problems += [
        Problem(UNEXPLAINED, f"{hole.start_ms}-{hole.end_ms}", span=hole)
        for hole in uncovered(covered, given.span, bundle.NEARLY_MS)
    ]


def _check_witness(
    given: Bundle, head: Head, verifier: Verifier, witness: bytes | None, report: Report
) -> None:
    """Look whether the ledger goes on from what the centre kept."""
    if witness is None:
        return
    try:
        signed = note.parse_note(witness)
        signed.verify(verifier)
        old = note.parse_head(signed.text)
    except note.NoteError as error:
        report.problems.append(Problem(WITNESS, "", str(error)))
        return
    since = given.since
    if old.origin != head.origin:
        detail = say(f"다른 원장: {old.origin}", f"another ledger: {old.origin}")
    elif old.size > head.size:
        detail = say(
            f"관제센터는 {old.size}번까지 보았으나 묶음의 원장은 {head.size}번까지",
            f"the centre has seen {old.size} entries, the bundle's ledger has {head.size}",
        )
    elif old.size == head.size:
        detail = (
            ""
            if old.root == head.root
            else say("길이는 같으나 다른 기록", "another history of the same length")
        )
    elif since is None or since.size != old.size:
        detail = say(
            f"묶음에 {old.size}번부터 이어진다는 증명이 없음: `pasu ledger prove --since`로 다시 받으십시오",
            f"nothing in the bundle leads on from entry {old.size}: ask for one made with `pasu ledger prove --since`",
        )
    elif merkle.verify_consistency(old.size, head.size, since.proof, old.root, head.root):
        detail = ""
    else:
        detail = say(
            f"{old.size}번까지가 관제센터가 본 것과 다름",
            f"the first {old.size} entries are not those that the centre has seen",
        )
    if detail:
        report.problems.append(Problem(WITNESS, str(old.size), detail))
    else:
        report.continues = old.size
