"""Which worker records which camera, and what is to be done when the configuration changes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

CAMERAS_A_LOOP = 64  # a loop with 64 cameras of 4 Mbit/s takes a fifth of a core


@dataclass(slots=True)
class Assignment:
    """What one worker is to do: kind "rtsp" with any number of cameras, or "libav" with one.

    cameras  id -> all that the worker must know of it, its log-in included
    witness  keep the last bytes that came: its camera crashed a worker before
    """

    name: str
    kind: str
    cameras: dict[str, dict[str, Any]]
    witness: bool = False

    @property
    def has_room(self) -> bool:
        """Tell whether another camera may be put in: not beside one that is suspected of crashing workers."""
        return self.kind == "rtsp" and not self.witness and len(self.cameras) < CAMERAS_A_LOOP


@dataclass(frozen=True, slots=True)
class Difference:
    """What a new configuration asks for, by camera."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    def to_json(self) -> dict[str, list[str]]:
        """Return it for a fact."""
        return {"added": [*self.added], "removed": [*self.removed], "changed": [*self.changed]}


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> Difference:
    """Compare two sets of cameras with all that their workers must know."""
    return Difference(
        tuple(camera for camera in new if camera not in old),
        tuple(camera for camera in old if camera not in new),
        tuple(camera for camera, plan in new.items() if camera in old and old[camera] != plan),
    )


def assign(cameras: Mapping[str, dict[str, Any]], loops: int) -> list[Assignment]:
    """Share the cameras out: RTSP ones over as many loops as needed (at most `loops`), others one process each."""
    rtsp = {camera: plan for camera, plan in cameras.items() if plan["kind"] == "rtsp"}
    count = max(1, min(loops, -(-len(rtsp) // CAMERAS_A_LOOP))) if rtsp else 0
    names = list(rtsp)
    assignments = [
        Assignment(f"rtsp-{number}", "rtsp", {camera: rtsp[camera] for camera in names[number::count]})
        for number in range(count)
    ]
    assignments += [
        Assignment(f"libav-{camera}", "libav", {camera: plan})
        for camera, plan in cameras.items()
        if plan["kind"] != "rtsp"
    ]
    return assignments


def seat(camera: str, plan: dict[str, Any], there: Collection[Assignment]) -> tuple[Assignment, bool]:
    """Put a camera into the loop that has the fewest, or begin an assignment for it.

    there    the assignments that live on
    Returns  the assignment, and whether it is a new one
    """
    if plan["kind"] != "rtsp":
        return Assignment(f"libav-{camera}", "libav", {camera: plan}), True
    room = [assignment for assignment in there if assignment.has_room]
    if room:
        found = min(room, key=lambda assignment: len(assignment.cameras))
        found.cameras[camera] = plan
        return found, False
    names = {assignment.name for assignment in there}
    number = next(number for number in range(len(names) + 1) if f"rtsp-{number}" not in names)
    return Assignment(f"rtsp-{number}", "rtsp", {camera: plan}), True
