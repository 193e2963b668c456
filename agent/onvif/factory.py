"""Log-ins that cameras come with, as their makers print them in manuals; the first that attackers try too.

A short list on purpose: it is there to find a camera that nobody has set up, and not to break into one.
Source: the makers' quick guides; the list of CVE-2016-10401 and Mirai's table of 2016 hold the same ones
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.onvif.model import LogIn

if TYPE_CHECKING:
    from agent.config.secrets import Login
    from agent.onvif.model import Camera, Device

MAX_TRIES = 3  # cameras lock an account after five to seven wrong log-ins, for half an hour

# By a word in the maker's name; "" is for all others. Current models of the first two have none and ask for one.
_BY_MAKER: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("hikvision", (("admin", "12345"),)),
    ("dahua", (("admin", "admin"), ("888888", "888888"))),
    ("axis", (("root", "pass"), ("root", "root"))),
    ("hanwha", (("admin", "4321"), ("admin", "1111111"), ("admin", "no"))),
    ("samsung", (("admin", "4321"), ("admin", "1111111"), ("admin", "no"))),
    ("idis", (("admin", ""),)),
    ("truen", (("admin", "1234"), ("admin", "admin"))),
    ("vivotek", (("root", ""),)),
    ("bosch", (("service", "service"),)),
    ("panasonic", (("admin", "12345"), ("admin1", "password"))),
    ("sony", (("admin", "admin"),)),
    ("ubiquiti", (("ubnt", "ubnt"),)),
    ("reolink", (("admin", ""),)),
    ("xiongmai", (("admin", ""),)),
    ("h264dvr", (("admin", ""),)),
    ("", (("admin", "admin"), ("admin", "1234"), ("admin", "12345"))),
)
_KNOWN = frozenset(pair for _, pairs in _BY_MAKER for pair in pairs) | {
    ("admin", "123456"),
    ("admin", "password"),
    ("admin", "1111"),
    ("admin", "888888"),
    ("admin", "12345678"),
    ("root", "12345"),
    ("root", "admin"),
    ("root", "xc3511"),
}


def candidates(device: Device) -> tuple[tuple[str, str], ...]:
    """Return the log-ins to try, at most `MAX_TRIES`: its maker's own, or the commonest where the maker is unknown."""
    words = f"{device.manufacturer} {device.model}".lower()
    return next(pairs for word, pairs in _BY_MAKER if word in words)[:MAX_TRIES]


def is_factory(username: str, password: str) -> bool:
    """Tell whether a log-in is one that cameras come with, or the user's name again."""
    return (username.lower(), password) in _KNOWN or username.lower() == password.lower()


def may_try(camera: Camera, login: Login | None) -> bool:
    """Tell whether log-ins may be tried on a camera. camera: as it was described with `login`."""
    return camera.log_in is LogIn.NEEDED if login is None else LogIn.GOOD in camera.ways
