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
    "COMMAND_RETAINED": code(
        "signs",
        ("브로커가 보관하던(retained) 명령이라 버렸습니다", "a command that the broker had kept was dropped"),
        (
            "retain 없이 다시 보내고, 브로커에 남은 것을 지우십시오",
            "send it again without retain, and clear what the broker keeps",
        ),
    ),
    "COMMAND_BOX": code(
        "signs",
        ("다른 박스에 대한 명령입니다", "the command is for another box"),
        ("box에 이 박스의 이름을 쓰십시오", "name this box in it"),
    ),
    "COMMAND_CITY": code(
        "signs",
        ("다른 도시의 명령입니다", "the command is of another city"),
        ("city를 확인하십시오", "check city"),
    ),
    "COMMAND_KEY": code(
        "signs",
        ("이 박스의 키 목록에 없는 키입니다", "the box's ring does not hold the key"),
        ("새 키 목록을 먼저 보내십시오 (ring.replace)", "send the newer ring first (ring.replace)"),
    ),
    "COMMAND_MEMBERS": code(
        "signs",
        (
            "명령의 항목이 빠졌거나 모르는 것이거나 틀립니다",
            "a member is missing, unknown, or not what it should be",
        ),
        ("docs/formats.md의 형식대로 만드십시오", "make it as docs/formats.md says"),
    ),
    "COMMAND_REVOKED": code(
        "signs",
        ("폐기된 키입니다", "the key was revoked"),
        ("새 키로 서명하십시오", "sign with a new key"),
    ),
    "COMMAND_LAPSED": code(
        "signs",
        ("키의 기한이 지났거나 아직 시작되지 않았습니다", "the key's time is over, or has not come"),
        ("기한 안의 키로 서명하십시오", "sign with a key that is valid now"),
    ),
    "COMMAND_KEY_BOX": code(
        "signs",
        ("이 박스에 쓰는 키가 아닙니다", "the key is not for this box"),
        ("이 박스를 맡은 사람이 서명하십시오", "have somebody sign whose boxes include this one"),
    ),
    "COMMAND_ROLE": code(
        "signs",
        ("이 역할에는 그 권한이 없습니다", "the role has no right to this"),
        (
            "docs/signed-commands.md의 표에서 누가 할 수 있는지 보십시오",
            "the table in docs/signed-commands.md says who may",
        ),
    ),
    "COMMAND_SHUT": code(
        "signs",
        (
            "이 키로 틀린 서명이 다섯 번 와서, 더 오는 것에는 10분 동안 답하지 않습니다",
            "five bad signatures under this key: more of them are not answered for ten minutes",
        ),
        (
            "누가 보냈는지 알아보십시오. 바르게 서명한 명령은 그대로 따릅니다",
            "find out who sent them; what is really signed is obeyed all the while",
        ),
    ),
    "COMMAND_REPLAYED": code(
        "signs",
        ("이미 쓴 번호(counter)의 명령입니다", "its number (counter) was used before"),
        ("다음 번호로 새로 서명하십시오", "sign it anew with the next number"),
    ),
    "COMMAND_GAP": code(
        "signs",
        ("앞선 번호의 명령이 아직 오지 않았습니다", "a command before it has not come yet"),
        (
            "빠진 명령을 다시 보내십시오. 1분 뒤에는 그것 없이 실행합니다",
            "send the missing one again; after a minute it goes on without",
        ),
    ),
    "COMMAND_FUTURE": code(
        "signs",
        ("앞선 시각에 서명된 명령입니다", "it was signed in the future"),
        ("센터의 시계를 맞추십시오", "set the clock at the centre"),
    ),
    "COMMAND_EXPIRED": code(
        "signs",
        ("기한이 지난 명령입니다", "the command's time is over"),
        ("새로 서명하여 보내십시오", "sign it anew"),
    ),
    "COMMAND_CHALLENGE": code(
        "signs",
        ("박스가 지금 내는 challenge가 있어야 합니다", "it needs the challenge that the box shows now"),
        (
            "상태 보고(health)의 challenge를 넣어 1분 안에 보내십시오",
            "take the challenge from its health, and send it within a minute",
        ),
    ),
    "COMMAND_LIFETIME": code(
        "signs",
        ("명령의 기한은 서명한 때부터 24시간까지입니다", "a command must end within 24 hours of its signing"),
        ("expires_ms를 줄이십시오", "lower expires_ms"),
    ),
    "COMMAND_UNKNOWN": code(
        "signs",
        ("이런 명령이 없습니다", "no such command"),
        ("docs/signed-commands.md의 표를 보십시오", "see the table in docs/signed-commands.md"),
    ),
    "COMMAND_ARGUMENT": code(
        "signs",
        (
            "명령의 인자가 빠졌거나 모르는 것이거나 틀립니다",
            "an argument is missing, unknown, or not what it should be",
        ),
        (
            "docs/signed-commands.md의 표대로 쓰십시오",
            "write it as the table in docs/signed-commands.md says",
        ),
    ),
    "COMMAND_CAMERA": code(
        "signs",
        ("이 키로는 그 카메라를 다룰 수 없습니다", "the key is not for this camera"),
        ("그 카메라를 맡은 사람이 서명하십시오", "have somebody sign whose cameras include it"),
    ),
    "COMMAND_LOCKDOWN": code(
        "signs",
        ("박스가 잠겨 있습니다", "the box is locked down"),
        ("두 사람의 서명으로 먼저 푸십시오 (lockdown)", "lift the lockdown first, with two signatures"),
    ),
    "COMMAND_SECOND": code(
        "signs",
        ("두 번째 사람의 서명이 있어야 합니다", "it needs a second person's signature"),
        ("다른 사람이 countersign으로 서명하십시오", "have somebody else countersign it"),
    ),
    "COMMAND_SAME_SIGNER": code(
        "signs",
        ("두 서명이 한 사람의 것입니다", "both signatures are of one person"),
        ("다른 사람이 서명하십시오", "have another person sign"),
    ),
    "COMMAND_UNREADABLE": code(
        "signs",
        ("받은 명령의 파일을 읽을 수 없습니다", "the file of a received command cannot be read"),
        (
            "명령을 다시 보내십시오. 거듭되면 상태 폴더의 디스크를 점검하십시오",
            "send it again; if this stays, check the state folder's disk",
        ),
    ),
    "COMMAND_DELAYED": code(
        "signs",
        (
            "많은 영상을 일찍 지우게 하므로 24시간 뒤에 실행합니다",
            "it lets much footage go early, and waits for 24 hours",
        ),
        (
            "뜻한 것이 아니면 command.cancel로 그만두십시오",
            "if it is not meant, give it up with command.cancel",
        ),
    ),
    "COMMAND_NONE_WAITS": code(
        "signs",
        ("기다리는 명령 가운데 그런 id가 없습니다", "no command of that id waits"),
        ("상태 보고의 orders.delayed에서 id를 보십시오", "see the ids under orders.delayed in its health"),
    ),
    "COMMAND_CANCELLED": code(
        "signs",
        ("기다리는 동안 그만두었습니다", "it was given up while it waited"),
        (
            "누가 그만두었는지 원장에서 보십시오 (command.cancelled)",
            "the ledger says who did (command.cancelled)",
        ),
    ),
    "COMMAND_INTERRUPTED": code(
        "signs",
        ("실행 도중 끊겼고, 다시 실행하지 않았습니다", "it was cut off while it ran, and was not run again"),
        (
            "무엇이 되었는지 원장에서 보고, 필요하면 새로 서명하십시오",
            "see in the ledger what was done; sign it anew if it is needed",
        ),
    ),
    "COMMAND_FAILED": code(
        "signs",
        ("실행 중 오류가 났습니다", "an error in Pasu while it was carried out"),
        ("`pasu keep`의 기록을 담당자에게 보내십시오", "send the log of `pasu keep` to whoever maintains it"),
    ),
    "RING_EPOCH": code(
        "signs",
        ("박스가 가진 것보다 새로운 키 목록이 아닙니다", "the ring is not newer than the one the box has"),
        ("epoch를 올려 다시 서명하십시오", "sign it with a higher epoch"),
    ),
    "CENTRE_FILE_DAMAGED": code(
        "investigator",
        (
            "센터에서 받은 것을 적은 파일이 손상되어 아무 명령도 따르지 않습니다",
            "a file of what the centre ordered is damaged: no command is obeyed",
        ),
        (
            "누가 고쳤는지 조사하십시오. 되돌리거나 다시 등록하면 풀립니다",
            "find out who edited it; restore it, or enrol the box again",
        ),
    ),
    "LEDGER_OTHER": code(
        "signs",
        ("박스의 원장은 다른 것입니다", "the box has another ledger"),
        (
            "목록을 잃어 새로 시작한 것인지 box의 birth에서 보십시오",
            "see in its birth whether it began a new one after a lost catalogue",
        ),
    ),
    "LEDGER_DISPUTED": code(
        "signs",
        ("센터가 가진 원장과 박스의 원장이 다릅니다", "what the centre has is not what the box has"),
        (
            "한쪽이 고쳐졌습니다. 체크포인트를 대조하고 조사하십시오",
            "one of them was changed: compare the checkpoints, and investigate",
        ),
    ),
    "TIME_DIFFERS": code(
        "signs",
        ("박스의 시계가 센터의 시각과 다릅니다", "the box's clock shows another time than the centre"),
        (
            "박스의 시계를 맞춘 뒤 다시 확인하십시오. 명령으로는 맞출 수 없습니다",
            "set the box's clock, then confirm again; a command cannot set it",
        ),
    ),
    "CONFIG_REFUSED": code(
        "signs",
        ("제안한 설정을 쓸 수 없습니다", "the proposed configuration cannot be used"),
        (
            "`pasu config check`로 고친 뒤 다시 제안하십시오",
            "mend it with `pasu config check`, and propose it again",
        ),
    ),
    "CONFIG_FIXED": code(
        "signs",
        (
            "박스 id와 폴더는 원격으로 바꿀 수 없습니다",
            "the box's id and its folders cannot be changed from afar",
        ),
        ("현장에서 바꾸십시오", "change them at the site"),
    ),
    "CONFIG_LOGIN": code(
        "signs",
        (
            "비밀번호가 있는 카메라의 접속 방식, 주소나 포트를 원격으로 바꿀 수 없습니다",
            "scheme, host or port of a camera that has a log-in cannot be changed from afar",
        ),
        (
            "현장에서 agent.toml의 주소를 고치십시오",
            "have the address changed in agent.toml at the box",
        ),
    ),
    "ERASURE_NOTHING": code(
        "signs",
        (
            "그 날까지 서명할 자동 삭제 확인이 없습니다",
            "no daily check of automatic erasure is left to sign up to that day",
        ),
        (
            "`pasu centre facts BOX --kind retention`으로 이미 서명한 날을 보십시오",
            "see what was signed already: `pasu centre facts BOX --kind retention`",
        ),
    ),
    "CONFIG_NOTICE": code(
        "signs",
        (
            "카메라의 설치 목적을 바꾸는 제안에 의견수렴 공고가 없습니다",
            "a proposal that changes a camera's purpose names no public notice",
        ),
        (
            '의견을 들은 공고의 번호를 notice="강릉시 공고 제2026-123호"처럼 적어 다시 제안하십시오',
            'propose it again with the notice by which opinions were heard: notice="Gangneung notice 2026-123"',
        ),
    ),
    "CONFIG_BUSY": code(
        "signs",
        (
            "다른 설정 제안을 시험하고 있거나, 녹화 프로세스가 말이 없습니다",
            "another proposal is being tried, or the recorder says nothing",
        ),
        (
            "그 결과가 나온 뒤, 녹화가 돌고 있을 때 다시 제안하십시오",
            "propose it again when that one is over and the recorder runs",
        ),
    ),
    "CONFIG_NOT_TAKEN": code(
        "signs",
        (
            "녹화 프로세스가 새 설정을 받지 않아 되돌렸습니다",
            "the recorder did not take the new configuration up: it was taken back",
        ),
        ("`pasu record`의 기록에서 까닭을 보십시오", "see why in the log of `pasu record`"),
    ),
    "CONFIG_CAMERAS_LOST": code(
        "signs",
        (
            "녹화하던 카메라가 새 설정에서 녹화하지 않아 되돌렸습니다",
            "cameras that recorded did not record any more: it was taken back",
        ),
        (
            "보인 카메라의 주소와 계정을 확인하십시오",
            "check address and log-in of the cameras that are shown",
        ),
    ),
    "CONFIG_CUT_OFF": code(
        "signs",
        (
            "새 설정으로 브로커에 다시 닿지 못해 되돌렸습니다",
            "the box did not reach its broker again: it was taken back",
        ),
        (
            "[uplink]와 [tunnel], 그리고 새 브로커를 확인하십시오",
            "check [uplink], [tunnel], and the new broker",
        ),
    ),
    "CONFIG_CHANGED": code(
        "signs",
        (
            "시험하는 동안 누가 설정 파일을 고쳐, 되돌리지 않았습니다",
            "somebody edited the file meanwhile: it was not taken back",
        ),
        ("현장의 설정을 확인하십시오", "look at the configuration at the site"),
    ),
}
