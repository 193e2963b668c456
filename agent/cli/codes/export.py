"""Codes about exports: evidence that is handed out."""

from __future__ import annotations

from agent.cli.codes.code import code

EXPORT = {
    "EXPORT_ID": code(
        "types",
        ("반출 id로 쓸 수 없습니다", "not an id for an export"),
        ("반출을 청한 명령의 id입니다: 32자리 16진수", "it is that of the command: 32 hexadecimal digits"),
    ),
    "EXPORT_GROUND": code(
        "types",
        ("이런 제공 근거가 없습니다", "no such ground for an export"),
        ("보인 근거 가운데 고르십시오", "choose one of the grounds that are shown"),
    ),
    "EXPORT_PURPOSE": code(
        "types",
        (
            "카메라의 목적과 다른 데 쓰려면 다른 한 사람의 승인이 있어야 합니다",
            "another purpose than the camera's takes somebody else's consent",
        ),
        (
            "승인한 사람을 --second로 적거나, 관제센터에서 두 서명으로 명하십시오 (export.request)",
            "name who agreed with --second, or order it at the centre by two signatures (export.request)",
        ),
    ),
    "EXPORT_TEXT": code(
        "types",
        (
            "목적, 받는 곳, 근거 문서, 담당자, 사건 가운데 비었거나 너무 긴 것이 있습니다",
            "purpose, recipient, authority, person or case is empty, too long, or not one line",
        ),
        ("모두 한 줄로 500자까지 쓰십시오", "write one line of at most 500 characters for each"),
    ),
    "EXPORT_SPAN": code(
        "types",
        ("구간이 비었거나 아직 오지 않았습니다", "the span is empty, or still to come"),
        ("이미 녹화된 구간을 주십시오", "name a span that is recorded already"),
    ),
    "EXPORT_DUE": code(
        "types",
        ("파기 예정일이 아니거나 지난 날입니다", "the day of its destruction is none, or is past"),
        ("오늘이나 그 뒤의 날짜를 2027-01-15처럼 쓰십시오", "write today or a later day, like 2027-01-15"),
    ),
    "EXPORT_TO": code(
        "types",
        ("보낼 곳이 올바르지 않습니다", "no place to send it to"),
        (
            '"mqtt", 또는 터널 안에 있는 관제센터의 https://주소:포트를 주십시오',
            'give "mqtt", or the centre\'s https://address:port inside the tunnel',
        ),
    ),
    "EXPORT_EMPTY": code(
        "types",
        ("그 구간에 저장된 영상이 없습니다", "nothing of this span is stored"),
        (
            "`pasu segments`로 있는 구간과 빠진 까닭을 보십시오",
            "`pasu segments` shows what is stored, and why the rest is not",
        ),
    ),
    "EXPORT_TOO_LARGE": code(
        "types",
        ("한 번에 반출하기에 조각이 너무 많습니다", "too many segments for one export"),
        ("구간을 나누어 청하십시오", "ask for the span in parts"),
    ),
    "EXPORT_TOO_MANY": code(
        "types",
        ("진행 중인 반출이 너무 많습니다", "too many exports are under way"),
        (
            "`pasu export list`를 보고, 끝나기를 기다리거나 취소하십시오",
            "see `pasu export list`; wait for one to end, or cancel one",
        ),
    ),
    "EXPORT_EXISTS": code(
        "types",
        ("이 id의 반출이 이미 있습니다", "there is another export of this id"),
        ("새 명령으로 청하십시오", "ask with a new command"),
    ),
    "EXPORT_UNKNOWN": code(
        "types",
        ("이런 반출이 없습니다", "no such export"),
        ("`pasu export list --all`로 id를 보십시오", "see the ids with `pasu export list --all`"),
    ),
    "EXPORT_NOT_SENT": code(
        "signs",
        ("이 반출은 아직 묶지 않았습니다", "this export has no bundle yet"),
        ("id를 확인하십시오", "check its id"),
    ),
    "CANNOT_LISTEN": code(
        "types",
        ("이 주소에서 받을 수 없습니다", "cannot listen at this address"),
        (
            "주소와 포트를 확인하고, 도시 폴더의 ca와 broker에 인증서가 있는지 보십시오",
            "check address and port, and that ca and broker in the city's folder have their certificates",
        ),
    ),
    "EXPORT_EXPIRED": code(
        "types",
        (
            "보내지 못한 채 사흘이 지나 반출이 끝났습니다",
            "an export lapsed: it was not sent within three days",
        ),
        (
            "터널과 관제센터의 수신 프로그램을 확인하고 다시 청하십시오",
            "check the tunnel and the centre's receiver, and ask again",
        ),
    ),
}
