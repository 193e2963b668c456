"""Codes about what is deleted for its subject before its time."""

from __future__ import annotations

from agent.cli.codes.code import code

DELETION = {
    "DELETION_NO_PRIVACY": code(
        "signs",
        (
            "도시의 키 목록에 개인정보 보호책임자의 유효한 키가 없어 아무도 두 번째로 서명할 수 없습니다",
            "the city's ring has no valid key of a privacy officer: nobody can sign second",
        ),
        (
            (
                "루트 키가 있는 곳에서 `pasu centre key add --role privacy --holder 이름`으로 만들고, "
                "새 키 목록을 `ring.replace`로 보낸 뒤 다시 명하십시오"
            ),
            (
                "where the root key is, `pasu centre key add --role privacy --holder NAME`; send the new ring with "
                "`ring.replace`, and order it again"
            ),
        ),
    ),
    "DELETION_SPAN": code(
        "signs",
        (
            "한 번에 지우기에 구간이 너무 깁니다 (6시간까지)",
            "the span is too long for one order (6 hours at most)",
        ),
        ("구간을 나누어 명하십시오", "order it in parts"),
    ),
    "DELETION_FUTURE": code(
        "signs",
        ("구간이 아직 끝나지 않았습니다", "the span is not over yet"),
        (
            "답의 reason에 적힌 시각부터 다시 명하십시오",
            "order it again from the time that the reply's reason names",
        ),
    ),
    "DELETION_OPEN": code(
        "signs",
        (
            "구간의 조각 가운데 아직 저장을 마치지 않은 것이 있습니다",
            "a segment of the span is not stored yet",
        ),
        (
            (
                "답의 reason에 적힌 시각부터 다시 명하십시오. reason이 파일이면 녹화가 끝맺지 못한 것이니, 녹화를 먼저 "
                "살리십시오"
            ),
            (
                "order it again from the time that the reply's reason names; where that is a file, recording left it "
                "unfinished: bring recording back first"
            ),
        ),
    ),
    "DELETION_EMPTY": code(
        "signs",
        (
            "그 구간에 저장된 영상이 없습니다. 지울 것이 없습니다",
            "nothing of this span is stored, nor left to delete",
        ),
        (
            "카메라와 시각을 확인하십시오. `segments.locate`가 있는 것과 지워진 것을 알려 줍니다",
            "check camera and times; `segments.locate` tells what is there, and what was erased",
        ),
    ),
    "DELETION_HOLD": code(
        "signs",
        (
            "hold에 적은 보존은 이 카메라와 구간만의 열람 등 요청(`access-request`)에 따른 것이 아닙니다",
            "the hold that is named is none on the ground `access-request` for this camera and span alone",
        ),
        (
            (
                "`pasu hold list`로 확인하여 그 요청의 보존을 적거나, 보존이 없었으면 hold를 빼십시오. 다른 카메라나 "
                "시각까지 지키는 보존은 먼저 `hold.release`로 풀고, hold 없이 다시 명하십시오"
            ),
            (
                "name the request's own hold (`pasu hold list`), or leave `hold` out where there was none; one that "
                "keeps other cameras or times too is first released by `hold.release`; then order again without `hold`"
            ),
        ),
    ),
    "DELETION_HELD": code(
        "signs",
        (
            "구간의 영상을 다른 보존이 지키고 있어 아무것도 지우지 않았습니다",
            "another hold keeps some of it: nothing was deleted",
        ),
        (
            (
                "답의 reason이 그 보존입니다. 근거가 끝났으면 `hold.release`로 풀고 다시 명하고, 아니면 요구자에게 "
                "그 까닭을 알리십시오 (법 제36조제1항 단서)"
            ),
            (
                "the reply's reason is that hold: `hold.release` it when its ground is over, and order again; else "
                "tell the person why not (Act art. 36(1), proviso)"
            ),
        ),
    ),
    "DELETION_EXPORTED": code(
        "signs",
        (
            "구간의 영상이 나가고 있는 반출에 들어 있어 아무것도 지우지 않았습니다",
            "an export that is under way has some of it: nothing was deleted",
        ),
        (
            (
                "답의 reason이 그 반출입니다. 끝나기를 기다리거나 `export.cancel`로 멈춘 뒤 다시 명하십시오. "
                "이미 나간 사본은 받은 곳에서 파기합니다"
            ),
            (
                "the reply's reason is that export: wait for its end or `export.cancel` it, and order again; copies "
                "that left are destroyed where they are"
            ),
        ),
    ),
    "DELETION_LINKED": code(
        "site",
        (
            "조각 파일에 다른 이름이 있거나 그 자리나 곁에 다른 것이 있어, 지워도 사본이 남습니다",
            "a segment's file has another name, or something else lies there or beside it: a copy would stay",
        ),
        (
            (
                "누가 만들었는지 저장소를 확인하고(`find 저장소 -samefile 파일`) 그 이름을 없앤 뒤 다시 명하십시오. "
                "reason이 꼬리 파일(`.tail`)이면 녹화를 다시 시작하여 먼저 정리하게 하십시오"
            ),
            (
                "look who made it (`find VAULT -samefile FILE`), remove that name, and order again; where the reason "
                "is a tail (`.tail`), have it put in order by a restart of recording first"
            ),
        ),
    ),
    "DELETION_QUARANTINED": code(
        "investigator",
        (
            "구간의 손상된 파일이 격리 폴더(quarantine)에 있습니다",
            "a damaged file of the span lies in quarantine",
        ),
        (
            (
                "원인을 조사하고, root로 파일을 segments의 제자리로 손수 옮긴 뒤(이름이 제자리를 말합니다) "
                "`pasu check --repair`로 목록에 다시 넣어 다시 명하십시오. 또는 보관 기간이 지나 파수가 지울 때까지 "
                "기다려 다시 명하십시오"
            ),
            (
                "have it looked into; then, as root, move the file by hand to its place below segments/, which its "
                "name tells, have `pasu check --repair` take it in again, and order again; or do so when Pasu has "
                "erased it by its age"
            ),
        ),
    ),
    "DELETION_UNSETTLED": code(
        "operator",
        (
            "그 카메라의 영상 가운데 언제 녹화되었는지 정해지지 않은 것이 있습니다",
            "it is not certain when some of the camera's recordings were made",
        ),
        (
            "`pasu clock`을 보십시오. 시각이 정해지면 다시 명하고, 끝내 알 수 없는 조각은 구간에서 빼고 명하십시오",
            "see `pasu clock`; order again when it is settled, and leave a segment out whose time nobody will know",
        ),
    ),
    "DELETION_AWAY": code(
        "site",
        ("구간의 영상이 지금 없는 디스크에 있습니다", "some of the span is on a disk that is away"),
        ("디스크를 연결한 뒤 다시 명하십시오", "bring the disk back, and order again"),
    ),
    "DELETION_UNREADY": code(
        "signs",
        (
            "목록을 다시 만들고 있거나 그사이 목록이 바뀌어, 무엇이 구간에 있는지 확실하지 않습니다",
            "the catalogue is being made again, or changed meanwhile: what is in the span is not certain",
        ),
        (
            "`catalogue.reconciling`이 풀린 뒤 다시 명하십시오",
            "order again when `catalogue.reconciling` is over",
        ),
    ),
    "DELETION_PARTLY": code(
        "signs",
        (
            "지우기 전에 보존이 걸렸거나 파일에 다른 이름이 생겼거나 바뀌어, 일부가 지워지지 않고 끝났습니다",
            "a hold came, or a file got another name or was replaced, before it was erased: some of it was not deleted",
        ),
        (
            "답의 kept, unshredded가 그 수입니다. 까닭을 없앤 뒤 같은 구간을 다시 명하십시오",
            "the reply's `kept` and `unshredded` say how many; order the span again when the cause is gone",
        ),
    ),
    "DELETION_UNFINISHED": code(
        "signs",
        (
            "한 시간 안에 다 지우지 못했습니다. 남은 것은 삭제 대상으로 남아 지울 수 있게 되면 지워집니다",
            "not all of it could be erased within the hour; the rest stays condemned, and goes as soon as it can",
        ),
        (
            (
                "박스의 상태에서 `erase.failing`, `erase.refused`, `time.untrusted`와 디스크를 확인하고, "
                "`segments.locate`로 끝을 확인하십시오"
            ),
            (
                "see `erase.failing`, `erase.refused`, `time.untrusted` and the disks in the box's health; "
                "`segments.locate` shows when it is over"
            ),
        ),
    ),
}
