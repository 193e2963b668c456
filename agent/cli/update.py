"""`pasu update`: another version of Pasu in the place of this one, signed, watched, and taken back by itself."""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config, user
from agent.language import say

if TYPE_CHECKING:
    import argparse

    from agent.field.updating.store import Store

KEYS = Path("/opt/pasu/share/release-keys")
AFTER_BOOT = "pasu-update.service"


def add(commands: Any) -> None:
    """Describe the commands."""
    group = commands.add_parser(
        "update", help=say("파수를 새 버전으로 바꿉니다", "install another version of Pasu")
    )
    group.description = say(
        "서명된 패키지를 확인하고 설치한 다음, 전에 녹화하던 카메라가 180초 안에 다시 녹화하지 않으면 스스로 전의 "
        "버전으로 되돌립니다. 도중에 전원이 나가도 다음 부팅 때 마저 합니다.",
        "Verify a signed package, install it, and go back to the version before where cameras that recorded do not "
        "record again within 180 s. After a power cut in the middle it is finished at the next boot.",
    )
    actions = group.add_subparsers(
        dest="action", title=say("명령", "commands"), metavar=say("명령", "COMMAND"), required=True
    )
    _add_apply(actions)
    _add_keep(actions)
    _add_status(actions)
    _add_resume(actions)


def _add_apply(actions: Any) -> None:
    parser = actions.add_parser("apply", help=say("패키지를 설치합니다", "install a package"))
    parser.description = say(
        "FILE 옆의 FILE.minisig를 배포 키로 확인하기 전에는 아무것도 읽지 않습니다. root로 하십시오. "
        "되돌렸으면 종료 상태는 3입니다.\n\n예:\n  sudo pasu update apply pasu-agent_1.2.0_amd64.deb",
        "Nothing of FILE is read before FILE.minisig, beside it, was verified with the release keys. Takes root. "
        "Exit status 3 when it was taken back.\n\nexamples:\n  sudo pasu update apply pasu-agent_1.2.0_amd64.deb",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help=say("패키지 (.deb)", "the package (.deb)"))
    parser.add_argument(
        "--older",
        default="",
        metavar="REASON",
        help=say("옛 버전이라도, 이 까닭으로", "also an older version, for this reason"),
    )
    parser.add_argument(
        "--anyway",
        action="store_true",
        help=say("지금 녹화하는 카메라가 없어도", "also where no camera records now"),
    )
    parser.add_argument(
        "--no-way-back",
        action="store_true",
        help=say("되돌아갈 길이 없어도", "also where there is no way back"),
    )
    add_config(parser)
    parser.set_defaults(run=run_apply)


def _add_keep(actions: Any) -> None:
    parser = actions.add_parser(
        "keep",
        help=say("설치된 버전의 패키지를 간직합니다", "keep the package of the version that is installed"),
    )
    parser.description = say(
        "처음 설치한 뒤 한 번 합니다. 간직한 패키지가 되돌아갈 길입니다. `pasu update apply`가 설치한 것은 저절로 "
        "간직됩니다. 서명을 똑같이 확인합니다.\n\n예:\n  sudo pasu update keep pasu-agent_1.1.0_amd64.deb",
        "To be done once after the first installation: what is kept is the way back. What `pasu update apply` "
        "installs is kept by itself. Its signature is verified in the same way.\n\n"
        "examples:\n  sudo pasu update keep pasu-agent_1.1.0_amd64.deb",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help=say("패키지 (.deb)", "the package (.deb)"))
    parser.set_defaults(run=run_keep)


def _add_status(actions: Any) -> None:
    parser = actions.add_parser("status", help=say("업데이트의 형편을 보입니다", "say how it stands"))
    parser.description = say(
        "설치된 버전, 되돌아갈 길, 진행 중인 것과 마지막 업데이트의 결과를 보입니다. "
        "되돌아갈 길과 진행 중인 것은 root만 볼 수 있습니다.",
        "Show the version, the way back, what is on its way, and what became of the last update. Of these only root "
        "sees the way back and what is on its way.",
    )
    parser.add_argument("--json", action="store_true", help=say("JSON으로 씁니다", "write JSON"))
    parser.set_defaults(run=run_status)


def _add_resume(actions: Any) -> None:
    parser = actions.add_parser(
        "resume", help=say("끊긴 업데이트를 마저 합니다", "finish an update that was cut off")
    )
    parser.description = say(
        f"{AFTER_BOOT}가 부팅 때 하는 일입니다. 끊긴 업데이트가 없으면 아무것도 하지 않습니다.",
        f"What {AFTER_BOOT} does at each boot. Without an update that was cut off it does nothing.",
    )
    parser.set_defaults(run=run_resume)


def run_apply(args: argparse.Namespace) -> int:
    """Stage it, and have the rescue do the rest."""
    from agent.config import load
    from agent.field.updating import stage
    from agent.field.updating.machine import Debian

    _require_root()
    config, store = load(args.config), _store()
    lock = _lock(store)
    try:
        journal = stage.apply(
            args.file,
            store,
            Debian(),
            config,
            keys=KEYS,
            by=user(),
            name=secrets.token_hex(8),
            older=args.older,
            anyway=args.anyway,
            no_way_back=args.no_way_back,
        )
    finally:
        os.close(lock)
    print(
        say(
            f"{journal.was} → {journal.new.version}: 서명한 키 {journal.new.kid}",
            f"{journal.was} -> {journal.new.version}: signed by key {journal.new.kid}",
        ),
        flush=True,
    )
    return _finish(store)


def _finish(store: Store) -> int:
    """Start the rescue in a session of its own, and wait for its end.

    Raises  TakenBack UPDATE_ROLLED_BACK, UPDATE_FAILED
    """
    from agent.field.updating import rescue, stage

    with subprocess.Popen(rescue.command(store), start_new_session=True, stdin=subprocess.DEVNULL) as working:
        try:
            status = working.wait()
        except KeyboardInterrupt:
            print(
                say(
                    "업데이트는 혼자 계속됩니다. `pasu update status`로 보십시오.",
                    "The update goes on by itself: see `pasu update status`.",
                )
            )
            os._exit(130)  # without waiting for it
    if status == rescue.BUSY:
        raise stage.busy()
    last = store.last()
    if status == 0:
        print(say("설치했고, 녹화합니다.", "Installed, and it records."))
    if status != rescue.NOT_APPLIED or last is None:
        return status
    code = "UPDATE_ROLLED_BACK" if last["outcome"] == "rolled_back" else "UPDATE_FAILED"
    text = {
        "UPDATE_ROLLED_BACK": say("전의 버전으로 되돌렸습니다", "the version before is back"),
        "UPDATE_FAILED": say(
            "새 버전이 제대로 녹화하지 않고, 되돌릴 수 없습니다",
            "the new version does not record as it should, and cannot be taken back",
        ),
    }[code]
    raise stage.TakenBack(
        code, text, version=last["version"], why=last["why"], missing=" ".join(last["missing"])
    )


def run_keep(args: argparse.Namespace) -> int:
    """Keep it."""
    from agent.field.updating import stage
    from agent.field.updating.machine import Debian

    _require_root()
    store = _store()
    lock = _lock(store)
    try:
        package = stage.keep(args.file, store, Debian(), keys=KEYS)
    finally:
        os.close(lock)
    print(
        say(
            f"간직했습니다: {package.version}, 서명한 키 {package.kid}",
            f"kept: {package.version}, signed by key {package.kid}",
        )
    )
    return 0


def run_status(args: argparse.Namespace) -> int:
    """Show it."""
    import json

    from agent import __version__
    from agent.field.updating.machine import Debian
    from agent.field.updating.plan import Unreadable
    from agent.field.updating.store import Store
    from agent.storage.files import Disk
    from agent.storage.updated import PLACE

    store = Store(PLACE, Disk())
    said: dict[str, Any] = {"runs": __version__, "installed": Debian().installed(), "last": store.last()}
    if os.geteuid() == 0:
        kept = store.kept()
        try:
            journal = store.journal()
            phase = str(journal.phase) if journal else None
        except (OSError, Unreadable):
            phase = "unreadable"
        said |= {"kept": kept.version if kept else None, "phase": phase}
    if args.json:
        print(json.dumps(said, ensure_ascii=False))
        return 0
    for name, value in _rows(said):
        print(f"{name}: {value}")
    return 0


def _rows(said: dict[str, Any]) -> list[tuple[str, str]]:
    from agent.cli.times import show_time
    from agent.field.updating.finish import why_text

    none = say("없음", "none")
    rows = [(say("설치된 버전", "installed"), said["installed"] or said["runs"])]
    if "kept" in said:
        rows.append((say("되돌아갈 길", "way back"), said["kept"] or none))
        rows.append((say("진행 중", "on its way"), said["phase"] or none))
    last = said["last"]
    if last is None:
        return [*rows, (say("마지막 업데이트", "last update"), none)]
    words = {
        "applied": say("설치됨", "installed"),
        "rolled_back": say("되돌림", "taken back"),
        "failed": say("제대로 녹화하지 않고 되돌릴 수 없음", "does not do, and no way back"),
    }
    text = f"{last['before']} → {last['version']}, {show_time(last['at_ms'], None)}, {words[last['outcome']]}"
    rows.append((say("마지막 업데이트", "last update"), text))
    if last["why"]:
        rows.append((say("까닭", "why"), why_text(last["why"], last["missing"])))
    return rows


def run_resume(args: argparse.Namespace) -> int:  # noqa: ARG001 - the form of all commands
    """Finish what was cut off."""
    _require_root()
    store = _store()
    if store.journal() is None:
        print(say("끝낼 업데이트가 없습니다.", "There is no update to finish."))
        return 0
    return _finish(store)


def _store() -> Store:
    from agent.field.updating.store import Store
    from agent.storage.files import Disk
    from agent.storage.updated import PLACE

    store = Store(PLACE, Disk())
    store.make()
    return store


def _lock(store: Store) -> int:
    from agent.field.updating import stage

    lock = store.lock()
    if lock is None:
        raise stage.busy()
    return lock


def _require_root() -> None:
    """Refuse whoever may not install. Raises UpdateError UPDATE_ROOT."""
    from agent.field.updating.stage import UpdateError

    if os.geteuid() != 0:
        raise UpdateError("UPDATE_ROOT", say("root로 하십시오", "this takes root"))
