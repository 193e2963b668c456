"""Codes about signed commands and the city's key ring."""

from __future__ import annotations

from agent.cli.codes.code import code

COMMAND = {
    "JWS_LARGE": code(
        "signs",
        ("명령이 64 KiB보다 큽니다", "the command is larger than 64 KiB"),
        ("명령을 나누어 보내십시오", "send it in parts"),
    ),
    "JWS_MALFORMED": code(
        "signs",
        ("서명된 명령의 형식이 아닙니다", "it has not the form of a signed command"),
        ("docs/formats.md의 형식대로 만드십시오", "make it as docs/formats.md says"),
    ),
    "JWS_TYPE": code(
        "signs",
        ("다른 용도로 서명된 것입니다", "it was signed for another purpose"),
        ("용도(typ)를 맞추어 다시 서명하십시오", "sign it again with the typ it is for"),
    ),
    "JWS_SIGNATURE": code(
        "signs",
        ("서명이 맞지 않습니다", "the signature is wrong"),
        (
            "바뀐 글자가 없는지, 맞는 키로 서명했는지 보십시오",
            "see whether something was changed on the way, and which key signed",
        ),
    ),
    "RING_CITY": code(
        "signs",
        ("다른 도시의 키 목록입니다", "the key ring of another city"),
        ("이 박스를 등록한 도시의 키 목록을 보내십시오", "send the ring of the city that enrolled this box"),
    ),
    "RING_CONTENT": code(
        "signs",
        ("키 목록에 있을 수 없는 내용이 있습니다", "the key ring says what no ring may say"),
        (
            "보인 까닭대로 고쳐 새 판(epoch)으로 서명하십시오",
            "mend what is shown, and sign it as a new epoch",
        ),
    ),
    "RING_DAMAGED": code(
        "investigator",
        ("도시가 서명한 키 목록을 쓸 수 없습니다", "the key ring that the city signed cannot be used"),
        (
            "누가 고쳤는지 조사하고, 관제센터에서 등록 묶음을 다시 받아 `pasu enrol accept`를 하십시오",
            "find out who edited it; get the enrolment bundle again, and `pasu enrol accept` it",
        ),
    ),
}
