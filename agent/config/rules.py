"""What single values may be. A rule turns a TOML value into ours, or refuses it with a code and a reason."""

from __future__ import annotations

import ipaddress
import math
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from agent.config import bech32
from agent.config.values import PURPOSE_TITLES, SCHEMES, Purpose
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT_LIMIT = 200
URL_LIMIT = 1000
FOLDERS_LIMIT = 16
ADDRESSES_LIMIT = 8
MAX_RETENTION_DAYS = 30  # Gangneung regulation art. 31(1)

ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
INTERFACE = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,15}")  # IFNAMSIZ less its final zero
GROUP = re.compile(r"[a-z_][a-z0-9_-]{0,31}|[1-9][0-9]{0,8}")
HOST_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
PASSWORD_WORD = re.compile(r"(?i)(?<![a-z])(?:password|passwd|passwort|pwd|pass)=")
SECRET_PARTS = (
    (re.compile(r"//.*@", re.DOTALL), "//***@"),
    (re.compile(r"(?i)((?<![a-z])(?:password|passwd|passwort|pwd|pass)=)[^&;/?\s'\"]*"), r"\1***"),
    (re.compile(r"(?i)AGE-SECRET-KEY-[0-9a-z]*"), "AGE-SECRET-KEY-***"),
)


class Refused(Exception):
    """A value is not allowed.

    code     of the problem
    korean, english   what is allowed; empty texts leave that to the rule
    """

    def __init__(self, code: str = "CONFIG_VALUE", korean: str = "", english: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.korean = korean
        self.english = english


@dataclass(frozen=True, slots=True)
class Rule:
    """What is allowed, in both languages, and the function that decides: our value, or Refused is raised."""

    korean: str
    english: str
    accept: Callable[[Any], Any]

    @property
    def allowed(self) -> str:
        """Return what is allowed in the reader's language."""
        return say(self.korean, self.english)


def mask(text: str) -> str:
    """Hide what may be a password or a private key, before anything of the file is shown to anybody.

    From the first "//" to the last "@", since a password may itself hold "/" and "@".
    """
    for pattern, replacement in SECRET_PARTS:
        text = pattern.sub(replacement, text)
    return text


def text() -> Rule:
    """Allow one line of printable text; it comes back trimmed and in NFC, so that equal looks are equal."""

    def accept(value: Any) -> str:
        if not isinstance(value, str):
            raise Refused
        line = unicodedata.normalize("NFC", value.strip())
        if not line or len(line) > TEXT_LIMIT or not line.isprintable():
            raise Refused
        return line

    return Rule(
        f"비어 있지 않은 한 줄의 글, {TEXT_LIMIT}자까지",
        f"one line of text, not empty, at most {TEXT_LIMIT} characters",
        accept,
    )


def pattern(expression: re.Pattern[str], korean: str, english: str) -> Rule:
    """Allow a text that matches the whole expression."""

    def accept(value: Any) -> str:
        if not isinstance(value, str) or not expression.fullmatch(value):
            raise Refused
        return value

    return Rule(korean, english, accept)


def identifier() -> Rule:
    """Allow a name that is safe in paths, in MQTT topics and in URLs."""
    return pattern(
        ID,
        "영문 소문자, 숫자, '-'로 32자까지, 첫 글자는 소문자나 숫자",
        "lower-case letters, digits and '-', at most 32, beginning with a letter or digit",
    )


def interface() -> Rule:
    """Allow a Linux network interface name."""
    return pattern(
        INTERFACE, "네트워크 인터페이스 이름, 15자까지", "an interface name, at most 15 characters"
    )


def group() -> Rule:
    """Allow a group by its name, or by its number; never that of root."""

    def accept(value: Any) -> str:
        if not isinstance(value, str) or not GROUP.fullmatch(value) or value == "root":
            raise Refused
        return value

    return Rule("그룹 이름이나 번호 (root 말고)", "name or number of a group, not root's", accept)


def choice(*words: str) -> Rule:
    """Allow one of a few words."""
    listed = ", ".join(f'"{word}"' for word in words)

    def accept(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise Refused
        return value

    return Rule(f"{listed} 가운데 하나", f"one of {listed}", accept)


def purpose() -> Rule:
    """Allow a purpose that the regulation's article 6 names."""

    def accept(value: Any) -> Purpose:
        try:
            return Purpose(value)
        except ValueError:
            raise Refused("CONFIG_PURPOSE") from None

    korean = ", ".join(f'"{member}"({PURPOSE_TITLES[member][0]})' for member in Purpose)
    english = ", ".join(f'"{member}"' for member in Purpose)
    return Rule(
        f"운영 규정 제6조의 설치 목적 가운데 하나: {korean}",
        f"one of the purposes of the regulation's article 6: {english}",
        accept,
    )


def boolean() -> Rule:
    """Allow true or false."""

    def accept(value: Any) -> bool:
        if not isinstance(value, bool):
            raise Refused
        return value

    return Rule("true 또는 false", "true or false", accept)


def integer(low: int, high: int) -> Rule:
    """Allow a whole number, both ends included. TOML's booleans are no numbers, though Python's are."""

    def accept(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise Refused
        return value

    return Rule(f"{low}부터 {high}까지의 정수", f"a whole number from {low} to {high}", accept)


def retention() -> Rule:
    """Allow 1 to 30 days; more is refused with the article that forbids it."""
    days = integer(1, MAX_RETENTION_DAYS)

    def accept(value: Any) -> Any:
        if not isinstance(value, bool) and isinstance(value, int) and value > MAX_RETENTION_DAYS:
            raise Refused(
                "CONFIG_RETENTION",
                "1부터 30까지: 운영 규정 제31조제1항은 수집 후 최대 30일까지만 보관하게 합니다. "
                "수사ㆍ재판 등으로 더 두어야 할 구간은 보존 명령(hold)으로 남깁니다",
                "1 to 30: article 31(1) of the regulation lets recordings be kept for at most 30 days. "
                "What an "
                "investigation or a trial needs longer is kept by a hold",
            )
        return days.accept(value)

    return Rule(
        f"{days.korean} (운영 규정 제31조제1항: 최대 30일)",
        f"{days.english} (regulation art. 31(1): at most 30 days)",
        accept,
    )


def seconds(low: float, high: float) -> Rule:
    """Allow a number of seconds, both ends included."""

    def accept(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Refused
        if not math.isfinite(value) or not low <= value <= high:
            raise Refused
        return float(value)

    return Rule(f"{low:g}부터 {high:g}까지의 초", f"seconds, from {low:g} to {high:g}", accept)


def folder() -> Rule:
    """Allow an absolute path without "..": where recordings lie must not depend on where Pasu is started."""

    def accept(value: Any) -> Path:
        if not isinstance(value, str) or not value.startswith("/") or not value.isprintable():
            raise Refused
        path = Path(value)
        if ".." in path.parts or path == Path("/") or len(value.encode()) > URL_LIMIT:
            raise Refused
        return path

    return Rule(
        "'/'로 시작하는 절대 경로, '..' 없이", "an absolute path (begins with '/'), without '..'", accept
    )


def folders() -> Rule:
    """Allow one such path, or a list of several: one for each disk. Always a tuple comes back."""
    one = folder()

    def accept(value: Any) -> tuple[Path, ...]:
        paths = value if isinstance(value, list) else [value]
        if not paths or len(paths) > FOLDERS_LIMIT:
            raise Refused
        found = tuple(one.accept(path) for path in paths)
        for number, path in enumerate(found):
            for other in found[:number]:
                if path.is_relative_to(other) or other.is_relative_to(path):
                    raise Refused(
                        "CONFIG_FOLDERS",
                        "서로 다르고, 하나가 다른 하나를 품지 않는 폴더",
                        "folders that differ, none of them inside another",
                    )
        return found

    return Rule(
        f"{one.korean}; 디스크가 여럿이면 경로의 목록 ({FOLDERS_LIMIT}개까지)",
        f"{one.english}; a list of them for several disks, {FOLDERS_LIMIT} at most",
        accept,
    )


def recipients() -> Rule:
    """Allow a list of one to sixteen different age public keys; each is checked by its checksum."""
    most = 16
    korean = f"age 공개키(age1…) 1~{most}개의 목록. 관제센터에서 `pasu centre keygen`으로 만듭니다"
    english = f"a list of 1 to {most} age public keys (age1...), made at the centre with `pasu centre keygen`"

    def accept(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(key, str) for key in value):
            raise Refused
        if not value or len(value) > most:
            raise Refused("CONFIG_RECIPIENT")
        for place, key in enumerate(value, 1):
            if key.upper().startswith("AGE-SECRET-KEY-"):
                raise Refused("CONFIG_PRIVATE_KEY", *_about_private_key(place))
            flaw = bech32.flaw(key)
            if flaw:
                raise Refused("CONFIG_RECIPIENT", *_about_recipient(place, flaw))
            if key in value[: place - 1]:
                raise Refused("CONFIG_RECIPIENT", *_about_recipient(place, "again"))
        return tuple(value)

    return Rule(korean, english, accept)


def _about_private_key(place: int) -> tuple[str, str]:
    korean = (
        f"{place}번째는 개인키입니다. 개인키는 박스에 두지 않습니다: 이 파일에서 지우고, 새 키를 "
        "만들고, 'age1'로 시작하는 공개키를 적으십시오"
    )
    english = (
        f"key {place} is a private key. None belongs on a box: remove it, make a new pair, and write "
        "the public one"
    )
    return korean, english


def _about_recipient(place: int, flaw: str) -> tuple[str, str]:
    korean, english = {
        "prefix": ("'age1'로 시작하지 않습니다", 'does not begin with "age1"'),
        "length": ("길이가 다릅니다 (62자여야 합니다)", "has the wrong length (62 characters are right)"),
        "symbol": ("쓰일 수 없는 글자가 있습니다", "holds a character that cannot be in a key"),
        "checksum": ("잘못 옮겨 적혔습니다 (검사합이 맞지 않습니다)", "was mistyped (its checksum is wrong)"),
        "padding": ("끝부분이 올바르지 않습니다", "ends in a way no key does"),
        "again": ("앞에 나온 키와 같습니다", "is the same as one before it"),
    }[flaw]
    return f"{place}번째 키가 {korean}", f"key {place} {english}"


def url(schemes: tuple[str, ...], korean: str, english: str) -> Rule:
    """Allow an address of these schemes, without any credentials in it."""

    def accept(value: Any) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= URL_LIMIT:
            raise Refused
        if not value.isprintable() or value != value.strip():
            raise Refused
        scheme, colon, rest = value.partition(":")
        if not colon or scheme not in schemes:
            raise Refused
        if scheme in ("file", "v4l2"):
            _require_path(scheme, rest)
        else:
            _require_address(scheme, value)
        return value

    return Rule(korean, english, accept)


def address() -> Rule:
    """Allow one IP address of the box, and not all of them at once: who is let in is decided by where it listens."""

    def accept(value: Any) -> str:
        if not isinstance(value, str):
            raise Refused
        try:
            found = ipaddress.ip_address(value)
        except ValueError:
            raise Refused from None
        if found.is_unspecified or found.is_multicast or getattr(found, "scope_id", None):
            raise Refused
        return str(found)

    return Rule("박스의 IP 주소 (0.0.0.0과 :: 말고)", "an IP address of the box, not 0.0.0.0 nor ::", accept)


def addresses() -> Rule:
    """Allow one such address, or a list of several. Always a tuple comes back."""
    one = address()

    def accept(value: Any) -> tuple[str, ...]:
        values = value if isinstance(value, list) else [value]
        if not 0 < len(values) <= ADDRESSES_LIMIT:
            raise Refused
        return tuple(dict.fromkeys(one.accept(each) for each in values))

    return Rule(
        f"{one.korean}; 여럿이면 목록 ({ADDRESSES_LIMIT}개까지)",
        f"{one.english}; a list of them for several, {ADDRESSES_LIMIT} at most",
        accept,
    )


def is_address(host: str) -> bool:
    """Tell whether a host is an IP address, and nothing that would have to be looked up."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def camera_url() -> Rule:
    """Allow what Pasu can record from."""
    return url(
        tuple(SCHEMES),
        "rtsp://, rtsps://, file:/경로, v4l2:/dev/videoN, http(s)://(MPEG-TS), udp://호스트:포트(MPEG-TS)",
        "rtsp://, rtsps://, file:/path, v4l2:/dev/videoN, http(s):// (MPEG-TS) or udp://host:port (MPEG-TS)",
    )


def _require_path(scheme: str, path: str) -> None:
    local = "/" + path.lstrip("/") if path.startswith("///") else path
    if not local.startswith("/") or local.startswith("//") or ".." in Path(local).parts:
        raise Refused
    if scheme == "v4l2" and not local.startswith("/dev/"):
        raise Refused


def _require_address(scheme: str, value: str) -> None:
    """Refuse an address with credentials, and one that no connection can be made to."""
    plain = value.replace("udp://@", "udp://", 1)  # the usual way to write a multicast group one listens to
    if "@" in plain or PASSWORD_WORD.search(plain):
        raise Refused(
            "CONFIG_PASSWORD_IN_URL",
            "주소에 계정이나 비밀번호를 넣지 않습니다. 같은 폴더의 secrets.toml(권한 0600)에 "
            "적으십시오: [camera.카메라id] username = …, password = …  (경로에 든 '@'는 %40으로 씁니다)",
            "no user or password in an address: they go into secrets.toml (mode 0600) in the same folder, as "
            "[camera.ID] username = ..., password = ... (an '@' in a path is written %40)",
        )
    if not plain.isascii() or " " in plain or "\\" in plain:
        raise Refused
    try:
        parts = urlsplit(plain)
        port = parts.port
    except ValueError:
        raise Refused from None
    if not plain.startswith(f"{scheme}://") or parts.fragment or port == 0:
        raise Refused
    if scheme == "udp" and port is None:
        raise Refused
    _require_host(scheme, parts)


def _require_host(scheme: str, parts: SplitResult) -> None:
    host = parts.hostname or ""
    if not host and scheme == "udp":
        return  # listen on every address of the box
    if parts.netloc.startswith("[") or re.fullmatch(r"[0-9.]+", host):
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise Refused from None
        return
    if len(host) > 253 or not all(HOST_LABEL.fullmatch(label) for label in host.rstrip(".").split(".")):
        raise Refused
