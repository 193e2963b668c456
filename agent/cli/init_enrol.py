"""Enrolment within `pasu init`: the request to the centre, and its bundle where it is there already."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.init_end import PART_STATUS
from agent.errors import ConfigError, PasuError
from agent.language import say

if TYPE_CHECKING:
    from agent.config import Config
    from agent.field.setup.answers import Answers
    from agent.field.setup.place import Places


def enrol_by_file(places: Places, config: Config, answers: Answers, *, fresh: bool) -> int:
    """Do what [enrolment] says: the bundle is taken in where it is there, else a box that is new makes its request.

    So one file does for both times. What goes wrong is shown, and the box records all the same.
    Returns  0, or the status of a box that is ready in part
    """
    from agent.cli.problem import show_error

    wish: dict[str, Any] = answers.get("enrolment", {})
    bundle = Path(wish["bundle"]) if "bundle" in wish else None
    try:
        if bundle is not None and (bundle.exists() or "request" not in wish):
            _take_in(places, bundle, wish["city"])
        elif fresh and "request" in wish:
            _request(places, config, Path(wish["request"]))
        elif bundle is not None:
            print(say(f"! 묶음이 아직 없습니다: {bundle}", f"! The bundle is not there yet: {bundle}"))
            return PART_STATUS
    except PasuError as error:
        show_error(error)
        return PART_STATUS
    return 0


def _take_in(places: Places, bundle: Path, city: str) -> None:
    """Take a bundle in, if it is of the city whose fingerprint somebody wrote down. Raises PasuError."""
    from agent.cli.parser import UsageError
    from agent.enrolment import form

    try:
        data = bundle.read_bytes()
    except OSError as error:
        raise UsageError(
            "FILE_UNREADABLE",
            say(f"파일을 읽을 수 없습니다: {bundle}", f"cannot read the file: {bundle}"),
            hint=say("이름과 권한을 확인하십시오", "check its name and mode"),
            reason=error.strerror or "",
        ) from None
    found = form.read_bundle(data).fingerprint
    if found.split() != city.split():
        raise ConfigError(
            "INIT_CITY",
            say(
                "묶음의 도시 지문이 대답 파일의 [enrolment] city와 다릅니다",
                "the city's fingerprint in the bundle is not the one in [enrolment] city",
            ),
            hint=say(
                "관제센터에 전화로 지문을 묻고, 그것과 같을 때만 적으십시오",
                "have the centre read its fingerprint by telephone, and write that one",
            ),
            bundle=found,
        )
    if _pasu(places, "enrol", "accept", str(bundle), "--yes"):
        raise _failed(
            say("묶음을 받아들이지 못했습니다", "the centre's bundle could not be taken in"), "accept"
        )


def _failed(message: str, what: str) -> ConfigError:
    return ConfigError(
        "INIT_ENROL",
        message,
        hint=say(
            f"위의 오류를 고치고 `pasu enrol {what}`를 하십시오",
            f"mend what is said above, then `pasu enrol {what}`",
        ),
    )


def _pasu(places: Places, *words: str) -> int:
    """Run another command of ours; it goes on as the owner of the state, which this process must not."""
    command = [sys.executable, "-P", "-m", "agent.cli.main", *words, "--config", str(places.config)]
    return subprocess.run(command, check=False).returncode


def _request(places: Places, config: Config, target: Path) -> None:
    """Have the request to the centre made by the agent's user, and put it where root wants it."""
    from agent.storage.files import Disk, fault

    made = config.storage.state / "enrolment-request"
    if _pasu(places, "enrol", "request", "--output", str(made)):
        raise _failed(
            say("등록 요청을 만들지 못했습니다", "the request to the centre could not be made"), "request"
        )
    disk = Disk()
    try:
        data = made.read_bytes()
    except OSError as error:
        raise fault("read", made, error) from error
    disk.atomic_replace(target, data, sync=True, mode=0o644)
    disk.unlink(made)
    print(say(f"관제센터에 보낼 등록 요청: {target}", f"request for the centre: {target}"))


def enrol_in_talk(places: Places) -> None:
    """Show the request, and take the bundle in where it is there already; both can be done later."""
    print()
    print(say("관제센터 등록", "Enrolment with the centre"))
    title = say("지금 등록 요청을 만들까요? 나중에 하려면 n", "Make the request now? n to do it later")
    if input(f"{title} [{say('예', 'yes')}]: ").strip().lower() in ("n", "no", "아니요", "아니오"):
        return
    if _pasu(places, "enrol", "request"):
        return
    title = say(
        "관제센터가 준 묶음 파일, 나중에 하려면 Enter", "bundle from the centre, Enter to do it later"
    )
    while path := input(f"{title}: ").strip():
        if _pasu(places, "enrol", "accept", path) == 0:
            return
