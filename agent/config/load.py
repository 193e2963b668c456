"""Read agent.toml: everything that is wrong with it at once, or one frozen `Config`."""

from __future__ import annotations

import difflib
import ipaddress
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agent.config import showing
from agent.config.keys import BY_TABLE, TABLES, Absent, Key, Table
from agent.config.rules import Refused, is_address, mask
from agent.config.toml import as_toml
from agent.config.values import (
    Box,
    Camera,
    Centre,
    Config,
    ConfigWarning,
    Page,
    Storage,
    Stream,
    Trigger,
    Tunnel,
    Uplink,
)
from agent.errors import ConfigError
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.config.showing import Values

__all__ = ["ConfigProblems", "ConfigWarning", "Problem", "load", "read_toml"]

FILE_LIMIT_BYTES = 1 << 20  # a thousand cameras take a third of it
FOUND_LIMIT = 80
SECRET_WORDS = frozenset({"password", "passwd", "pass", "pwd", "username", "user", "login"})


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    key      where, as in "camera[2].url"; empty when it is the file itself
    found    what stands there, with passwords hidden; empty when nothing does
    allowed  what may stand there, or what to do
    example  a line that would be right; may be empty
    """

    code: str
    file: str
    key: str
    found: str
    allowed: str
    example: str


class ConfigProblems(ConfigError):
    """The configuration cannot be used; `problems` holds every reason, in the order of the file's tables."""

    def __init__(self, file: Path, problems: list[Problem]) -> None:
        super().__init__(
            "CONFIG_INVALID",
            "; ".join(f"{problem.key or problem.file}: {problem.code}" for problem in problems),
            hint=f"pasu config check {file}",
            file=str(file),
        )
        self.problems = tuple(problems)


def load(path: Path | str) -> Config:
    """Read and check a configuration file.

    Returns  a Config with every default filled in, and its warnings
    Raises   ConfigProblems with all problems at once
    """
    file = Path(path)
    return load_tables(read_toml(file), file)


def load_text(content: bytes, file: Path) -> Config:
    """Check what is to become the content of a file, as if it lay there already. Raises ConfigProblems."""
    return load_tables(parse_toml(content, file), file)


def load_tables(tables: dict[str, Any], file: Path) -> Config:
    """Check tables as if they stood in a file. Raises ConfigProblems."""
    reading = _Reading(file)
    config = reading.config(tables)
    if config is None:
        raise ConfigProblems(file, reading.problems)
    return config


def read_toml(file: Path) -> dict[str, Any]:
    """Read a TOML file. Raises ConfigProblems when it is missing, unreadable, not UTF-8 or not TOML."""
    try:
        with file.open("rb") as stream:
            content = stream.read(FILE_LIMIT_BYTES + 1)
    except FileNotFoundError:
        raise _stop(
            file,
            "CONFIG_MISSING",
            say("파일이 없습니다", "no such file"),
            say(
                "새 박스라면 `sudo pasu init`. 아니면 경로를 확인하거나 --config로 지정하십시오",
                "on a new box `sudo pasu init`; else check the path, or name another with --config",
            ),
        ) from None
    except PermissionError as error:
        raise _stop(
            file,
            "CONFIG_UNREADABLE",
            error.strerror or str(error),
            say("root로 실행하십시오: 명령 앞에 `sudo`", "run it as root: `sudo` before the command"),
        ) from None
    except OSError as error:
        raise _stop(
            file,
            "CONFIG_UNREADABLE",
            error.strerror or str(error),
            say("pasu를 실행하는 계정이 읽을 수 있는 파일", "a file that the account running pasu can read"),
        ) from None
    return parse_toml(content, file)


def _stop(file: Path, code: str, found: str, allowed: str) -> ConfigProblems:
    return ConfigProblems(file, [Problem(code, str(file), "", found, allowed, "")])


def parse_toml(content: bytes, file: Path) -> dict[str, Any]:
    """Read TOML that is said to stand in a file. Raises ConfigProblems."""
    if len(content) > FILE_LIMIT_BYTES:
        raise _stop(
            file,
            "CONFIG_UNREADABLE",
            say("1 MiB가 넘습니다", "larger than 1 MiB"),
            say("1 MiB까지의 TOML 파일", "a TOML file of at most 1 MiB"),
        )
    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _stop(
            file,
            "CONFIG_SYNTAX",
            say(f"{line}번째 줄이 UTF-8이 아닙니다", f"line {line} is not UTF-8"),
            say("UTF-8로 저장한 파일", "a file saved as UTF-8"),
        ) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "nesting too deep"
        raise _stop(
            file,
            "CONFIG_SYNTAX",
            mask(found),
            say("TOML 형식 (toml.io)", "a TOML file (toml.io)"),
        ) from None


class _Reading:
    """Collects problems and warnings while one file is read."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.problems: list[Problem] = []
        self._warnings: list[ConfigWarning] = []

    def config(self, content: dict[str, Any]) -> Config | None:
        """Return the configuration, or None when there are problems."""
        for name in content:
            if name not in BY_TABLE:
                self._unknown_table(name)
        box, storage, uplink, tunnel, page = (
            self._single(table, content) for table in TABLES if not table.many
        )
        self._check_folders(storage)
        cameras = self._cameras(self._several("camera", content), storage)
        centres, streams, triggers = (
            self._several(name, content) for name in ("centre", "stream", "trigger")
        )
        if tunnel:
            self._check_tunnel(tunnel, uplink)
        elif uplink.get("media") is not None:
            self._warn("CONFIG_MEDIA_OPEN", "uplink.media", *showing.OPEN)
        for wrong in showing.check(cameras, uplink, centres, streams, triggers):
            self._problem(*wrong)
        self._check_page(page, storage)
        if not tunnel:
            self._check_metrics(page)
        if self.problems:
            return None
        self._think_twice(storage, cameras, triggers)
        return Config(
            file=self._file,
            box=Box(**box),
            storage=Storage(vaults=storage.pop("vault"), **storage),
            cameras=tuple(Camera(**camera) for camera in cameras),
            uplink=Uplink(**uplink) if uplink else None,
            tunnel=Tunnel(**tunnel) if tunnel else None,
            page=Page(**page) if page else None,
            centres=tuple(Centre(**centre) for centre in centres),
            streams=tuple(Stream(**stream) for stream in streams),
            triggers=tuple(Trigger(**trigger) for trigger in triggers),
            warnings=tuple(self._warnings),
        )

    def _single(self, table: Table, content: dict[str, Any]) -> dict[str, Any]:
        """Read a table that stands once; empty when it is absent and may be."""
        if table.name not in content:
            if table.required:
                self._missing_table(table)
            return {}
        values = content[table.name]
        if not isinstance(values, dict):
            allowed = say(f"표 {table.heading}", f"a table {table.heading}")
            self._problem("CONFIG_TABLE", table.name, values, allowed)
            return {}
        return self._values(table.name, table.name, values)

    def _several(self, name: str, content: dict[str, Any]) -> list[dict[str, Any]]:
        """Read an array of tables; every one is checked even when the one before it is wrong."""
        table = next(table for table in TABLES if table.name == name)
        tables = content.get(name, [])
        if tables == []:
            if table.required:
                self._missing_table(table)
            return []
        if not isinstance(tables, list) or not all(isinstance(item, dict) for item in tables):
            allowed = say(f"표 배열 {table.heading}: 괄호 둘", f"an array {table.heading}: two brackets")
            self._problem("CONFIG_TABLE", name, tables, allowed)
            return []
        return [self._values(name, f"{name}[{number}]", values) for number, values in enumerate(tables, 1)]

    def _cameras(self, cameras: list[dict[str, Any]], storage: dict[str, Any]) -> list[dict[str, Any]]:
        """Compare cameras with each other and with the box."""
        first_of: dict[str, str] = {}
        box_days = storage.get("retention_days", 30)
        for number, camera in enumerate(cameras, 1):
            where = f"camera[{number}]"
            name = camera.get("id")
            if name is not None and name in first_of:
                self._problem(
                    "CONFIG_DUPLICATE",
                    f"{where}.id",
                    name,
                    say(f"{first_of[name]}과 다른 이름", f"a name other than that of {first_of[name]}"),
                    f'id = "cam{number:02d}"',
                )
            elif name is not None:
                first_of[name] = where
            days = camera.get("retention_days", Absent.BOX)
            if days is Absent.BOX:
                camera["retention_days"] = box_days
            elif days > box_days:
                self._problem(
                    "CONFIG_RETENTION",
                    f"{where}.retention_days",
                    days,
                    say(
                        f"storage.retention_days({box_days}) 이하",
                        f"at most storage.retention_days ({box_days})",
                    ),
                    f"retention_days = {box_days}",
                )
        return cameras

    def _values(self, table: str, where: str, values: dict[str, Any]) -> dict[str, Any]:
        """Check the keys of one table; a value that was refused is absent from what comes back."""
        keys = BY_TABLE[table]
        for name in values:
            if name not in keys:
                self._unknown_key(table, where, name)
        taken: dict[str, Any] = {}
        for key in keys.values():
            place = f"{where}.{key.name}"
            example = f"{key.name} = {key.example}"
            if key.name not in values:
                if key.default is Absent.REQUIRED:
                    self._problem("CONFIG_KEY_MISSING", place, None, key.rule.allowed, example)
                else:
                    taken[key.name] = key.default
                continue
            try:
                taken[key.name] = key.rule.accept(values[key.name])
            except Refused as refused:
                allowed = say(refused.korean, refused.english) or key.rule.allowed
                self._problem(refused.code, place, values[key.name], allowed, example)
        if table == "camera" and "url" in taken:
            self._warn_without_effect(where, values, taken["url"], keys.values())
        return taken

    def _warn_without_effect(self, where: str, values: dict[str, Any], url: str, keys: Any) -> None:
        kind = url.partition(":")[0].removesuffix("s")
        for key in keys:
            if key.kinds and key.name in values and kind not in key.kinds:
                only = ", ".join(key.kinds)
                self._warn(
                    "CONFIG_WITHOUT_EFFECT",
                    f"{where}.{key.name}",
                    f"{only} 카메라에만 쓰입니다. 여기서는 아무 일도 하지 않습니다",
                    f"has an effect on {only} cameras only, and none here",
                )

    def _check_folders(self, storage: dict[str, Any]) -> None:
        """Keep vault and state apart, so that a disk that is not mounted cannot take its own memory along."""
        vaults, state = storage.get("vault"), storage.get("state")
        if vaults is None or state is None:
            return
        if any(vault.is_relative_to(state) or state.is_relative_to(vault) for vault in vaults):
            self._problem(
                "CONFIG_FOLDERS",
                "storage.state",
                str(state),
                say("vault 밖의, vault를 품지 않는 폴더", "a folder neither in the vault nor around it"),
                'state = "/var/lib/pasu/state"',
            )

    def _check_tunnel(self, tunnel: dict[str, Any], uplink: dict[str, Any]) -> None:
        """Ask for addresses behind a tunnel: a name would have to be asked for outside it, or by it (F3)."""
        address = uplink.get("broker")
        if address is not None and not is_address(urlsplit(address).hostname or ""):
            self._problem(
                "CONFIG_TUNNEL_NAME",
                "uplink.broker",
                address,
                say("[tunnel]이 있으면 이름이 아니라 IP 주소", "with [tunnel] an IP address, not a name"),
                'broker = "mqtts://10.77.0.1:8883"',
            )
        if tunnel.get("line") is not None and tunnel.get("line") in (tunnel.get("interface"), "lo"):
            self._problem(
                "CONFIG_TUNNEL_LINE",
                "tunnel.line",
                tunnel["line"],
                say("터널이 아닌, 바깥 회선의 인터페이스", "the interface of the line, not the tunnel's own"),
                'line = "eth1"',
            )

    def _check_page(self, page: dict[str, Any], storage: dict[str, Any]) -> None:
        """Keep the page's folder apart from all that its process must not see."""
        folder = page.get("folder")
        others = [*storage.get("vault", ()), storage.get("state"), storage.get("run")]
        near = [other for other in others if other and folder and _touch(folder, other)]
        if near:
            self._problem(
                "CONFIG_FOLDERS",
                "page.folder",
                str(folder),
                say(f"{near[0]} 밖의, 그것을 품지 않는 폴더", f"a folder neither in {near[0]} nor around it"),
                'folder = "/var/lib/pasu-page"',
            )

    def _check_metrics(self, page: dict[str, Any]) -> None:
        """Serve figures, for which nobody has to log in, outside the box by a tunnel or not at all."""
        address = page.get("metrics")
        if address is not None and not ipaddress.ip_address(address).is_loopback:
            self._problem(
                "CONFIG_METRICS_OPEN",
                "page.metrics",
                address,
                say("[tunnel]이 있을 때만, 또는 127.0.0.1", "with [tunnel] alone, or 127.0.0.1"),
                'metrics = "127.0.0.1"',
            )

    def _think_twice(self, storage: Values, cameras: list[Values], triggers: list[Values]) -> None:
        for key in showing.without_effect(triggers):
            about = (
                "MQTT 신호에만 쓰입니다. 여기서는 아무 일도 하지 않습니다",
                "has an effect on MQTT sources only",
            )
            self._warn("CONFIG_WITHOUT_EFFECT", key, *about)
        if len(storage["recipients"]) < 2:
            self._warn(
                "CONFIG_ONE_RECIPIENT",
                "storage.recipients",
                "키가 하나뿐입니다. 그 개인키를 잃으면 모든 영상을 영영 열 수 없습니다. 따로 보관할 두 "
                "번째 키를 더하십시오",
                "there is one key only. If its private key is lost, no recording can ever be opened. "
                "Add a second, kept elsewhere",
            )
        first_of: dict[str, str] = {}
        for number, camera in enumerate(cameras, 1):
            where = f"camera[{number}]"
            if camera["url"] in first_of:
                self._warn(
                    "CONFIG_SAME_URL",
                    f"{where}.url",
                    f"{first_of[camera['url']]}과 주소가 같습니다: 같은 영상이 두 번 녹화됩니다",
                    f"is the address of {first_of[camera['url']]} too: the same pictures are recorded twice",
                )
            first_of.setdefault(camera["url"], where)

    def _unknown_table(self, name: str) -> None:
        owners = [table for table in TABLES if name in BY_TABLE[table.name]]
        near = difflib.get_close_matches(name, [table.name for table in TABLES], n=1)
        if owners:
            allowed = say(f"{owners[0].heading} 아래에 둡니다", f"it belongs under {owners[0].heading}")
        elif near:
            allowed = _did_you_mean(next(table.heading for table in TABLES if table.name == near[0]))
        else:
            allowed = ", ".join(table.heading for table in TABLES)
        self._problem("CONFIG_KEY_UNKNOWN", name, None, allowed)

    def _unknown_key(self, table: str, where: str, name: str) -> None:
        """Say what a key may have been meant as. Its value is never shown: it may be a password."""
        if name.lower() in SECRET_WORDS:
            allowed = say(
                "계정과 비밀번호는 secrets.toml(권한 0600)에만 둡니다",
                "users and passwords stand in secrets.toml (mode 0600) only",
            )
            example = '[camera.cam01]\npassword = "…"'
            self._problem("CONFIG_PASSWORD_HERE", f"{where}.{name}", None, allowed, example)
            return
        others = [other for other in TABLES if other.name != table and name in BY_TABLE[other.name]]
        near = difflib.get_close_matches(name, list(BY_TABLE[table]), n=1)
        if near:
            allowed = _did_you_mean(near[0])
        elif others:
            allowed = say(f"{others[0].heading} 아래에 둡니다", f"it belongs under {others[0].heading}")
        else:
            allowed = ", ".join(BY_TABLE[table])
        self._problem("CONFIG_KEY_UNKNOWN", f"{where}.{name}", None, allowed)

    def _missing_table(self, table: Table) -> None:
        keys: Iterator[Key] = (key for key in BY_TABLE[table.name].values() if key.default is Absent.REQUIRED)
        lines = [table.heading, *(f"{key.name} = {key.example}" for key in keys)]
        allowed = say(f"표 {table.heading}", f"a table {table.heading}")
        if table.many:
            allowed = say("카메라 한 대 이상", "at least one camera")
        self._problem("CONFIG_TABLE_MISSING", table.name, None, allowed, "\n".join(lines))

    def _problem(self, code: str, key: str, found: Any, allowed: str, example: str = "") -> None:
        shown = "" if found is None else mask(as_toml(found))
        if len(shown) > FOUND_LIMIT:
            shown = shown[:FOUND_LIMIT] + "…"
        self.problems.append(Problem(code, str(self._file), key, shown, allowed, example))

    def _warn(self, code: str, key: str, korean: str, english: str) -> None:
        self._warnings.append(ConfigWarning(code, key, say(korean, english)))


def _touch(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def _did_you_mean(word: str) -> str:
    return say(f"혹시 {word}?", f"did you mean {word}?")
