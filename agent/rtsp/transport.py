"""The Transport and Session headers, which both sides read and write."""

from __future__ import annotations

from dataclasses import dataclass

from agent.rtsp.text import bounded_int

DEFAULT_TIMEOUT_S = 60  # RFC 2326 section 12.37
_MAX_OFFERS = 16
_MAX_SESSION_ID = 256


@dataclass(frozen=True, slots=True)
class Transport:
    """One transport, offered or chosen.

    tcp           RTP inside the RTSP connection, else UDP
    channels      interleaved channel of RTP and of RTCP
    client_ports  UDP ports of RTP and RTCP; server_ports likewise
    """

    tcp: bool
    multicast: bool = False
    channels: tuple[int, int] | None = None
    client_ports: tuple[int, int] | None = None
    server_ports: tuple[int, int] | None = None

    def serialise(self) -> str:
        """Write the header's value."""
        parts = ["RTP/AVP/TCP" if self.tcp else "RTP/AVP", "multicast" if self.multicast else "unicast"]
        for name, pair in (
            ("interleaved", self.channels),
            ("client_port", self.client_ports),
            ("server_port", self.server_ports),
        ):
            if pair is not None:
                parts.append(f"{name}={pair[0]}-{pair[1]}")
        return ";".join(parts)


def parse_transports(value: str) -> list[Transport]:
    """Read a Transport header: its transports in order of preference, at most 16, unreadable ones left out.

    Source RFC 2326 section 12.39
    """
    found = []
    for offer in value.split(",", _MAX_OFFERS)[:_MAX_OFFERS]:
        spec, *params = [part.strip() for part in offer.split(";")]
        words = spec.upper().split("/")
        if words[:2] != ["RTP", "AVP"] and words[:2] != ["RTP", "AVPF"]:
            continue
        pairs: dict[str, tuple[int, int] | None] = {}
        for param in params:
            name, _, text = param.partition("=")
            name = name.strip().lower()
            pairs[name] = _pair(text, 255 if name == "interleaved" else 65535)
        found.append(
            Transport(
                "TCP" in words[2:] or pairs.get("interleaved") is not None,
                "multicast" in pairs,
                pairs.get("interleaved"),
                pairs.get("client_port"),
                pairs.get("server_port"),
            )
        )
    return found


def _pair(text: str, high: int) -> tuple[int, int] | None:
    """Read "4-5", or "4", which means 4-5."""
    left, dash, right = text.strip().partition("-")
    first = bounded_int(left, 0, high - 1)
    if first is None:
        return None
    second = bounded_int(right, 0, high) if dash else first + 1
    return None if second is None or second == first else (first, second)


def parse_session(value: str | None) -> tuple[str, int] | None:
    """Read a Session header: the id and the seconds after which the server ends an idle session.

    A timeout that cannot be read, or is 0, counts as the default.
    Returns None when there is no usable id
    Source  RFC 2326 section 12.37
    """
    name, *params = [part.strip() for part in (value or "").split(";")]
    if not name or len(name) > _MAX_SESSION_ID:
        return None
    timeout = DEFAULT_TIMEOUT_S
    for param in params:
        key, _, text = param.partition("=")
        if key.strip().lower() == "timeout":
            timeout = bounded_int(text, 1, 86_400) or timeout
    return name, timeout
