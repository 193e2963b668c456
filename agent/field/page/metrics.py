"""Health in numbers, for Prometheus, inside the tunnel. No address, no path, no text of a camera leaves here. Edge."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import make_wsgi_app

from agent.field import words
from agent.health import CONDITIONS, silent_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

PATH = "/metrics"
VITALS = ("cpu_percent", "memory_percent", "swap_percent", "uptime_s", "battery_percent")


class Box:
    """Reads health anew for each scrape."""

    def __init__(self, overview: Callable[[], dict[str, Any]]) -> None:
        """overview: reads the health files, as `agent.overview`."""
        self._overview = overview

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield all of it."""
        found = self._overview()
        processes = found["processes"]
        yield from _conditions(found)
        yield from _processes(processes, found["boot_ms"] / 1000)
        record, keep, uplink, tunnel = (
            words.heard(found, name) for name in ("record", "keep", "uplink", "tunnel")
        )
        yield from _cameras(record, keep)
        yield from _vaults(keep)
        yield from _machine(keep)
        yield from _uplink(uplink, tunnel)


def application(overview: Callable[[], dict[str, Any]]) -> WSGIApplication:
    """Return what answers GET /metrics, and nothing else."""
    registry = CollectorRegistry()
    registry.register(Box(overview))
    metrics: WSGIApplication = make_wsgi_app(registry, disable_compression=True)

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != PATH or environ["REQUEST_METHOD"] != "GET":
            start_response("404 Not Found", [("Content-Length", "0")])
            return [b""]
        return metrics(environ | {"QUERY_STRING": ""}, start_response)

    return answer


def _gauge(
    name: str, about: str, labels: tuple[str, ...], rows: Iterable[tuple[Any, ...]]
) -> GaugeMetricFamily:
    """Make a family of rows: the values of its labels, and the number; a row without one is left out."""
    made = GaugeMetricFamily(f"pasu_{name}", about, labels=labels)
    for *values, number in rows:
        if number is not None:
            made.add_metric([str(value) for value in values], number)
    return made


def _conditions(found: dict[str, Any]) -> Iterator[GaugeMetricFamily]:
    counts = Counter(each["code"] for each in found["conditions"])
    rows = [(code, each.severity, counts[code]) for code, each in CONDITIONS.items()]
    yield _gauge(
        "condition", "How many cameras, disks or holds have this condition", ("code", "severity"), rows
    )
    yield _gauge(
        "time_trusted", "Whether the box relies on its clock", (), [(int(found["trust"] != "UNTRUSTED"),)]
    )


def _processes(processes: dict[str, Any], boot_s: float) -> Iterator[GaugeMetricFamily]:
    rows = [(name, silent_s(health, boot_s)) for name, health in processes.items()]
    yield _gauge("process_silent_seconds", "Since when a process has said nothing", ("process",), rows)
    versions = [(name, (health or {}).get("version", ""), 1) for name, health in processes.items() if health]
    yield _gauge("process_info", "Which version runs", ("process", "version"), versions)


def _cameras(record: dict[str, Any], keep: dict[str, Any]) -> Iterator[GaugeMetricFamily]:
    cameras = record.get("cameras", {}).items()
    label = ("camera",)
    on = [(name, int(state.get("state") == "recording")) for name, state in cameras]
    yield _gauge("camera_recording", "Whether a camera is recorded now", label, on)
    rests = [(name, int(state.get("state") == "resting")) for name, state in cameras]
    yield _gauge(
        "camera_resting", "Whether its pictures come outside of its hours, and are not stored", label, rests
    )
    for key, name, about in (
        ("fps", "camera_fps", "Pictures a second"),
        ("kbit_s", "camera_kbit_per_second", "Rate of its stream"),
        ("gaps", "camera_gaps", "Gaps since the start"),
    ):
        yield _gauge(name, about, label, [(camera, state.get(key)) for camera, state in cameras])
    days = [(camera, words.last_day(keep, camera)) for camera in (keep.get("day") or {}).get("cameras", {})]
    shares = [(camera, day.permille / 1000) for camera, day in days if day and day.permille is not None]
    yield _gauge("camera_day_ratio", "What part of the last 24 hours is stored", label, shares)


def _vaults(keep: dict[str, Any]) -> Iterator[GaugeMetricFamily]:
    vaults = keep.get("vaults", [])
    for key, name, about, scale in (
        ("total_bytes", "vault_bytes", "Size of a vault's disk", 1),
        ("free_bytes", "vault_free_bytes", "What is free there", 1),
        ("bytes_per_day", "vault_bytes_per_day", "What a day takes", 1),
        ("forecast_tenths_of_days", "vault_forecast_days", "How many days it holds at that rate", 10),
    ):
        rows = [(each["uuid"], None if each[key] is None else each[key] / scale) for each in vaults]
        yield _gauge(name, about, ("vault",), rows)


def _machine(keep: dict[str, Any]) -> Iterator[GaugeMetricFamily]:
    vitals = keep.get("vitals") or {}
    for key in VITALS:
        yield _gauge(f"box_{key}", "See pasu health", (), [(vitals.get(key),)])
    hottest = vitals.get("hottest") or {}
    yield _gauge("box_celsius", "The sensor that is nearest to its limit", (), [(hottest.get("celsius"),)])


def _uplink(uplink: dict[str, Any], tunnel: dict[str, Any]) -> Iterator[GaugeMetricFamily]:
    connected = int(bool(uplink["connected"])) if "connected" in uplink else None
    yield _gauge("uplink_connected", "Whether the centre's broker is reached", (), [(connected,)])
    yield _gauge("uplink_backlog", "Entries of the ledger that wait", (), [(uplink.get("backlog"),)])
    yield _gauge("tunnel_handshake_seconds", "Since the last handshake", (), [(tunnel.get("handshake_s"),)])
