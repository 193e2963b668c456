"""Work that a small process has done by a short-lived fork of itself: the parent of `pasu record` stays without
database and cryptography, and whatever goes wrong there ends the fork. Edge.
"""

from __future__ import annotations

import json
import math
import os
import select
import signal
import time
import traceback
from typing import TYPE_CHECKING, Any, TextIO

from agent.errors import ConfigError, IntegrityFault, PasuError, StorageFault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BESIDE_S = 1.0

_KINDS: dict[str, type[PasuError]] = {
    kind.__name__: kind for kind in (ConfigError, IntegrityFault, StorageFault)
}


def forked(
    work: Callable[[], Any], timeout_s: float | None = None, *, beside: Callable[[], object] = lambda: None
) -> Any:
    """Do work in a fork of this process, which has one thread; return its answer, or raise its PasuError.

    work       returns what JSON can carry
    timeout_s  then the fork is killed
    beside     called about once a second meanwhile
    Raises     StorageFault HELPER_FAILED when the fork failed in another way, or took too long
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reading)
            try:
                answer: dict[str, Any] = {"answer": work()}
            except PasuError as error:
                answer = {
                    "kind": type(error).__name__,
                    "code": error.code,
                    "message": error.message,
                    "hint": error.hint,
                    "context": {key: str(value) for key, value in error.context.items()},
                }
            with os.fdopen(writing, "w", encoding="utf-8") as pipe:
                pipe.write(json.dumps(answer))
            status = 0
        except BaseException:  # noqa: BLE001 - a fork must never return into its parent's code
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        if _wait(pipe, timeout_s, beside):
            text = pipe.read()
        else:
            os.kill(pid, signal.SIGKILL)
            text = ""
    os.waitpid(pid, 0)
    if not text:
        raise StorageFault("HELPER_FAILED", "a helper process failed; see the log")
    said = json.loads(text)
    if "answer" in said:
        return said["answer"]
    kind = _KINDS.get(said["kind"], StorageFault)
    raise kind(said["code"], said["message"], hint=said["hint"], **said["context"])


def _wait(pipe: TextIO, timeout_s: float | None, beside: Callable[[], object]) -> bool:
    """Tell whether a pipe became readable in time."""
    end_s = time.monotonic() + (math.inf if timeout_s is None else timeout_s)
    while (left_s := end_s - time.monotonic()) > 0:
        if select.select([pipe], [], [], min(left_s, BESIDE_S))[0]:
            return True
        beside()
    return False


def as_owner(state: Path, work: Callable[[], Any]) -> Any:
    """Do work as the user that owns the state directory: what root makes there, the service could not open.

    work     returns what JSON can carry
    Raises   what `work` raises of PasuError
    """
    try:
        owner = state.stat()
    except OSError:
        return work()
    if os.geteuid() != 0 or owner.st_uid == 0:
        return work()

    def dropped() -> Any:
        become(owner)
        return work()

    return forked(dropped)


def become(owner: os.stat_result) -> None:
    """Go on, for good, as whoever a file belongs to, without any further group. Only root can."""
    os.setgroups([])
    os.setgid(owner.st_gid)
    os.setuid(owner.st_uid)
