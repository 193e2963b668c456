"""A package is taken in, looked at, and made ready; nothing of what is installed changes here. By steps:

    U1  package and signature are copied into a folder that is root's alone
    U2  the copy is signed by a release key, and is what may be installed here; nothing reads a word of it before that
    U3  the rescue and the journal are durable: from here on the box comes to an end of it by itself

Source  issue 6; rows J1 to J5
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.config.hours import rests
from agent.errors import PasuError, StorageFault
from agent.field.updating import minisign, plan, rescue
from agent.field.updating.minisign import Unsigned
from agent.field.updating.plan import Journal, Phase, Situation
from agent.field.updating.store import digests
from agent.language import say
from agent.model import Span
from agent.storage import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent.config import Camera, Config
    from agent.field.updating.machine import Machine
    from agent.field.updating.plan import Package
    from agent.field.updating.store import Store

MOST_BYTES = 1 << 30
"""Of a package; today's has 100 MiB."""
SIGNATURE = ".minisig"
UNPACKED_TO = Path("/usr")
MOST_TURNS = 7 * 1440
"""As many as a week has minutes."""


class UpdateError(PasuError):
    """A package is not installed. Exit status 1."""

    who = "whoever types"


class TakenBack(UpdateError):
    """A package was installed, and does not do. Exit status 3."""

    exit_code = rescue.NOT_APPLIED


def apply(
    file: Path,
    store: Store,
    machine: Machine,
    config: Config,
    *,
    keys: Path,
    by: str,
    name: str,
    older: str = "",
    anyway: bool = False,
    no_way_back: bool = False,
    step: Callable[[str], None] = lambda _: None,
) -> Journal:
    """Do U1 to U3. The caller holds the store's lock, lets go of it, and starts the rescue.

    keys   the folder of release keys; by: who does it; name: of this update, 16 hexadecimal digits
    older, anyway, no_way_back  as of `plan.refuse`
    Raises UpdateError, by which nothing was changed; StorageFault
    """
    refuse_busy(store)
    package, size = _take_in(file, store, machine, keys, step)
    was = machine.installed()
    kept = store.kept()
    kept = kept if kept is not None and kept.version == was and store.is_whole(kept) else None
    run, state = str(config.storage.run), str(config.storage.state.absolute())
    heard = machine.heard(run)
    situation = Situation(
        machine.architecture(),
        machine.order(package.version, was) if was else 1,
        machine.free(UNPACKED_TO) - size,
        machine.catalogue(state),
        schema.VERSION,
        kept,
        tuple(sorted(heard.recording | heard.resting)),
    )
    code = plan.refuse(package, situation, older=older, anyway=anyway, no_way_back=no_way_back)
    if code is not None:
        store.clear_incoming()
        raise _refused(code, package, situation, was)
    step("U2")
    at_ms = machine.utc_ms()
    journal = Journal(
        name,
        Phase.INSTALL,
        package,
        kept,
        was,
        by,
        at_ms,
        situation.recording,
        heard.keep > 0,
        machine.active(plan.UNITS),
        state,
        run,
        tuple(str(vault.absolute()) for vault in config.storage.vaults),
        older=older if situation.order < 0 else "",
        rests=when_they_rest(config.cameras, at_ms),
    )
    store.accept(package)
    store.clear_incoming()
    store.disk.atomic_replace(store.rescue, rescue.pack(), sync=True)
    store.put_journal(journal)
    step("U3")
    return journal


def when_they_rest(cameras: Iterable[Camera], at_ms: int) -> tuple[tuple[str, int, int], ...]:
    """Return when cameras lie outside of their hours in the week from at_ms on, as a Journal's `rests`.

    It is written down rather than worked out by what finishes: that is the standard library's alone, and works by what
    the version that began the update makes of the hours, not by what the new one does.
    """
    week = Span(at_ms, at_ms + plan.WEEK_MS)
    return tuple(
        (camera.id, rest.start_ms, rest.end_ms)
        for camera in cameras
        for rest in rests(camera.hours, week, most=MOST_TURNS)
    )


def keep(file: Path, store: Store, machine: Machine, *, keys: Path) -> Package:
    """Keep the package of the version that is installed, as the way back. Raises UpdateError, StorageFault."""
    refuse_busy(store)
    package, _ = _take_in(file, store, machine, keys, lambda _: None)
    was = machine.installed()
    if package.version != was or package.architecture not in (machine.architecture(), "all"):
        store.clear_incoming()
        raise UpdateError(
            "UPDATE_OTHER",
            say(
                "설치된 버전의 패키지가 아닙니다", "this is not the package of the version that is installed"
            ),
            version=package.version,
            installed=was,
        )
    store.accept(package)
    store.put_kept(package)
    store.clear_incoming()
    return package


def refuse_busy(store: Store) -> None:
    """Refuse where an update is on its way. Raises UpdateError UPDATE_BUSY."""
    try:
        journal = store.journal()
    except plan.Unreadable:
        return  # nobody can finish that one; this one takes its place
    if journal is not None:
        raise busy()


def busy() -> UpdateError:
    """Make the error of a second update."""
    return UpdateError("UPDATE_BUSY", say("다른 업데이트가 진행 중입니다", "another update is on its way"))


def _take_in(
    file: Path, store: Store, machine: Machine, keys: Path, step: Callable[[str], None]
) -> tuple[Package, int]:
    """Do U1, and of U2 what is about the package alone; return it, and how many bytes it takes when it is unpacked."""
    known = read_keys(keys)
    try:
        room = machine.free(store.packages) - file.stat().st_size - plan.ROOM_BYTES
        if room < 0:
            raise UpdateError(
                "UPDATE_ROOM", say("디스크에 자리가 모자랍니다", "there is too little room on the disk")
            )
        signed = file.with_name(file.name + SIGNATURE)
        whole = store.take_in(file, store.incoming, MOST_BYTES)
        whole &= store.take_in(signed, store.incoming_signature, minisign.LIMIT_BYTES)
    except OSError as error:
        raise UpdateError(
            "UPDATE_FILE",
            say("패키지나 서명을 읽을 수 없습니다", "the package or its signature cannot be read"),
            file=str(error.filename or file),
            reason=error.strerror or "",
        ) from None
    step("U1")
    try:
        _want(whole, "UPDATE_FILE", "too long")
        sha256, blake2b = digests(store.incoming)
        signature = minisign.parse_signature(store.incoming_signature.read_bytes())
        key = minisign.verify(signature, known, blake2b)
        # Not a word of it was read before.
        fields = machine.fields(store.incoming)
        package = _package(fields, sha256, key.kid)
        _want(plan.is_named(package, signature.comment), "UPDATE_COMMENT", signature.comment[:200])
    except Unsigned as error:
        with contextlib.suppress(StorageFault):
            store.clear_incoming()
        raise UpdateError(error.code, _TEXTS[error.code](), reason=str(error)) from None
    size = fields.get("Installed-Size", "")
    return package, int(size) * 1024 if size.isascii() and size.isdigit() else 0


def _want(is_so: bool, code: str, why: str) -> None:
    if not is_so:
        raise Unsigned(code, why)


def _package(fields: dict[str, str], sha256: str, kid: str) -> Package:
    try:
        return plan.read_fields(fields, sha256, kid)
    except plan.Unreadable as error:
        raise Unsigned("UPDATE_PACKAGE", str(error)) from None


def read_keys(folder: Path) -> list[minisign.Key]:
    """Return the release keys. Raises UpdateError UPDATE_KEYS when there is none, or one cannot be read."""
    try:
        found = [
            minisign.parse_key(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.pub"))
        ]
    except (OSError, ValueError) as error:
        raise UpdateError(
            "UPDATE_KEYS", _TEXTS["UPDATE_KEYS"](), folder=str(folder), reason=str(error)
        ) from None
    if not found:
        raise UpdateError("UPDATE_KEYS", _TEXTS["UPDATE_KEYS"](), folder=str(folder))
    return found


_TEXTS: dict[str, Callable[[], str]] = {
    "UPDATE_FILE": lambda: say("패키지나 서명이 너무 깁니다", "the package or its signature is too long"),
    "UPDATE_KEYS": lambda: say(
        "이 박스가 믿는 배포 키가 없거나 읽을 수 없습니다",
        "there is no release key that this box trusts, or one cannot be read",
    ),
    "UPDATE_SIGNATURE": lambda: say("minisign의 서명이 아닙니다", "this is no signature of minisign's"),
    "UPDATE_KEY": lambda: say(
        "이 박스가 믿는 배포 키의 서명이 아닙니다", "not signed by a release key that this box trusts"
    ),
    "UPDATE_FORGED": lambda: say(
        "서명이 이 파일과 맞지 않습니다", "the signature does not fit the file: one of them was changed"
    ),
    "UPDATE_COMMENT": lambda: say(
        "서명은 다른 패키지에 대한 것입니다",
        "the signature is about another package, version or architecture",
    ),
    "UPDATE_PACKAGE": lambda: say("pasu-agent 패키지가 아닙니다", "this is no package of pasu-agent"),
    "UPDATE_ARCHITECTURE": lambda: say(
        "이 박스의 아키텍처가 아닙니다", "the package is for another architecture"
    ),
    "UPDATE_SAME": lambda: say("이미 설치된 버전입니다", "this version is installed already"),
    "UPDATE_OLDER": lambda: say(
        "설치된 것보다 옛 버전입니다", "this version is older than the one installed"
    ),
    "UPDATE_CATALOGUE": lambda: say(
        "그 버전은 지금의 목록을 읽지 못합니다", "that version cannot read the catalogue as it is now"
    ),
    "UPDATE_ROOM": lambda: say("디스크에 자리가 모자랍니다", "there is too little room on the disk"),
    "UPDATE_NOT_RECORDING": lambda: say(
        "지금 녹화하는 카메라가 없습니다",
        "no camera records now: whether the new version works could not be told",
    ),
    "UPDATE_NO_WAY_BACK": lambda: say("되돌아갈 길이 없습니다", "there would be no way back"),
}


def _refused(code: str, package: Package, there: Situation, was: str) -> UpdateError:
    more: dict[str, Any] = {"version": package.version, "installed": was}
    if code == "UPDATE_ARCHITECTURE":
        more = {"package": package.architecture, "box": there.architecture}
    if code in ("UPDATE_CATALOGUE", "UPDATE_NO_WAY_BACK"):
        more |= {"reads": package.catalogue, "catalogue": there.catalogue, "kept": there.kept is not None}
    return UpdateError(code, _TEXTS[code](), **more)
