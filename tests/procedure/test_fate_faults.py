"""A disk that fails at every single call of erasing, placing, releasing and tending: no hold is lost, nothing is half told."""

from __future__ import annotations

import errno
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.storage.keep import holds
from tests.procedure.fate import HELD, check, filled, held
from tests.unit.keep.kept import Kept, order
from tests.unit.storage.box import FailingDisk

if TYPE_CHECKING:
    from collections.abc import Callable

MEMORY = Path("/dev/shm")  # hundreds of runs, each with dozens of syncs; a real disk is in test_carving
TROUBLES = [errno.EIO, errno.ENOSPC, errno.EROFS]
ORDER = order(span=HELD)


@pytest.fixture
def tmp_path():
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as root:
        yield Path(root)


def every_call(
    root: Path,
    trouble: int,
    prepare: Callable[[Kept], None],
    work: Callable[[Kept], object],
    *,
    on: bool = False,
):
    """Yield a box for each call that the work makes, after that call failed; with `on`, all later ones too."""
    box = filled(root / "box")
    prepare(box)
    subprocess.run(["cp", "-a", box.root, root / "prepared"], check=True)
    disk = FailingDisk()
    object.__setattr__(box.vault, "disk", disk)
    work(box)
    ops = list(disk.calls)
    assert len(ops) > 10
    for at, op in enumerate(ops):
        shutil.rmtree(box.root)
        subprocess.run(["cp", "-a", root / "prepared", box.root], check=True)
        disk.calls.clear()
        disk.plan = lambda number, *_, at=at: trouble if (number >= at if on else number == at) else None
        work(box)
        disk.plan = lambda *_: None
        yield box, (at, op)


@pytest.mark.parametrize("on", [False, True], ids=["once", "from-there-on"])
@pytest.mark.parametrize("trouble", TROUBLES, ids=errno.errorcode.get)
def test_erasing(tmp_path, trouble, on) -> None:
    """A2, B6: each segment is stored, condemned, or erased with its tombstone; then the disk is well, and all go."""
    for box, where in every_call(tmp_path, trouble, Kept.condemn, Kept.finish, on=on):
        told = {body["path"] for body in box.erased()}
        gone = {path for path, state in box.states().items() if state == "GONE"}
        assert told == gone, where
        assert not any(path in box.names() for path in gone), where
        box.finish()
        check(box)
        assert set(box.states().values()) == {"GONE"}, where


@pytest.mark.parametrize("on", [False, True], ids=["once", "from-there-on"])
@pytest.mark.parametrize("trouble", TROUBLES, ids=errno.errorcode.get)
def test_placing(tmp_path, trouble, on) -> None:
    """A2: it holds, whatever the disk says, and the answer says what is unfinished; the keeper finishes it."""
    answers = []

    def work(box: Kept) -> None:
        answers.append(box.place(ORDER))

    for box, where in every_call(tmp_path, trouble, lambda _: None, work, on=on):
        answer = answers[-1]
        assert answer.segments == len(box.linked_rows()), where
        assert answer.segments == 3 or answer.unfinished or answer.faults, where
        assert len(box.condemn()) == 3, where
        box.finish()
        box.tend()
        check(box)
        assert len(held(box)) == 3, where
        box.reconcile()
        check(box)


@pytest.mark.parametrize("on", [False, True], ids=["once", "from-there-on"])
@pytest.mark.parametrize("trouble", TROUBLES, ids=errno.errorcode.get)
def test_placing_while_the_span_is_condemned(tmp_path, trouble, on) -> None:
    """I2: what could not be looked at is not given up: it is looked at again before it would be erased."""
    answers = []

    def work(box: Kept) -> None:
        answers.append(box.place(ORDER))

    for box, where in every_call(tmp_path, trouble, Kept.condemn, work, on=on):
        answer = answers[-1]
        assert answer.late == [], where
        assert len(answer.spared) + len(answer.undecided) == 3, where
        box.finish()
        box.reconcile()
        check(box)
        assert len(held(box)) == 3, where


@pytest.mark.parametrize("on", [False, True], ids=["once", "from-there-on"])
@pytest.mark.parametrize("trouble", TROUBLES, ids=errno.errorcode.get)
def test_releasing(tmp_path, trouble, on) -> None:
    """A2: it is released, nothing is destroyed by that, and what is left over goes later."""
    for box, where in every_call(tmp_path, trouble, lambda box: box.place(ORDER), Kept.release, on=on):
        assert len(box.names()) == 7, where
        with box.catalogue() as catalogue:
            assert holds.active(catalogue) == []
        assert box.tend().incomplete == set(), where
        check(box)
        assert box.names("holds") == []
        assert len(box.condemn()) == 6
        assert box.finish().unshredded == 0
        check(box)


@pytest.mark.parametrize("trouble", TROUBLES, ids=errno.errorcode.get)
def test_reconciling_what_vanished(tmp_path, trouble) -> None:
    """B11: originals and links are given back, as far as the disk lets, and the rest the next time."""

    def prepare(box: Kept) -> None:
        box.place(ORDER)
        first, _, third = [row.path for row in box.rows() if row.camera == "cam1"][:3]
        (box.vault_path / first).unlink()
        (box.vault_path / third.replace("segments", "holds/h1")).unlink()
        (box.vault_path / "holds/h1/HOLD").unlink()

    for box, where in every_call(tmp_path, trouble, prepare, Kept.reconcile):
        assert len(held(box)) == 3, where
        tended = box.reconcile()
        assert (tended.incomplete, tended.lost) == (set(), []), where
        check(box)


def test_a_short_or_interrupted_call_is_no_failure(tmp_path) -> None:
    for trouble in ("short", errno.EINTR):
        box = filled(tmp_path / str(trouble))
        disk = FailingDisk(lambda number, *_, trouble=trouble: trouble if number % 2 else None)
        object.__setattr__(box.vault, "disk", disk)
        box.condemn()
        assert box.place(ORDER).faults == []
        assert box.finish().faults == []
        assert box.release().faults == []
        check(box)
