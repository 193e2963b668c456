"""What the commands of `pasu centre` share: the city's folder, passphrases, and who signs."""

from __future__ import annotations

import getpass
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.parser import UsageError
from agent.language import say

if TYPE_CHECKING:
    import argparse

    from agent.centre.city import City
    from agent.centre.rings import Signer
    from agent.command.keyring import Key


def add_city(parser: argparse.ArgumentParser) -> None:
    """Add --city."""
    parser.add_argument(
        "--city",
        type=Path,
        default=Path(),
        metavar="DIR",
        help=say(
            "`pasu centre init`이 만든 도시 폴더 (기본: 지금 폴더)",
            "the city's folder, made by `pasu centre init` (default: here)",
        ),
    )


def add_passphrase(parser: argparse.ArgumentParser) -> None:
    """Add --passphrase-file."""
    parser.add_argument(
        "--passphrase-file",
        type=Path,
        metavar="FILE",
        help=say(
            "암호가 든 파일. 없으면 필요할 때 묻습니다",
            "file with the passphrase; asked for when needed without it",
        ),
    )


def open_city(args: argparse.Namespace) -> City:
    """Open the folder that --city names."""
    from agent.centre import city

    return city.load(args.city)


def passphrase(file: Path | None, path: Path) -> bytes:
    """Return the passphrase of a key file, from a file or the keyboard."""
    if file is not None:
        try:
            return file.read_bytes().rstrip(b"\r\n")
        except OSError as error:
            raise UsageError(
                "FILE_UNREADABLE",
                say(f"파일을 읽을 수 없습니다: {file}", f"cannot read the file: {file}"),
                hint=say("이름과 권한을 확인하십시오", "check its name and mode"),
                reason=error.strerror or "",
            ) from None
    return getpass.getpass(say(f"{path.name}의 암호: ", f"passphrase of {path.name}: ")).encode()


def now_ms() -> int:
    """Return the centre's time, UTC ms."""
    return time.time_ns() // 1_000_000


def signing_key(where: City, who: str | None) -> Key:
    """Return the key that signs, by name or kid; the centre's own without one."""
    from agent.centre import rings
    from agent.command.keyring import Role

    name, role = (rings.SERVICE, Role.SERVICE) if who is None else (who, None)
    return rings.find(rings.newest(where), name, role, now_ms())


def signer(args: argparse.Namespace, where: City, who: str | None) -> Signer:
    """Return who signs, as `signing_key` finds it, with the key opened."""
    from agent.centre import rings

    def unlock(path: Path) -> bytes:
        return passphrase(getattr(args, "passphrase_file", None), path)

    return rings.signer(where, signing_key(where, who), unlock)


def confirmed(question: str, *, yes: bool) -> bool:
    """Ask; without a terminal the answer is no. `yes` is that of --yes."""
    if yes:
        return True
    if not sys.stdin.isatty():
        return False
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes", "예", "네")
