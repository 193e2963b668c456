"""Answers: what a person wants of a box, in the tables of agent.toml and a few besides. Pure.

    [disk]       device, format, system_disk: where recordings lie, and whether that disk may be made anew
    [enrolment]  request: the file that the request to the centre is written to; bundle: the centre's answer, once it is
                 there; city: the city's fingerprint, as the centre reads it out
    [[camera]]   username, password: never go into agent.toml, but among the log-ins (`agent.log_ins`)
                 waive: alarms that are put up with, by their names of `pasu discover --waive`; agent.toml has them as
                 a comment

The interview makes them, a file may hold them, and a draft keeps them (without passwords) while nobody is done yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.config.keys import BY_TABLE, TABLES
from agent.config.load import Problem
from agent.config.secrets import LIMIT, Login, quoted
from agent.language import say
from agent.onvif.factory import is_factory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.config.secrets import Secrets

Answers = dict[str, Any]

VAULT, STATE = "/var/lib/pasu/vault", "/var/lib/pasu/state"
OWN: dict[str, dict[str, type]] = {
    "disk": {"device": str, "format": str, "system_disk": bool},
    "enrolment": {"request": str, "bundle": str, "city": str},
}
FACTORY = "factory-password"
WAIVABLE = (FACTORY,)
"""What `waive` may name. A password in clear is put up with by agent.toml's own `allow_basic_auth`."""
LOG_IN = ("username", "password")
BESIDE = (*LOG_IN, "waive")
"""Keys of a camera that are none of agent.toml's."""
HEAD = "# /etc/pasu/agent.toml: docs/configuration.md. `pasu config check` shows what is wrong with it.\n"
SECRETS_HEAD = "# Users and passwords of cameras: for the agent alone, and never in agent.toml.\n"


def completed(answers: Answers) -> Answers:
    """Return the answers with the folders that a box has where nobody says otherwise."""
    storage = answers.get("storage", {})
    if not isinstance(storage, dict):
        return answers
    return {**answers, "storage": {"vault": VAULT, "state": STATE, **storage}}


def problems(answers: Answers, file: str) -> list[Problem]:
    """Say what is wrong with what agent.toml knows nothing of. Passwords are never shown."""
    found: list[Problem] = []
    for name, keys in OWN.items():
        table = answers.get(name, {})
        if not isinstance(table, dict):
            found.append(_problem("CONFIG_TABLE", file, name, say(f"표 [{name}]", f"a table [{name}]")))
            continue
        for key, value in table.items():
            if key not in keys:
                found.append(_problem("CONFIG_KEY_UNKNOWN", file, f"{name}.{key}", ", ".join(keys)))
            elif type(value) is not keys[key] or value == "":
                allowed = (
                    say("true 또는 false", "true or false") if keys[key] is bool else say("글", "a text")
                )
                found.append(_problem("CONFIG_VALUE", file, f"{name}.{key}", allowed))
    disk = answers.get("disk", {})
    if isinstance(disk, dict) and ("device" in disk) == (disk.get("system_disk") is True):
        allowed = say(
            "device 또는 system_disk = true, 둘 가운데 하나",
            "either device or system_disk = true, one of them",
        )
        found.append(_problem("CONFIG_VALUE", file, "disk", allowed, '[disk]\ndevice = "/dev/sdb"'))
    enrolment = answers.get("enrolment", {})
    if isinstance(enrolment, dict) and "bundle" in enrolment and "city" not in enrolment:
        allowed = say(
            "관제센터가 읽어 준 도시의 지문", "the city's fingerprint, as the centre reads it by telephone"
        )
        found.append(_problem("CONFIG_VALUE", file, "enrolment.city", allowed, 'city = "0123 4567 …"'))
    storage = answers.get("storage", {})
    if isinstance(storage, dict) and not isinstance(storage.get("vault", ""), str):
        found.append(
            _problem(
                "CONFIG_VALUE", file, "storage.vault", say("폴더 하나", "one folder"), f'vault = "{VAULT}"'
            )
        )
    for number, camera in enumerate(_cameras(answers), 1):
        found += [
            _problem("CONFIG_VALUE", file, f"camera[{number}].{key}", allowed)
            for key, allowed in _log_in_problems(camera)
        ]
    return found


def _log_in_problems(camera: dict[str, Any]) -> list[tuple[str, str]]:
    user, word = camera.get("username"), camera.get("password")
    found = []
    if "password" in camera and "username" not in camera:
        found.append(("username", say("비밀번호에는 계정이 있어야 합니다", "a password needs its user")))
    if user is not None and not right_user(user):
        found.append(
            (
                "username",
                say(
                    f"':'이 없는 한 줄의 글, {LIMIT}자까지",
                    f"one line of text without ':', at most {LIMIT} characters",
                ),
            )
        )
    if word is not None and not right_password(word):
        found.append(
            ("password", say(f"한 줄의 글, {LIMIT}자까지", f"one line of text, at most {LIMIT} characters"))
        )
    waived = camera.get("waive", [])
    if not isinstance(waived, list) or any(each not in WAIVABLE for each in waived):
        found.append(("waive", value(list(WAIVABLE))))
    return found


def right_user(user: object) -> bool:
    """Tell whether a text may be a user at a camera. Source agent.config.secrets."""
    return isinstance(user, str) and 0 < len(user) <= LIMIT and user.isprintable() and ":" not in user


def right_password(word: object) -> bool:
    """Tell whether a text may be a password; an empty one may."""
    return isinstance(word, str) and len(word) <= LIMIT and (word.isprintable() or not word)


def _problem(code: str, file: str, key: str, allowed: str, example: str = "") -> Problem:
    return Problem(code, file, key, "", allowed, example)


def _cameras(answers: Answers) -> list[dict[str, Any]]:
    tables = answers.get("camera", [])
    return [each for each in tables if isinstance(each, dict)] if isinstance(tables, list) else []


def config_tables(answers: Answers) -> Answers:
    """Return what goes into agent.toml; what is not known stays, for the check to refuse it.

    A password goes out hashed, unless it is said that it may be shown to the line (D15).
    """
    tables = {name: table for name, table in completed(answers).items() if name not in OWN}
    if isinstance(tables.get("camera"), list):
        tables["camera"] = [
            {"allow_basic_auth": False, **each} if isinstance(each, dict) and each.get("username") else each
            for each in tables["camera"]
        ]
    return _without(tables, BESIDE)


def cameras_as_written(before: Answers, after: Answers) -> list[dict[str, Any]]:
    """Return the [[camera]] tables of a changed agent.toml: those it had, in its order, and what is new behind them.

    before, after  the tables of agent.toml as they are, and as they should be
    """
    wanted = {each["id"]: each for each in _cameras(after)}
    there = [each["id"] for each in _cameras(before)]
    kept = _without({"camera": [wanted[name] for name in there if name in wanted]}, BESIDE)["camera"]
    new = [each for name, each in wanted.items() if name not in there]
    return [*kept, *config_tables({"camera": new})["camera"]]


def log_ins(answers: Answers) -> dict[str, Login]:
    """Return the log-ins of cameras, by id."""
    return {
        each["id"]: Login(each["username"], each.get("password", ""))
        for each in _cameras(answers)
        if each.get("username")
    }


def with_factory_password(answers: Answers) -> list[dict[str, Any]]:
    """Return the [[camera]] tables whose log-in is one that cameras leave the factory with. Fault row D12."""
    return [
        each
        for each in _cameras(answers)
        if each.get("username") and is_factory(each["username"], each.get("password", ""))
    ]


def with_log_ins(answers: Answers, secrets: Secrets) -> Answers:
    """Return the tables of an agent.toml with the log-ins of its cameras in them."""
    cameras = [
        {**each, "username": login.username, "password": login.password}
        if (login := secrets.login(each["id"])) is not None
        else each
        for each in _cameras(answers)
    ]
    return {**answers, "camera": cameras}


def _without(tables: Answers, keys: tuple[str, ...]) -> Answers:
    """Leave keys of cameras out."""
    if not isinstance(tables.get("camera"), list):
        return tables
    cameras = [
        {key: what for key, what in each.items() if key not in keys} if isinstance(each, dict) else each
        for each in tables["camera"]
    ]
    return {**tables, "camera": cameras}


def config_text(answers: Answers) -> str:
    """Write agent.toml from answers in which nothing is wrong."""
    return HEAD + _written(config_tables(answers), _waived(answers))


def draft_text(answers: Answers) -> str:
    """Write what has been answered so far, without any password."""
    return _written(_without(answers, ("password",)))


def secrets_text(answers: Answers) -> str:
    """Write the log-ins; also where there is none, so that whoever adds one finds them, with their form and mode."""
    return SECRETS_HEAD + "".join(
        "\n".join(
            (
                f"\n[camera.{each['id']}]",
                f"username = {quoted(each['username'])}",
                f"password = {quoted(each.get('password', ''))}\n",
            )
        )
        for each in _cameras(answers)
        if each.get("username")
    )


def camera_tables(cameras: list[dict[str, Any]]) -> str:
    """Write the [[camera]] tables of further cameras, each after an empty line."""
    tables = {"camera": config_tables({"camera": cameras})["camera"]}
    return _written(tables, _waived({"camera": cameras}))


def _waived(answers: Answers) -> dict[str, str]:
    """Return the comment of each camera that was added in spite of an alarm, as `pasu discover` writes it."""
    return {each["id"]: f"# waived when it was added: {FACTORY}" for each in with_factory_password(answers)}


def _written(tables: Answers, remarks: Mapping[str, str] | None = None) -> str:
    """Write tables as TOML, those of agent.toml in its order, keys in the order of the documentation.

    remarks  comments, by camera; they stand below its heading, and so go when its table goes
    """
    order = [table.name for table in TABLES]
    names = sorted(tables, key=lambda name: order.index(name) if name in order else len(order))
    parts = []
    for name in names:
        many = tables[name] if isinstance(tables[name], list) else [tables[name]]
        heading = f"[[{name}]]" if isinstance(tables[name], list) else f"[{name}]"
        for each in many:
            keys = list(BY_TABLE.get(name, ()))
            values = sorted(
                each.items(), key=lambda item: keys.index(item[0]) if item[0] in keys else len(keys)
            )
            remark = (remarks or {}).get(each.get("id", ""))
            lines = [
                heading,
                *([remark] if remark else []),
                *(f"{bare(key)} = {value(what)}" for key, what in values),
            ]
            parts.append("\n".join(["", *lines, ""]))
    return "".join(parts)


def bare(key: str) -> str:
    """Write a key: as it is where TOML allows that, else quoted."""
    plain = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if plain else quoted(key)


def value(what: Any) -> str:
    """Write a value."""
    if isinstance(what, bool):
        return str(what).lower()
    if isinstance(what, list):
        return "[" + ", ".join(value(each) for each in what) + "]"
    if isinstance(what, dict):
        return "{ " + ", ".join(f"{bare(key)} = {value(each)}" for key, each in what.items()) + " }"
    return str(what) if isinstance(what, int | float) else quoted(str(what))
