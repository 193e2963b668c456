"""A disk that is slow is told, and no longer when it is quick again or fails altogether."""

from __future__ import annotations

import errno

from agent.storage.latency import WINDOW_S
from tests.unit.storage.box import Box, FailingDisk
from tests.unit.storage.test_desk import finish, record


class Slow(FailingDisk):
    """Each syncfs takes as long as a test wants, by the box's clock."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.02
        self.box: Box | None = None

    def call(self, op, path, function, *args):
        if op == "syncfs" and self.box is not None:
            self.box.clock.mono += self.seconds
        return super().call(op, path, function, *args)


def test_a_slow_disk_is_told_while_it_is_slow(tmp_path) -> None:
    disk = Slow()
    box = Box(tmp_path, disk=disk)
    disk.box = box
    desk = box.desk()
    record(desk, box, ["cam1"], range(60))
    assert desk.waiting() == {}
    disk.seconds = 0.7
    record(desk, box, ["cam1"], range(60, 70))
    fault = desk.waiting()["slow"]
    assert (fault.code, fault.context["path"], fault.context["p99_ms"]) == (
        "DISK_SLOW",
        str(box.vault_path),
        700,
    )
    disk.plan = lambda _n, op, _p: errno.EIO if op == "syncfs" else None
    record(desk, box, ["cam1"], range(70, 72))
    assert set(desk.waiting()) == {"disk"}, "a disk that fails is not slow"
    disk.plan = lambda *_: None
    disk.seconds = 0.02
    record(desk, box, ["cam1"], range(72, 74))
    box.clock.mono += WINDOW_S
    record(desk, box, ["cam1"], range(74, 74 + 60))
    assert desk.waiting() == {}
    finish(desk)
