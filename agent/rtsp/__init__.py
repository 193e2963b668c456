"""RTSP, RTP and depacketizers as pure state machines: bytes and times in, access units out."""
