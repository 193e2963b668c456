"""`pasu init`: an interview that makes a box ready, or a file that answers the same questions."""

from __future__ import annotations

import contextlib
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config
from agent.cli.init_end import finish, page_anew
from agent.cli.init_enrol import enrol_by_file, enrol_in_talk
from agent.cli.let_pass import let_pass
from agent.cli.parser import UsageError
from agent.language import say

if TYPE_CHECKING:
    import argparse

    from agent.cli.init_talk import Terminal
    from agent.config import Config
    from agent.config.load import ConfigProblems
    from agent.field.setup.answers import Answers
    from agent.field.setup.drives import Drive
    from agent.field.setup.place import Places

STOPPED_STATUS = 1


def add(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser("init", help=say("박스를 준비합니다", "make this box ready"))
    parser.description = say(
        "터미널에서 묻고, 대답으로 박스를 준비합니다: 장소와 책임, 관제센터의 키, 카메라, 영상 디스크. root로 "
        "실행합니다. 디스크는 일련번호를 그대로 적기 전에는 포맷하지 않으며, 파수의 저장소는 절대 포맷하지 않습니다. "
        "멈추어도 이어서 할 수 있고, 설정된 박스에서는 있는 것을 보이고 고르는 것만 고칩니다. 끝 상태: 0 준비됨, 1 "
        "디스크나 시스템이 거부함, 3 준비되었으나 시작이나 등록이 끝나지 않음, 78 대답을 쓸 수 없음.\n\n"
        "예:\n  sudo pasu init\n  sudo pasu init --answers answers.toml",
        "Ask in the terminal, and make the box ready by the answers: place and responsibility, the centre's keys, "
        "cameras, the disk for recordings. Run it as root. No disk is formatted before its serial number is typed, and "
        "no vault of Pasu's ever is. It can be stopped and gone on with; of a box that is configured it shows what "
        "there is, and changes what is chosen. Exit status: 0 ready, 1 disk or system refused, 3 ready but start "
        "or enrolment is not done, 78 answers that cannot be used.\n\n"
        "examples:\n  sudo pasu init\n  sudo pasu init --answers answers.toml",
    )
    parser.add_argument(
        "--answers",
        type=Path,
        metavar="FILE",
        help=say("대답 파일 (권한 0600; docs/init.md)", "file with the answers (mode 0600; docs/init.md)"),
    )
    parser.add_argument(
        "--no-start",
        action="store_true",
        help=say("끝에 아무것도 시작하지 않습니다", "start nothing at the end"),
    )
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask or read, check, put in place, start."""
    from agent.field.setup.place import Places
    from agent.field.setup.requests import Stopped

    places = Places(args.config.absolute())
    try:
        if args.answers is not None:
            return by_file(places, args.answers, start=not args.no_start)
        if not sys.stdin.isatty():
            raise UsageError(
                "INIT_NO_TERMINAL",
                say("물을 터미널이 없습니다", "there is no terminal to ask in"),
                hint=say("터미널에서 하거나 --answers를 쓰십시오", "use a terminal, or --answers"),
            )
        return by_talk(places, start=not args.no_start)
    except (Stopped, KeyboardInterrupt) as stopped:
        if not places.config.exists() and places.draft.exists():
            text = say(
                "\n여기까지의 대답을 두었습니다 (비밀번호 빼고). 이어서 하려면: pasu init",
                "\nThe answers so far are kept (but no password). To go on: pasu init",
            )
            print(text, file=sys.stderr)
        if isinstance(stopped, KeyboardInterrupt):
            raise
        return STOPPED_STATUS


def by_talk(places: Places, *, start: bool) -> int:
    """Ask somebody in the terminal."""
    from agent.cli.init_talk import Terminal
    from agent.cli.problem import show_problems
    from agent.config import ConfigProblems, load
    from agent.field.setup import session
    from agent.field.setup.answers import VAULT, completed, with_log_ins
    from agent.field.setup.place import change
    from agent.log_ins import LogIns

    _may_write(places)
    if places.config.exists():
        before = _present(places)
        before = with_log_ins(before, LogIns(places.config, places.machine).read())
        terminal, changed, config = Terminal(places, drafts=False), None, None
        while config is None:
            changed = terminal.hold(session.again(before, changed))
            if changed == before:
                print(say("바꾼 것이 없습니다.", "Nothing was changed."))
                let_pass(load(places.config), places.config)
                return 0
            try:
                config = change(places, before, changed)
            except ConfigProblems as problems:  # as of a camera that is gone, and that a trigger still shows
                show_problems(problems, sys.stdout)
        print(
            say(
                f"{config.file}을 고쳤습니다. 앞의 파일은 .bak입니다.",
                f"{config.file} was changed; the old file is .bak.",
            )
        )
        let_pass(config, places.config)
        if before.get("page") != (changed or {}).get("page"):
            page_anew(config)
        return 0
    draft = _draft(places)
    vault = str(completed(draft or {})["storage"].get("vault", VAULT))
    terminal = Terminal(places, str((draft or {}).get("box", {}).get("id", "")), vault)
    answers = terminal.hold(session.first(draft))
    while (wrong := _problems(answers, places)) is not None:
        show_problems(wrong, sys.stdout)
        answers = terminal.hold(session.review(answers, {}))
    config = _install(places, answers, terminal)
    with contextlib.suppress(EOFError):  # nobody is there any more: `pasu enrol` does it later
        enrol_in_talk(places)
    return finish(config, places.config, start=start)


def by_file(places: Places, file: Path, *, start: bool) -> int:
    """Do what a file says."""
    from agent.cli.init_talk import Terminal
    from agent.field.setup import by_file as by_file_
    from agent.field.setup.answers import completed
    from agent.field.setup.place import check

    answers = _read_answers(file)
    check(answers, file)
    _may_write(places)
    if places.config.exists():
        by_file_.unchanged(answers, _present(places))
        print(say("이미 이렇게 준비되어 있습니다.", "The box is ready just so already."))
        from agent.config import load

        config = load(places.config)
        status = enrol_by_file(places, config, answers, fresh=False)
        return finish(config, places.config, start=start) or status
    terminal = Terminal(places, answers["box"]["id"], completed(answers)["storage"]["vault"], drafts=False)
    answers = terminal.hold(by_file_.follow(answers))
    config = _install(places, answers, terminal)
    status = enrol_by_file(places, config, answers, fresh=True)
    return finish(config, places.config, start=start) or status


def _draft(places: Places) -> Answers | None:
    """Return what was answered when somebody last began; what is not to be trusted is said, and asked anew."""
    from agent.cli.problem import show_error
    from agent.errors import PasuError
    from agent.field.setup import draft

    try:
        return draft.read(places)
    except PasuError as error:
        show_error(error)
        return None


def _problems(answers: Answers, places: Places) -> ConfigProblems | None:
    """Return what is wrong with answers that are right one by one, None when nothing is."""
    from agent.config.load import ConfigProblems
    from agent.field.setup.place import check

    try:
        check(answers, places.config)
    except ConfigProblems as wrong:
        return wrong
    return None


def _present(places: Places) -> Answers:
    """Return the tables of agent.toml as they are. Raises ConfigProblems when the file cannot be used."""
    from agent.config import load
    from agent.config.load import read_toml
    from agent.field.setup import draft

    load(places.config)
    draft.drop(places)  # of an installation that was killed when it was all but done
    return read_toml(places.config)


def _read_answers(file: Path) -> Answers:
    from agent.config.load import ConfigProblems, Problem, read_toml

    content = read_toml(file)
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077 and any(
        "password" in each for each in content.get("camera", []) if isinstance(each, dict)
    ):
        allowed = say("권한 0600: 소유자만 읽을 수 있어야 합니다", "mode 0600: for its owner alone")
        problem = Problem("CONFIG_SECRETS_MODE", str(file), "", f"{mode:04o}", allowed, f"chmod 600 {file}")
        raise ConfigProblems(file, [problem])
    return content


def _may_write(places: Places) -> None:
    import os

    folder = places.config.parent
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        raise UsageError(
            "INIT_NOT_ROOT",
            say(f"{folder}에 쓸 수 없습니다", f"{folder} cannot be written"),
            hint=say("root로 하십시오: sudo pasu init", "run it as root: sudo pasu init"),
        )


def _install(places: Places, answers: Answers, terminal: Terminal) -> Config:
    """Look at the disk a last time, and put everything in place."""
    from agent.errors import StorageFault
    from agent.field.setup import drives, works
    from agent.field.setup.answers import completed
    from agent.field.setup.place import install

    drive: Drive | None = None
    device = answers["disk"].get("device")
    if device is not None:
        vault = str(completed(answers)["storage"]["vault"])
        found = drives.find(works.disks(vault, device), device)
        verdict = drives.judge(*found, answers["box"]["id"], vault) if found is not None else None
        if found is None or verdict is None or verdict.use not in (drives.Use.OURS, drives.Use.READY):
            raise StorageFault(
                verdict.code if verdict is not None and verdict.code else "INIT_DISK_CHANGED",
                verdict.text if verdict is not None else say("디스크가 사라졌습니다", "the disk is gone"),
                hint=verdict.then if verdict is not None else "",
                path=device,
            )
        drive = found[0]
    config = install(places, answers, drive)
    from agent.cli.log_ins_view import where_they_lie
    from agent.field.setup.requests import Tell, Tone
    from agent.log_ins import LogIns

    terminal.tell(Tell(say(f"준비되었습니다: {config.file}", f"Ready: {config.file}"), Tone.GOOD))
    if drive is not None:
        print(
            say(
                f"  {drive.path} → {config.storage.vaults[0]} ({places.fstab})",
                f"  {drive.path} -> {config.storage.vaults[0]} ({places.fstab})",
            )
        )
    print(say("  비밀번호: ", "  passwords: ") + where_they_lie(LogIns(config.file, places.machine)))
    return config
