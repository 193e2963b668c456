"""Judgements of the box itself: configuration, processes, time, files, units. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.field import words
from agent.field.doctor.check import Result, State, fail, ok, skip, warn
from agent.field.doctor.registry import COVERED
from agent.health import CONDITIONS, Severity, silent_s
from agent.health.gather import STALE_S
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

GRAVE = (Severity.CRITICAL, Severity.ALARM)
EXPOSED = 1.0
"""The most that `systemd-analyze security` may say of a unit, 0 (closed) to 10 (open)."""
EXPOSED_OTHERS = {
    "pasu-keep.service": 0.3,  # it has no network; those that follow are root's, or ask what no other may
    "pasu-clock.service": 0.5,
    "pasu-page-again.service": 0.7,
    "pasu-secrets.service": 0.9,
    "pasu-log-ins.service": 0.9,
    "pasu-log-ins-again.service": 0.9,
    "pasu-disks.service": 1.5,
    "pasu-egress.service": 1.8,
    "pasu-fence.service": 1.8,
    "pasu-fence-apply.service": 1.8,
    "pasu-tunnel.service": 2.5,
    "pasu-update.service": 3.4,
}
"""What it may be of some; systemd/README.md says why."""
AT_BOOT = ("pasu-fence.service",)
"""What has its work at a boot alone, and had none at the last one where there was no fence yet."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder that others must not read.

    mode     its permission bits; None when it is not there
    owner    the user's number; None where one may not look
    """

    path: str
    mode: int | None
    owner: int | None


@dataclass(frozen=True, slots=True)
class Unit:
    """What systemd says of a unit. enabled, active: its words, "" when it says nothing."""

    name: str
    enabled: str
    active: str


def config(warnings: Sequence[tuple[str, str]]) -> list[Result]:
    """Judge a configuration that could be read. warnings: key and text of each."""
    if not warnings:
        return [ok("config.valid", say("잘못이 없습니다", "nothing is wrong"))]
    return [warn("config.valid", text, key) for key, text in warnings]


def applied(sha256: str, record: Mapping[str, Any] | None) -> Result:
    """Judge whether recording follows the file. sha256: of the file."""
    said = (record or {}).get("config") or {}
    state = str(said.get("state", ""))
    if not said:
        return fail("config.applied", say("녹화가 말하지 않습니다", "recording says nothing"))
    if state != "applied" or said.get("sha256") != sha256:
        other = say("녹화는 다른 설정으로 돕니다", "recording follows another configuration")
        return fail("config.applied", f"{other} ({state})", state=state)
    return ok("config.applied", sha256[:16], sha256=sha256)


def processes(healths: Mapping[str, Mapping[str, Any] | None], boot_s: float) -> list[Result]:
    """Judge whether each process that should run has been heard of late. boot_s: seconds since boot."""
    found = []
    for name, health in healths.items():
        silent = silent_s(health, boot_s)
        title = words.process_word(name)
        if silent is None or silent > STALE_S:
            since = say("소식이 없습니다", "not heard") if silent is None else words.age(silent)
            found.append(fail("process", f"{title}: {since}", name))
        else:
            version = str((health or {}).get("version", ""))
            heard = say(f"{words.age(silent)} 전", f"{words.age(silent)} ago")
            found.append(ok("process", f"{title} {version}, {heard}", name, version=version))
    return found


def restarts(
    before: Mapping[str, Mapping[str, Any] | None], after: Mapping[str, Mapping[str, Any] | None]
) -> list[Result]:
    """Judge whether the processes that were there are the same: one that dies and comes again is always heard of late.

    before, after  what each said when one began to look, and at the end
    """
    found = []
    for name, said in before.items():
        pids = [(each or {}).get("pid") for each in (said, after.get(name))]
        if None not in pids and pids[0] != pids[1]:
            anew = say("보는 동안 새로 시작함", "started anew while one looked")
            found.append(fail("process", f"{words.process_word(name)}: {anew}", name))
    return found


def conditions(raised: Iterable[Mapping[str, Any]], results: Sequence[Result]) -> list[Result]:
    """Judge what the box says is wrong, but for what a check of its own has said already, and as badly.

    raised   as in `health.gather`
    results  of the checks before
    """
    found = []
    for each in raised:
        condition = CONDITIONS[each["code"]]
        grave = condition.severity in GRAVE
        if condition.severity is Severity.INFO or _is_told(each, results, grave=grave):
            continue
        make = fail if grave else warn
        text = f"{condition.what} → {condition.next}"
        subject = f"{each['code']} {each['subject']}".strip()
        found.append(make("condition", text, subject, detail=each["detail"]))
    return found or [ok("condition", say("다른 이상이 없습니다", "nothing else is wrong"))]


def _is_told(raised: Mapping[str, Any], results: Sequence[Result], *, grave: bool) -> bool:
    """Tell whether a check has found what a condition says; one of a camera, of that camera."""
    bad = (State.FAILURE,) if grave else (State.FAILURE, State.WARNING)
    checks = COVERED.get(raised["code"], ())
    about = raised["subject"] if raised["code"].startswith("camera.") else None
    return any(
        each.check in checks and each.state in bad and about in (None, each.subject) for each in results
    )


def clock(trust: str, rtc: int | None, *, kernel_synced: bool, word_until: str = "") -> list[Result]:
    """Judge the time.

    trust          as the box labels it: SYNCED, HOLDOVER, UNTRUSTED
    rtc            seconds that the battery clock is away from the time; None: there is none
    kernel_synced  what adjtimex(2) says
    word_until     until when trust stands by somebody's word alone; "": there is none
    """
    make = {"SYNCED": ok, "HOLDOVER": warn}.get(trust, fail)
    by_word = word_until if trust == "HOLDOVER" else ""
    found = [
        _synced(by_word, kernel_synced=kernel_synced),
        make("clock.trust", words.trust_word(trust), trust=trust),
    ]
    if rtc is None:
        found.append(warn("clock.rtc", say("시계 전지가 없습니다", "there is no battery clock")))
    else:
        away = abs(rtc)
        make = ok if away <= 5 else warn
        text = say(f"시스템 시각과 {away}초 차이", f"{away} s from the system's time")
        found.append(make("clock.rtc", text, away_s=away))
    return found


def _synced(by_word: str, *, kernel_synced: bool) -> Result:
    """Judge synchronisation. A word stands in for a time server, for a while; without one its lack is a failure."""
    if kernel_synced:
        return ok("clock.synced", say("동기됨", "synchronised"))
    if not by_word:
        return fail("clock.synced", say("동기되지 않음", "not synchronised"))
    text = say(
        f"동기되지 않음; 사람이 확인한 시각으로 {by_word}까지, 그 전에 다시 켜지면 그때까지",
        f"not synchronised; by a person's word, until {by_word}, or the next start before it",
    )
    return warn("clock.synced", text, until=by_word)


def permissions(places: Iterable[Place], owner: int) -> list[Result]:
    """Judge who may read what is nobody's business. owner: the user that records, by whom all of it is owned."""
    found = []
    for place in places:
        if place.owner is None:
            found.append(
                warn("permission", say("볼 권한이 없습니다 (sudo)", "may not be seen (sudo)"), place.path)
            )
            continue
        if place.mode is None:
            found.append(skip("permission", say("없습니다", "not there"), place.path))
            continue
        mode = f"{place.mode:04o}"
        if place.mode & 0o007:
            text = say(f"아무나 다룰 수 있음 ({mode})", f"open to everybody ({mode})")
            found.append(fail("permission", text, place.path, mode=mode))
        elif place.mode & 0o070:
            text = say(f"그룹이 다룰 수 있음 ({mode})", f"open to its group ({mode})")
            found.append(warn("permission", text, place.path, mode=mode))
        elif place.owner not in (0, owner):
            text = say(f"다른 사용자의 것 ({place.owner})", f"another user's ({place.owner})")
            found.append(fail("permission", text, place.path, owner=place.owner))
        else:
            found.append(ok("permission", mode, place.path, mode=mode))
    return found


@dataclass(frozen=True, slots=True)
class Opening:
    """Whether log-ins that are sealed open.

    opens  None: that was not tried, or something else is wrong
    wrong  the code of what else is wrong; "": nothing
    """

    opens: bool | None
    wrong: str = ""


def sealing(
    form: str, key: str | None, *, opens: Opening, can_seal: bool, leftover: bool, has_tpm: bool = False
) -> Result:
    """Judge how the log-ins of cameras lie there.

    form      "absent", "clear" or "sealed"
    key       what opens those that are sealed: "tpm", "host", another; None: that may not be seen
    opens     whether they do
    can_seal  whether this machine could seal those that are in clear
    leftover  besides what is sealed something lies there in clear
    has_tpm   the machine has a TPM that the kernel knows
    """
    check = "secrets.sealed"
    if form == "absent":
        return skip(check, say("계정이 없습니다", "there are no log-ins"))
    if opens.wrong:
        wrong = say(f"읽을 수 없습니다: {opens.wrong}", f"they cannot be read: {opens.wrong}")
        return fail(check, wrong, form=form, key=key)
    if form == "clear" and not (can_seal or leftover):
        why = say("이 기계는 봉인할 수 없습니다 (0600)", "this machine cannot seal; mode 0600")
        return skip(check, why, form=form, key=key)
    if form == "clear":
        lies = say("secrets.toml에 읽을 수 있게 있습니다", "they lie in secrets.toml in clear")
        return warn(check, lies, form=form, key=key)
    if key is None or opens.opens is None:
        return warn(check, say("볼 권한이 없습니다 (sudo)", "may not be seen (sudo)"), form=form, key=key)
    if not opens.opens:
        return fail(
            check, say("이 기계에서 열리지 않습니다", "this machine does not open them"), form=form, key=key
        )
    if leftover:
        left = say("봉인되지 않은 복사본이 남아 있습니다", "a copy in clear is left")
        return warn(check, left, form=form, key=key)
    if key == "tpm":
        text = say(
            "이 기계의 TPM과 시스템 디스크의 키에 봉인",
            "sealed to this machine's TPM and its system disk's key",
        )
        return ok(check, text, form=form, key=key)
    if key == "host" and has_tpm:
        text = say(
            "시스템 디스크의 키에만 봉인: TPM이 있지만 쓰이지 않았습니다. libtss2 패키지를 설치하고 `sudo pasu secrets "
            "open --yes` 다음 `seal`",
            "sealed to the system disk's key alone: there is a TPM, which was not used. Install the libtss2 packages, "
            "then `sudo pasu secrets open --yes` and `seal`",
        )
        return warn(check, text, form=form, key=key)
    if key == "host":
        text = say(
            "시스템 디스크의 키에 봉인 (TPM 없음: 디스크째 잃으면 열립니다)",
            "sealed to the system disk's key (no TPM: with that disk they open)",
        )
        return ok(check, text, form=form, key=key)
    return fail(
        check, say("무엇에도 봉인되지 않았습니다", "sealed to nothing that is known"), form=form, key=key
    )


def units(found: Iterable[Unit] | None) -> list[Result]:
    """Judge whether the units start by themselves and run. found: None where no systemd runs."""
    if found is None:
        return [skip("unit", say("이 기계에는 systemd가 돌지 않습니다", "no systemd runs on this machine"))]
    results = []
    for unit in found:
        said = f"{unit.enabled or '–'}, {unit.active or '–'}"
        runs = unit.active == "active" or (unit.name in AT_BOOT and unit.active != "failed")
        good = unit.enabled in ("enabled", "static") and runs
        make, text = (ok, say("저절로 시작하고 실행 중", said)) if good else (fail, said)
        results.append(make("unit", text, unit.name, enabled=unit.enabled, active=unit.active))
    return results


def exposures(found: Mapping[str, float] | None) -> list[Result]:
    """Judge what `systemd-analyze security` says. found: by unit, 0 (closed) to 10 (open); None: it cannot be asked."""
    if not found:
        why = say("유닛이나 systemd-analyze가 없습니다", "there are no units, or no systemd-analyze")
        return [skip("hardening.unit", why)]
    results = []
    for unit, exposure in found.items():
        most = EXPOSED_OTHERS.get(unit, EXPOSED)
        text = say(f"노출 {exposure:.1f} (한도 {most})", f"exposure {exposure:.1f} (limit {most})")
        make = ok if exposure <= most else warn
        results.append(make("hardening.unit", text, unit, exposure_tenths=round(exposure * 10)))
    return results


def memory(swaps: Sequence[str], cores: Mapping[str, int | None]) -> list[Result]:
    """Judge whether memory may get onto a disk.

    swaps   devices and files of swap that are neither in memory nor encrypted
    cores   by process, the largest core file that it may leave, bytes; None: it cannot be seen
    """
    found = []
    if swaps:
        found.append(fail("hardening.memory", say("스왑이 켜져 있음", "swap is on"), ", ".join(swaps)))
    else:
        found.append(ok("hardening.memory", say("디스크에 스왑이 없습니다", "no swap on a disk"), "swap"))
    for process, most in cores.items():
        if most is None:
            found.append(skip("hardening.memory", say("볼 수 없습니다", "cannot be seen"), process))
        elif most:
            found.append(
                fail("hardening.memory", say("코어 파일을 남길 수 있음", "may leave a core"), process)
            )
        else:
            found.append(ok("hardening.memory", say("코어 파일 없음", "leaves no core"), process))
    return found


def page(configured: bool, answers: Mapping[str, str]) -> list[Result]:
    """Judge the page. answers: by address, "" when it answered with its own certificate, else what was wrong."""
    if not configured:
        return [skip("page", say("[page]가 없습니다", "there is no [page]"))]
    return [
        fail("page", wrong, address) if wrong else ok("page", say("대답합니다", "answers"), address)
        for address, wrong in answers.items()
    ]
