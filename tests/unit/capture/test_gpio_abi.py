"""The bytes that go to the kernel and come from it, compared with its own header."""

from __future__ import annotations

import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from agent.capture import gpio_abi
from tests.peer import need

if TYPE_CHECKING:
    from pathlib import Path

HEADER = r"""
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <linux/gpio.h>

int main(void) {
    struct gpio_v2_line_request asked;
    memset(&asked, 0, sizeof asked);
    asked.offsets[0] = 17;
    strcpy(asked.consumer, "pasu");
    asked.num_lines = 1;
    asked.config.flags = GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_EDGE_FALLING;
    asked.config.num_attrs = 1;
    asked.config.attrs[0].mask = 1;
    asked.config.attrs[0].attr.id = GPIO_V2_LINE_ATTR_ID_DEBOUNCE;
    asked.config.attrs[0].attr.debounce_period_us = 50000;
    asked.fd = -1;
    printf("%zu %zu %lu %zu %d %d %lu %lu\n", sizeof asked, offsetof(struct gpio_v2_line_request, fd),
           (unsigned long)GPIO_V2_GET_LINE_IOCTL, sizeof(struct gpio_v2_line_event),
           GPIO_V2_LINE_EVENT_RISING_EDGE, GPIO_V2_LINE_EVENT_FALLING_EDGE,
           (unsigned long)GPIO_V2_LINE_FLAG_EDGE_RISING, (unsigned long)GPIO_V2_LINE_FLAG_EDGE_FALLING);
    for (size_t at = 0; at < sizeof asked; at++) printf("%02x", ((unsigned char *)&asked)[at]);
    struct gpio_v2_line_event event = {.timestamp_ns = 5, .id = GPIO_V2_LINE_EVENT_FALLING_EDGE, .offset = 17,
                                       .seqno = 9, .line_seqno = 3};
    printf("\n");
    for (size_t at = 0; at < sizeof event; at++) printf("%02x", ((unsigned char *)&event)[at]);
    printf("\n");
    return 0;
}
"""


def test_the_layouts_are_those_of_the_kernels_header(tmp_path: Path) -> None:
    source, program = tmp_path / "layout.c", tmp_path / "layout"
    source.write_text(HEADER)
    subprocess.run([need("gcc"), "-o", program, source], check=True, timeout=120)
    said = subprocess.run([program], check=True, capture_output=True, text=True, timeout=60).stdout
    numbers, asked, event = said.splitlines()
    assert [int(number) for number in numbers.split()] == [
        gpio_abi.REQUEST_BYTES,
        gpio_abi.FD_AT,
        gpio_abi.GET_LINE,
        gpio_abi.EVENT_BYTES,
        gpio_abi.RISING,
        gpio_abi.FALLING,
        gpio_abi.EDGES["rising"],
        gpio_abi.EDGES["falling"],
    ]
    assert gpio_abi.request(17, "falling", "pasu", 50_000).hex() == asked
    assert gpio_abi.events(bytes.fromhex(event)) == [gpio_abi.Event(gpio_abi.FALLING, 3)]


def test_the_documented_sizes() -> None:
    """Without a compiler, too: linux/gpio.h of 5.10, as it stayed."""
    assert gpio_abi.REQUEST_BYTES == 592
    assert gpio_abi.EVENT_BYTES == 48
    assert gpio_abi.GET_LINE == 0xC250B407


def test_both_edges_are_both_flags() -> None:
    assert gpio_abi.EDGES["both"] == gpio_abi.EDGES["rising"] | gpio_abi.EDGES["falling"]


@pytest.mark.parametrize("left", [0, 1, 47])
def test_whole_events_are_read(left: int) -> None:
    one = struct.pack("=QIIII6I", 1, gpio_abi.RISING, 4, 8, 2, *[0] * 6)
    assert gpio_abi.events(one * 3 + bytes(left)) == [gpio_abi.Event(gpio_abi.RISING, 2)] * 3


def test_the_kernels_answer_is_a_descriptor() -> None:
    asked = gpio_abi.request(4, "both", "x" * 100, 1)
    assert gpio_abi.descriptor(asked) == -1
    struct.pack_into("=i", asked, gpio_abi.FD_AT, 12)
    assert gpio_abi.descriptor(asked) == 12
