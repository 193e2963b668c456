"""Where cameras that speak no ONVIF keep their streams: ports and paths, as makers give them in their manuals."""

from __future__ import annotations

from agent.onvif.address import bracketed

RTSP_PORTS = (554, 8554, 10554)
ONVIF_PORTS = (80, 8080, 8000, 2020, 8899)
# (main, sub); the first that is described is taken, and its sub stream is asked for then.
PATHS = (
    ("/Streaming/Channels/101", "/Streaming/Channels/102"),  # Hikvision
    ("/cam/realmonitor?channel=1&subtype=0", "/cam/realmonitor?channel=1&subtype=1"),  # Dahua
    ("/profile2/media.smp", "/profile3/media.smp"),  # Hanwha
    ("/axis-media/media.amp", ""),  # Axis
    ("/stream1", "/stream2"),  # TP-Link, Bosch
    ("/trackID=1", "/trackID=2"),  # IDIS
    ("/video1", "/video2"),
    ("/live/main", "/live/sub"),
    ("/h264", "/h264_2"),
    ("/main", "/sub"),
    ("/live", ""),
    ("/", ""),
)


def rtsp(host: str, port: int, path: str) -> str:
    """Write one address."""
    place = bracketed(host) if port == 554 else f"{bracketed(host)}:{port}"
    return f"rtsp://{place}{path}"
