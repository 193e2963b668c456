"""What the tables about live streams must be among themselves and to the cameras. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from agent.config.sources import GpioSource
from agent.config.values import SCHEMES, SourceKind
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MOST = {"centre": 8, "stream": 64, "trigger": 32}
"""Tables of each; more are refused, so that what is shown at a time stays within bounds."""
Values = dict[str, Any]


class Wrong(NamedTuple):
    """What is wrong: code, key, what stands there, what may stand there, and a line that would be right."""

    code: str
    key: str
    found: Any
    allowed: str
    example: str = ""


OPEN = (
    "[tunnel]이 없으면 실시간 영상이 암호화되지 않은 채 나갑니다. 다른 장비가 암호화하는지 확인하십시오",
    "without [tunnel] live pictures leave this box in clear: make sure that another device encrypts them",
)


def check(
    cameras: Sequence[Values],
    uplink: Values,
    centres: Sequence[Values],
    streams: Sequence[Values],
    triggers: Sequence[Values],
) -> Iterator[Wrong]:
    """Yield all that is wrong. Each table holds the values that were accepted; one that was refused is absent."""
    known = {camera["id"]: camera for camera in cameras if "id" in camera}
    names = {centre["name"] for centre in centres if "name" in centre}
    for table, tables in (("centre", centres), ("stream", streams), ("trigger", triggers)):
        yield from _within(table, tables)
    yield from _differ("centre", "name", centres)
    yield from _differ("trigger", "id", triggers)
    if not uplink.get("media"):
        yield from _without_media(streams, triggers, centres)
    seen: dict[tuple[Any, Any], str] = {}
    for number, stream in enumerate(streams, 1):
        where = f"stream[{number}]"
        if "camera" in stream:
            yield from _camera(f"{where}.camera", stream["camera"], known)
            camera = known.get(stream["camera"], {})
            if stream.get("stream") == "sub" and camera.get("sub_url", "") is None:
                yield Wrong(
                    "CONFIG_STREAM_SUB",
                    f"{where}.stream",
                    "sub",
                    say("sub_url이 있는 카메라, 또는 main", "a camera that has a sub_url; or main"),
                    'stream = "main"',
                )
        centre = stream.get("centre")
        if centre is not None and centre not in names:
            yield Wrong(
                "CONFIG_CENTRE_UNKNOWN",
                f"{where}.centre",
                centre,
                say("[[centre]]에 있는 이름", "the name of a [[centre]]")
                + (": " + ", ".join(sorted(names)) if names else ""),
                f'[[centre]]\nname = "{centre}"\nmedia = "rtsp://10.77.0.2:8554"',
            )
        pair = stream.get("camera"), centre
        if pair in seen and pair[0] is not None:
            yield _twice(f"{where}.camera", pair[0], seen[pair])
        seen.setdefault(pair, where)
    for number, trigger in enumerate(triggers, 1):
        where = f"trigger[{number}].cameras"
        for camera in trigger.get("cameras", ()):
            yield from _camera(where, camera, known)


def without_effect(triggers: Sequence[Values]) -> Iterator[str]:
    """Yield the keys of payloads that nothing has: a line of a chip says no words."""
    for number, trigger in enumerate(triggers, 1):
        if isinstance(trigger["source"], GpioSource) and trigger["payload"] is not None:
            yield f"trigger[{number}].payload"


def _within(table: str, tables: Sequence[Values]) -> Iterator[Wrong]:
    most = MOST[table]
    if len(tables) > most:
        allowed = say(f"[[{table}]] {most}개까지", f"at most {most} tables [[{table}]]")
        yield Wrong("CONFIG_TABLE", table, len(tables), allowed)


def _differ(table: str, key: str, tables: Sequence[Values]) -> Iterator[Wrong]:
    first_of: dict[str, str] = {}
    for number, values in enumerate(tables, 1):
        where, name = f"{table}[{number}]", values.get(key)
        if name in first_of:
            yield _twice(f"{where}.{key}", name, first_of[name])
        elif name is not None:
            first_of[name] = where


def _twice(key: str, found: Any, first: str) -> Wrong:
    return Wrong("CONFIG_DUPLICATE", key, found, say(f"{first}과 다른 값", f"another than that of {first}"))


def _camera(key: str, camera: str, known: Mapping[str, Values]) -> Iterator[Wrong]:
    if camera not in known:
        yield Wrong(
            "CONFIG_CAMERA_UNKNOWN",
            key,
            camera,
            say("[[camera]]에 있는 id", "the id of a [[camera]]") + _listed(known),
        )
    elif "url" in known[camera] and SCHEMES[known[camera]["url"].partition(":")[0]] is not SourceKind.RTSP:
        yield Wrong(
            "CONFIG_STREAM_SOURCE",
            key,
            camera,
            say(
                "RTSP 카메라: 다른 카메라의 실시간 영상은 보내지 않습니다",
                "an RTSP camera: no other is shown live",
            ),
        )


def _listed(known: Iterable[str]) -> str:
    names = [*known]
    return ": " + ", ".join(names[:8]) + ("…" if len(names) > 8 else "") if names else ""


def _without_media(
    streams: Sequence[Values], triggers: Sequence[Values], centres: Sequence[Values]
) -> Iterator[Wrong]:
    wanting = "stream" if streams else "centre" if centres else ""
    if not wanting and any(trigger.get("cameras") for trigger in triggers):
        wanting = "trigger"
    if wanting:
        yield Wrong(
            "CONFIG_STREAM_NO_MEDIA",
            wanting,
            None,
            say("[uplink]에 media를 함께 적은 설정", "such a table together with media under [uplink]"),
            '[uplink]\nbroker = "mqtts://10.77.0.1:8883"\nmedia = "rtsp://10.77.0.1:8554"',
        )
