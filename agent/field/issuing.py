"""Issue passes to the page, and take them back. Edge.

    W1  the fact `pass.issued`
    W2  the pass is a file that the page reads; from here on its code opens a session
    R1  the pass's file says that it is revoked; from here on it lets nobody in, and its session is over
    R2  the fact `pass.revoked`

Killed between W1 and W2 there is a fact of a pass that never was; between R1 and R2 revoking it again adds the fact.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from agent import passes
from agent.errors import PasuError, StorageFault
from agent.language import say
from agent.model import Fact
from agent.storage import passbook
from agent.storage.catalogue import Catalogue

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent.field.page.door import Times
    from agent.model import Instant
    from agent.passes import Pass
    from agent.storage.files import Disk


class PassError(PasuError):
    """Whoever asks for a pass asks differently. Exit status 2."""

    who = "whoever types"
    exit_code = 2


def issue(
    state: Path,
    folder: Path,
    disk: Disk,
    *,
    at: Instant,
    times: Times,
    chance: bytes,
    name: str,
    company: str,
    hours: int,
    by: str,
    step: Callable[[str], None] = lambda _: None,
) -> tuple[Pass, str]:
    """Issue a pass: W1 and W2.

    folder   of the page
    at       now, for the facts; times: now, by the clocks that the page goes by
    chance   passes.CODE_BYTES and four more for the id
    Returns  the pass, and its code, which nobody can find out again
    Raises   PassError PASS_TEXT, PASS_HOURS; StorageFault, among them PASS_MANY
    """
    for text in (name, company):
        if not passes.is_text(text):
            raise PassError("PASS_TEXT", say(f"쓸 수 없습니다: {text!r}", f"not to be used: {text!r}"))
    if not 0 < hours <= passes.MOST_HOURS:
        raise PassError("PASS_HOURS", say(f"{hours}시간", f"{hours} hours"))
    passbook.make(folder, disk)
    passbook.make_room(folder, times.utc_ms, disk)
    code = passes.new_code(chance)
    digest = passes.digest_of(code)
    assert digest is not None
    one = passes.new_pass(
        chance[passes.CODE_BYTES :][:4].hex(),
        digest,
        name=name,
        company=company,
        by=by,
        hours=hours,
        utc_ms=times.utc_ms,
        boot=times.boot,
        boot_ms=times.boot_ms,
    )
    _tell(state, Fact("pass.issued", at, passes.told(one)))
    step("W1")
    passbook.put(folder, one, disk)
    step("W2")
    return one, code


def revoke(
    state: Path,
    folder: Path,
    disk: Disk,
    at: Instant,
    name: str,
    *,
    by: str,
    reason: str,
    step: Callable[[str], None] = lambda _: None,
) -> Pass:
    """Take a pass back: R1 and R2. Raises PassError PASS_UNKNOWN, PASS_TEXT; StorageFault."""
    if not passes.is_text(reason):
        raise PassError("PASS_TEXT", say(f"쓸 수 없습니다: {reason!r}", f"not to be used: {reason!r}"))
    found = next((one for one in passbook.listed(folder) if one.id == name), None)
    if found is None:
        raise PassError("PASS_UNKNOWN", say("이런 출입증이 없습니다", "there is no such pass"), id=name)
    one = replace(found, revoked_ms=at.utc_ms)
    passbook.put(folder, one, disk)
    step("R1")
    body = {"id": one.id, "name": one.name, "company": one.company, "by": by, "reason": reason}
    _tell(state, Fact("pass.revoked", at, body))
    step("R2")
    return one


def used(state: Path) -> set[str]:
    """Return the ids of passes by which somebody came in, as the ledger says: their codes open nothing any more.

    A ledger that cannot be read names none: a list of passes, by which one takes them back, is worth more than that.
    """
    try:
        with closing(Catalogue.open(state, read_only=True)) as catalogue:
            rows = catalogue.read(
                "SELECT DISTINCT json_extract(body, '$.id') FROM ledger WHERE kind = 'page.visited'"
            )
    except StorageFault:
        return set()
    return {str(name) for (name,) in rows}


def _tell(state: Path, fact: Fact) -> None:
    with closing(Catalogue.open(state)) as catalogue:
        catalogue.add_fact(fact)
