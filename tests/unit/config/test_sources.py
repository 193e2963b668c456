"""Where triggers come from."""

from __future__ import annotations

import pytest

from agent.config.sources import GpioSource, MqttSource, parse


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mqtt://10.0.0.5:1884/site/bell01", MqttSource("10.0.0.5", 1884, "site/bell01")),
        ("mqtt://10.0.0.5/b?c", MqttSource("10.0.0.5", 1883, "b?c")),
        ("mqtt://[fd00::5]:1883//b", MqttSource("fd00::5", 1883, "/b")),
        ("gpio://gpiochip0/17?edge=rising", GpioSource("gpiochip0", 17, "rising")),
        ("gpio://gpiochip12/0", GpioSource("gpiochip12", 0, "falling")),
        ("gpio://gpiochip0/1023?edge=both", GpioSource("gpiochip0", 1023, "both")),
    ],
)
def test_a_source_as_it_is_written(text: str, found: object) -> None:
    assert parse(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "", "bell", "mqtt://10.0.0.5", "mqtt://10.0.0.5/", "mqtt://broker/bell", "mqtt://10.0.0.5/a/+/b",
        "mqtt://10.0.0.5/a/#", "mqtt://u:p@10.0.0.5/a", "mqtt://10.0.0.5:0/a", "mqtt://10.0.0.5:99999/a",
        "mqtt://10.0.0.5/a b", "mqtt://10.0.0.5/벨", "mqtts://10.0.0.5/a", "gpio://gpiochip0", "gpio://gpiochip0/x",
        "gpio://gpiochip0/017", "gpio://gpiochip0/1024", "gpio://chip0/1", "gpio://gpiochip0/1?edge=up",
        "gpio://gpiochip0/1?edge", "gpio://gpiochip0/1?pull=up", "gpio://gpiochip0/1?edge=both&edge=both",
        "gpio://gpiochip0/1?edge=both&x=1", "gpio://gpiochip0/1/2", "gpio://../1", "mqtt://[::1/a",
    ],
)  # fmt: skip
def test_what_is_no_source(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)
