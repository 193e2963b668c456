"""Cameras are asked what they show: hosts at once, the cameras of one after another. Edge."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from agent.field.setup.trial import place
from agent.onvif.ask_rtsp import describe
from agent.onvif.model import LogIn, Stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.field.setup.requests import Trial

AT_ONCE = 16
"""Hosts that are asked at once; agent.onvif.examine, which asks as many, would load libxml2."""
SILENT = ("timeout", "closed")


def try_cameras(trials: Sequence[Trial]) -> tuple[Stream, ...]:
    """Ask each camera by RTSP (DESCRIBE, and no further); return what it shows, or why it does not.

    A host that has not answered is not waited for again, and one that has refused a log-in is not sent it again: it
    would lock itself.
    """
    return asyncio.run(_all(trials))


async def _all(trials: Sequence[Trial]) -> tuple[Stream, ...]:
    by_place: dict[tuple[str, int], list[int]] = {}
    for number, trial in enumerate(trials):
        by_place.setdefault(place(trial.url), []).append(number)
    found: dict[int, Stream] = {}
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(numbers: list[int]) -> None:
        known: list[tuple[Trial, Stream]] = []
        async with gate:
            for number in numbers:
                trial = trials[number]
                stream = _foregone(trial, known)
                if stream is None:
                    stream = await describe(trial.url, trial.login, allow_basic=trial.basic)
                    known.append((trial, stream))
                found[number] = stream

    await asyncio.gather(*(ask(numbers) for numbers in by_place.values()))
    return tuple(found[number] for number in range(len(trials)))


def _foregone(trial: Trial, known: list[tuple[Trial, Stream]]) -> Stream | None:
    """Return what a camera would answer by what others at its place have, None when that does not tell."""
    for other, stream in known:
        refused = stream.log_in is LogIn.REFUSED and other.login == trial.login
        if stream.fault in SILENT or refused:
            return replace(stream, url=trial.url)
    return None
