"""Memory that is full soon, for tests of what happens then."""

from __future__ import annotations

from agent.storage.memory import Memory


def holding(held_bytes: int, *cameras: str) -> Memory:
    """Return memory whose desk holds so much for a disk that refuses."""
    return Memory(cameras, most=held_bytes * 5 // 4)
