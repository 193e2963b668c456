"""The same questions answered by a file: no answer is asked for again, a refusal ends it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.errors import ConfigError, StorageFault
from agent.field.setup import disk_talk, fit, trial
from agent.field.setup.answers import FACTORY, completed, config_tables, with_factory_password
from agent.field.setup.drives import Use, find, judge, listed
from agent.field.setup.requests import Disks, Format, Measure, Tell, Tone
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Generator

    from agent.field.setup.answers import Answers
    from agent.field.setup.drives import Drive
    from agent.field.setup.requests import Request, Talk


def follow(answers: Answers) -> Talk:
    """Do what a file says for a new box. Its answers have been checked.

    Returns  the answers, with what was measured
    Raises   ConfigError INIT_FACTORY_PASSWORD; StorageFault with the code of the refusal
    """
    for each in _waived(answers):
        text = say(
            f"{each['id']}: 공장 출하 비밀번호입니다. 카메라에서 바꾸십시오.",
            f"{each['id']}: a factory password; change it in the camera.",
        )
        yield Tell(text, Tone.WARN)
    yield from trial.report(answers["camera"])
    drive = yield from _disk(answers)
    load, _, count = disk_talk.planned(answers, {})
    cost: fit.Cost = yield Measure(drive, str(completed(answers)["storage"]["vault"]), load, count)
    yield from disk_talk.forecast(answers, cost, {})
    storage = answers["storage"]
    if "loss_window_s" in storage:
        return answers
    window = fit.window_s(cost)
    if window is None:
        yield Tell(disk_talk.too_slow(), Tone.WARN)
        window = fit.WINDOWS_S[-1]
    return {**answers, "storage": {**storage, "loss_window_s": window}}


def _waived(answers: Answers) -> list[dict[str, Any]]:
    """Return the cameras with a factory password, each of which the file puts up with (fault row D12).

    Raises  ConfigError INIT_FACTORY_PASSWORD for those it does not
    """
    found = with_factory_password(answers)
    refused = [str(each["id"]) for each in found if FACTORY not in each.get("waive", [])]
    if refused:
        line = f'waive = ["{FACTORY}"]'
        raise ConfigError(
            "INIT_FACTORY_PASSWORD",
            say("공장 출하 비밀번호로는 넣지 않습니다", "a camera is not added with a factory password"),
            hint=say(
                f"카메라에서 비밀번호를 바꾸고 파일에 적으십시오. 알고도 넣으려면 그 [[camera]]에 {line}",
                f"set another in the camera, and write it into the file; {line} in its [[camera]] adds it all the same",
            ),
            cameras=", ".join(refused),
        )
    return found


def _disk(answers: Answers) -> Generator[Request, Any, Drive | None]:
    wish = answers["disk"]
    device = wish.get("device", "")
    there: tuple[Drive, ...] = yield Disks(device)
    box, vault = str(answers["box"]["id"]), str(completed(answers)["storage"]["vault"])
    if not device:
        if any(judge(*each, box, vault).use is not Use.NEVER for each in listed(there)):
            raise StorageFault("INIT_DISK_NOT_ONLY", disk_talk.not_alone(), hint=_name_it())
        yield Tell(disk_talk.meaning(), Tone.WARN)
        return None
    found = find(there, device)
    if found is None:
        raise StorageFault(
            "INIT_DISK_UNKNOWN",
            say("그런 디스크가 없습니다", "there is no such disk"),
            hint=", ".join(drive.path for drive, _ in listed(there)) or _name_it(),
            path=device,
        )
    verdict = judge(*found, box, vault)
    if verdict.use is Use.FORMAT and "format" in wish:
        yield Format(found[0], wish["format"])
        return found[0]
    if verdict.use in (Use.FORMAT, Use.NEVER):
        raise StorageFault(verdict.code, verdict.text, hint=verdict.then, path=device)
    yield Tell(f"{device}: {verdict.text}", Tone.GOOD)
    return found[0]


def _name_it() -> str:
    return say("`lsblk`로 보고 [disk] device에 적으십시오", "see `lsblk`, and name one as device of [disk]")


def unchanged(answers: Answers, present: Answers) -> None:
    """Make sure that a box which is configured already has just what a file says.

    present  the tables of its agent.toml
    Raises   ConfigError INIT_CONFIGURED
    """
    wanted = config_tables(answers)
    measured = {"loss_window_s": present.get("storage", {}).get("loss_window_s")}
    wanted = {**wanted, "storage": {**measured, **wanted["storage"]}}
    if wanted != present:
        differ = sorted(name for name in {*wanted, *present} if wanted.get(name) != present.get(name))
        raise ConfigError(
            "INIT_CONFIGURED",
            say("이 박스는 이미 다르게 설정되어 있습니다", "this box is configured already, and otherwise"),
            hint=say(
                "아무것도 바꾸지 않았습니다. 터미널에서 `pasu init`으로 고치거나 agent.toml을 고치십시오",
                "nothing was changed; change it with `pasu init` in a terminal, or edit agent.toml",
            ),
            found=", ".join(differ),
        )
