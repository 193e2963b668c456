"""A file that a command makes for who called it: it has its name when it is whole, and nothing stays of half of one.

Started by root, a command goes on as the service's user, who may neither name nor remove a file in the caller's folder.
So a fork stays as who called, and gives the file its name when it is told to; when it hears nothing any more, as of a
command that was killed, the file goes with it.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
from typing import TYPE_CHECKING

from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TextIO

    from agent.centre.clip import Draft

WHOLE = b"+"


@contextlib.contextmanager
def made(file: Path | None) -> Iterator[TextIO]:
    """Make a file, standard output without one. Raises UsageError REPORT_FILE."""
    from agent.centre.clip import Draft

    if file is None:
        yield sys.stdout
        return
    try:
        if os.path.lexists(file):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        draft = Draft(file.absolute().parent)
        with contextlib.suppress(OSError):  # a stick that knows no modes
            os.fchmod(draft.file.fileno(), 0o666 & ~_umask())
        end = _forked(draft, file.absolute()) if os.geteuid() == 0 else _here(draft, file)
    except OSError as error:
        raise _refused(file, error) from None
    out = io.TextIOWrapper(draft.file, encoding="utf-8", newline="")
    try:
        try:
            yield out
            out.flush()
        except BaseException:
            end(False)
            raise
        end(True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _refused(file, error) from None
    finally:
        with contextlib.suppress(OSError):
            out.close()


def _here(draft: Draft, file: Path) -> Callable[[bool], None]:
    """Return what ends a file. Its argument: whether it is whole. Raises OSError."""

    def end(whole: bool) -> None:
        if whole:
            draft.publish(file)
        else:
            draft.discard()

    return end


def _forked(draft: Draft, file: Path) -> Callable[[bool], None]:
    """Return the same, done by a fork that stays who it is now."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for number in (
                signal.SIGINT,
                signal.SIGHUP,
                signal.SIGTERM,
            ):  # meant for the command, whose end is heard
                signal.signal(number, signal.SIG_IGN)
            os.close(writing)
            _here(draft, file)(os.read(reading, 1) == WHOLE)
            status = 0
        except OSError as error:
            status = error.errno or 1
        finally:
            os._exit(status)
    os.close(reading)

    def end(whole: bool) -> None:
        try:
            if whole:
                os.write(writing, WHOLE)
        finally:
            os.close(writing)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if whole and status:
            raise OSError(status, os.strerror(status))

    return end


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _refused(file: Path, error: OSError) -> Exception:
    from agent.cli.parser import UsageError

    return UsageError(
        "REPORT_FILE",
        say(f"보고서를 쓸 수 없습니다: {file}", f"the report cannot be written: {file}"),
        hint=say(
            "없는 이름을 주거나, --out 없이 `> 파일`로 받으십시오",
            "name a file that is not there yet, or leave --out away and use `> FILE`",
        ),
        reason=error.strerror or str(error),
    )
