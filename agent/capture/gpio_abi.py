"""The kernel's interface to GPIO lines, version 2, as bytes. Pure.

Source  linux/gpio.h (Linux 5.10 and later). A stable interface of two structures; the binding of libgpiod would bring a
        C library for them. A test compares with the header where there is a compiler.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

NAME_BYTES = 32
MOST_LINES = 64
MOST_ATTRIBUTES = 10
INPUT = 1 << 2
EDGES = {"rising": 1 << 4, "falling": 1 << 5, "both": 3 << 4}
DEBOUNCE = 3  # GPIO_V2_LINE_ATTR_ID_DEBOUNCE

_CONFIG_HEAD = struct.Struct("=QI5I")  # flags, num_attrs, padding
_ATTRIBUTE = struct.Struct(
    "=IIIIQ"
)  # id, padding, period and the rest of the union that it is in, mask of lines
_TAIL = struct.Struct("=II5Ii")  # num_lines, event_buffer_size, padding, fd
_OFFSETS_BYTES = 4 * MOST_LINES
_CONFIG_BYTES = _CONFIG_HEAD.size + MOST_ATTRIBUTES * _ATTRIBUTE.size
REQUEST_BYTES = _OFFSETS_BYTES + NAME_BYTES + _CONFIG_BYTES + _TAIL.size
FD_AT = REQUEST_BYTES - 4
GET_LINE = 3 << 30 | REQUEST_BYTES << 16 | 0xB4 << 8 | 0x07
"""GPIO_V2_GET_LINE_IOCTL: _IOWR(0xB4, 0x07, struct gpio_v2_line_request)."""

_EVENT = struct.Struct("=QIIII6I")  # timestamp_ns, id, offset, seqno, line_seqno, padding
EVENT_BYTES = _EVENT.size
RISING = 1
FALLING = 2


class Event(NamedTuple):
    """One edge. kind: RISING, FALLING; serial: counts the line's edges, so that a hole in it are edges lost."""

    kind: int
    serial: int


def request(line: int, edge: str, consumer: str, debounce_us: int) -> bytearray:
    """Return the request for one line's edges; the kernel writes a descriptor into it, see `descriptor`.

    edge         a key of EDGES
    consumer     who asks, as others see it
    debounce_us  for how long a level must hold; the kernel waits itself where the hardware cannot
    """
    asked = bytearray(REQUEST_BYTES)
    struct.pack_into("=I", asked, 0, line)
    asked[_OFFSETS_BYTES : _OFFSETS_BYTES + NAME_BYTES] = consumer.encode()[: NAME_BYTES - 1].ljust(
        NAME_BYTES, b"\0"
    )
    config = _OFFSETS_BYTES + NAME_BYTES
    _CONFIG_HEAD.pack_into(asked, config, INPUT | EDGES[edge], 1, 0, 0, 0, 0, 0)
    _ATTRIBUTE.pack_into(asked, config + _CONFIG_HEAD.size, DEBOUNCE, 0, debounce_us, 0, 1)
    _TAIL.pack_into(asked, config + _CONFIG_BYTES, 1, 0, 0, 0, 0, 0, 0, -1)
    return asked


def descriptor(answered: bytes | bytearray) -> int:
    """Return the descriptor at which the line's edges are read."""
    number: int = struct.unpack_from("=i", answered, FD_AT)[0]
    return number


def events(data: bytes) -> list[Event]:
    """Read edges; the kernel hands out whole ones."""
    whole = data[: len(data) - len(data) % EVENT_BYTES]
    return [Event(kind, serial) for _, kind, _, _, serial, *_ in _EVENT.iter_unpack(whole)]
