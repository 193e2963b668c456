"""Codes about what Pasu met: disks, sealed files, keys."""

from __future__ import annotations

from agent.cli.codes.code import code

MET = {
    # site
    "DISK_FULL": code(
        "site",
        ("디스크가 가득 찼습니다", "the disk is full"),
        (
            "보관 일수를 줄이거나 더 큰 디스크로 바꾸십시오. 영상을 손으로 지우지 마십시오",
            "shorten the retention or put in a larger disk; do not delete recordings by hand",
        ),
    ),
    "DISK_READ_ONLY": code(
        "site",
        ("디스크가 읽기 전용이 되었습니다", "the disk is mounted read-only"),
        (
            "dmesg에서 디스크 오류를 보고 디스크를 바꾸십시오",
            "look for disk errors in dmesg, and replace the disk",
        ),
    ),
    "DISK_DENIED": code(
        "site",
        ("디스크에 쓸 권한이 없습니다", "the disk denies access"),
        ("폴더의 소유자와 권한을 확인하십시오", "check owner and mode of the folder"),
    ),
    "DISK_MISSING": code(
        "site",
        ("디스크나 폴더가 없습니다", "the disk or the folder is not there"),
        ("케이블과 마운트를 확인하십시오", "check the cable and the mount"),
    ),
    "DISK_FAILED": code(
        "site",
        ("디스크가 읽기나 쓰기에 실패했습니다", "the disk failed to read or write"),
        ("dmesg와 SMART를 보고 디스크를 바꾸십시오", "look at dmesg and SMART, and replace the disk"),
    ),
    "DISK_SLOW": code(
        "site",
        (
            "디스크가 느립니다: 동기화 백 번에 한 번은 0.5초가 넘게 걸립니다",
            "the disk is slow: one sync in a hundred takes longer than half a second",
        ),
        (
            "다른 프로그램이 그 디스크를 쓰는지 보고, 아니면 SMART를 보십시오. 정전 때 잃는 영상이 늘 수 있습니다",
            "see whether other programs use that disk, else look at SMART; a power cut may cost more footage",
        ),
    ),
    "HELPER_FAILED": code(
        "site",
        ("녹화를 돕는 짧은 프로세스가 실패했습니다", "a short-lived helper of recording failed"),
        (
            "`pasu record`의 기록 전체를 담당자에게 보내십시오",
            "send the whole log of `pasu record` to support",
        ),
    ),
    "RECIPIENTS_UNSIGNED": code(
        "investigator",
        (
            "등록된 박스인데 도시가 서명한 키 목록이 없어, 서명 없는 수신자로는 녹화하지 않습니다",
            "this box is enrolled and its signed key ring is gone; it seals to no one who is not signed",
        ),
        (
            "누가 치웠는지 조사하고, 관제센터에서 등록 묶음을 다시 받아 `pasu enrol accept`를 하십시오",
            "find out who removed it; get the enrolment bundle again, and `pasu enrol accept` it",
        ),
    ),
    "RECIPIENTS_OLD": code(
        "investigator",
        (
            "도시가 서명한 키 목록이 전에 쓰던 것보다 오래되었습니다",
            "the key ring that the city signed is older than the one that was in force",
        ),
        (
            "누가 되돌렸는지 조사하고, 관제센터에서 새 등록 묶음을 받아 `pasu enrol accept`를 하십시오",
            "find out who put it back; get a new enrolment bundle from the centre, and `pasu enrol accept` it",
        ),
    ),
    "DISK_STALLED": code(
        "site",
        ("디스크가 응답하지 않습니다", "the disk does not answer"),
        (
            "녹화는 메모리에서 이어집니다. 케이블과 디스크를 점검하십시오",
            "recording goes on in memory; check cable and disk (dmesg, SMART), and replace the disk",
        ),
    ),
    "NAME_TAKEN": code(
        "site",
        ("같은 이름의 파일이 이미 있습니다", "a file of that name is there already"),
        (
            "파수는 덮어쓰지 않습니다. 박스의 시계가 되돌아갔는지 확인하십시오",
            "Pasu writes over nothing; check whether the box's clock stepped back",
        ),
    ),
    "VAULT_MISSING": code(
        "site",
        ("저장소가 없습니다", "the vault is not there"),
        (
            "디스크가 연결되고 마운트되었는지 확인하십시오. 빈 것으로 보고 새로 만들지 않습니다",
            "check that its disk is connected and mounted; it is never taken for empty and made anew",
        ),
    ),
    "KEEPING_ALREADY": code(
        "site",
        ("이미 다른 프로세스가 보관을 맡고 있습니다", "another process keeps this box's recordings already"),
        ("실행 중인 `pasu keep`을 그대로 두십시오", "leave the `pasu keep` that runs to its work"),
    ),
    "FOLDER_BUSY": code(
        "installer",
        (
            "다른 프로세스가 이 폴더의 파일을 바꾸고 있습니다",
            "another process is changing files of this folder",
        ),
        (
            "다른 `pasu secrets`, `init`, `discover`가 끝난 뒤에 다시 하십시오. 아무것도 바꾸지 않았습니다",
            "wait until another `pasu secrets`, `init` or `discover` is done, and do it again; nothing was changed",
        ),
    ),
    "ALREADY_RECORDING": code(
        "site",
        ("이미 녹화 중입니다", "another pasu records into the same state folder"),
        (
            "실행 중인 pasu를 먼저 멈추십시오 (systemctl stop pasu-record)",
            "stop the one that runs (systemctl stop pasu-record), or leave it to its work",
        ),
    ),
    "VAULT_FOREIGN": code(
        "site",
        ("다른 박스의 저장소입니다", "this is the vault of another box"),
        (
            "원래 디스크를 연결하십시오. 바꿀 생각이었다면 상태 폴더도 함께 옮겨야 합니다",
            "mount the disk that belongs here; a moved vault needs its state folder too",
        ),
    ),
    "VAULT_DAMAGED": code(
        "site",
        ("저장소 식별 파일이 손상되었습니다", "the vault's identity file is damaged"),
        (
            "디스크를 점검하고 백업에서 VAULT 파일을 되돌리십시오",
            "check the disk; restore the VAULT file from a backup",
        ),
    ),
    "VAULT_DOUBLE": code(
        "site",
        ("같은 저장소가 두 곳에 있습니다", "the same vault is there twice: one is a copy"),
        (
            "복제한 디스크를 빼거나 그 경로를 설정에서 지우십시오. 먼저 적힌 쪽에 녹화합니다",
            "remove the copied disk, or its path from the configuration; the one named first is used",
        ),
    ),
    "VAULT_NOT_EMPTY": code(
        "site",
        ("새 저장소로 쓸 폴더가 비어 있지 않습니다", "the folder for a new vault is not empty"),
        (
            "무엇이 들어 있는지 보고 다른 폴더를 지정하십시오",
            "look at what is in it, and name another folder",
        ),
    ),
    "CATALOGUE_MISSING": code(
        "site",
        ("목록 데이터베이스가 없습니다", "the catalogue is not there"),
        (
            (
                "상태 폴더의 디스크와 설정의 [storage] state를 확인하십시오. 한 번도 녹화하지 않은 "
                "박스라면 정상입니다"
            ),
            (
                "check the disk of the state folder and [storage] state; on a box that never recorded this "
                "is as it should be"
            ),
        ),
    ),
    "CATALOGUE_BUSY": code(
        "site",
        ("목록 데이터베이스가 사용 중입니다", "the catalogue is locked by another process"),
        (
            "잠시 뒤 다시 하십시오. 계속되면 잡고 있는 프로세스를 찾으십시오",
            "try again; if it stays, find who holds it",
        ),
    ),
    "CATALOGUE_DAMAGED": code(
        "site",
        ("목록 데이터베이스가 손상되었습니다", "the catalogue is damaged"),
        (
            (
                "`pasu record`가 이 파일을 <상태 폴더>/aside로 옮기고 새로 시작합니다. 영상은 온전하며 목록은 "
                "저절로 다시 만들어집니다. 되풀이되면 상태 폴더의 디스크를 점검하십시오"
            ),
            (
                "`pasu record` moves it to <state>/aside and begins a new one; the recordings are whole, and their "
                "rows come back by themselves. If it happens again, check the disk of the state folder"
            ),
        ),
    ),
    "CATALOGUE_VERSION": code(
        "site",
        ("목록 데이터베이스가 다른 버전입니다", "the catalogue has another version"),
        (
            "그것을 쓴 버전 이상의 파수를 설치하십시오",
            "install the version of Pasu that wrote it, or a later one",
        ),
    ),
    "CATALOGUE_FAILED": code(
        "site",
        ("목록 데이터베이스를 쓸 수 없습니다", "the catalogue cannot be used"),
        (
            "상태 폴더의 공간과 권한, 디스크 오류를 확인하십시오",
            "check space, mode and disk errors of the state folder",
        ),
    ),
    # investigator
    "NOT_AGE_FILE": code(
        "investigator",
        ("봉인된 파일이 아닙니다", "this is not a sealed file"),
        ("파일 이름을 확인하십시오 (.mp4.age)", "check which file was meant (.mp4.age)"),
    ),
    "HEADER_DAMAGED": code(
        "investigator",
        ("봉인 파일의 머리가 손상되었습니다", "the header of the sealed file is damaged"),
        (
            "파일을 보관하고, 다른 사본이 있으면 그것을 여십시오",
            "keep the file; open another copy if there is one",
        ),
    ),
    "CHUNK_DAMAGED": code(
        "investigator",
        (
            "봉인된 내용의 한 부분이 손상되었거나 바뀌었습니다",
            "a part of the sealed content is damaged or altered",
        ),
        (
            "파일을 그대로 보관하고 조각 번호와 자리를 기록하십시오. 다른 사본이 있으면 그것을 여십시오",
            "keep the file as it is, note chunk and byte; open another copy if there is one",
        ),
    ),
    "CHUNK_AFTER_END": code(
        "investigator",
        (
            "끝난 뒤에 내용이 더 있습니다: 덧붙여진 파일입니다",
            "there is more after the end: something was appended",
        ),
        (
            "파일을 그대로 보관하고 원본과 견주십시오",
            "keep the file as it is, and compare it with the original",
        ),
    ),
    "TRUNCATED": code(
        "investigator",
        ("파일이 끝나기 전에 잘렸습니다", "the file was cut off before its end"),
        ("복사가 온전했는지 확인하고 다시 복사하십시오", "check that it was copied whole, and copy it again"),
    ),
    "UNREADABLE": code(
        "investigator",
        ("파일을 끝까지 읽을 수 없습니다", "the file could not be read to its end"),
        ("디스크를 점검하고 다른 사본을 여십시오", "check the disk, and open another copy"),
    ),
    "INIT_LOST": code(
        "investigator",
        (
            "조각의 첫머리가 손상되어 영상 형식을 알 수 없습니다",
            "the beginning of the segment is damaged: its format is unknown",
        ),
        ("앞뒤 조각과 함께 여십시오", "open it together with the segments around it"),
    ),
    "TIME_UNKNOWN": code(
        "investigator",
        ("언제 찍혔는지 적혀 있지 않은 부분이 있습니다", "a part does not say when it was recorded"),
        ("파일을 보관하고 담당자에게 알리십시오", "keep the file and call for support"),
    ),
    "OUTPUT_UNWRITABLE": code(
        "investigator",
        ("영상 파일을 쓸 수 없습니다", "the clip cannot be written"),
        (
            "영상 크기의 두 배만큼 빈 폴더를 -o로 지정하십시오",
            "name a folder with room for twice the clip with -o",
        ),
    ),
    "CAMERA_DIFFERS": code(
        "investigator",
        (
            "파일 안에 적힌 카메라가 놓인 폴더와 다릅니다",
            "the segment says it is of another camera than its folder does",
        ),
        (
            "파일을 그대로 보관하고 누가 옮겼는지 확인하십시오",
            "keep the file as it is, and find out who moved it",
        ),
    ),
    "VIDEO_DAMAGED": code(
        "investigator",
        ("열린 내용이 파수의 영상이 아닙니다", "what was opened is not video that Pasu wrote"),
        ("파일을 보관하고 담당자에게 알리십시오", "keep the file and call for support"),
    ),
    "TAIL_UNUSABLE": code(
        "investigator",
        ("꼬리 파일을 쓸 수 없습니다", "a tail file cannot be used"),
        (
            "조각 자체는 쓰였습니다. 끝의 몇 초가 빠졌을 수 있습니다",
            "the segment itself was used; a few seconds at its end may be missing",
        ),
    ),
    # key
    "NO_MATCHING_IDENTITY": code(
        "key",
        ("이 키로는 열 수 없습니다", "none of these keys opens the file"),
        (
            "그 박스의 recipients에 적힌 공개키와 짝이 되는 개인키를 쓰십시오",
            "use the private key that belongs to a public key in that box's recipients",
        ),
    ),
    "RECIPIENT_INVALID": code(
        "key",
        ("공개키가 올바르지 않습니다", "the public key is not right"),
        ("age1…로 시작하는 키를 다시 복사하십시오", "copy the key that begins with age1 again"),
    ),
    "IDENTITY_INVALID": code(
        "key",
        ("개인키가 올바르지 않습니다", "the private key is not right"),
        (
            "AGE-SECRET-KEY-1…로 시작하는 줄이 온전한지 보십시오",
            "see that the line AGE-SECRET-KEY-1... is whole",
        ),
    ),
    "IDENTITY_MISSING": code(
        "key",
        ("개인키 파일에 키가 없습니다", "there is no key in the key file"),
        (
            "`pasu centre keygen`이나 age-keygen이 만든 파일인지 확인하십시오",
            "name a file made by `pasu centre keygen` or age-keygen",
        ),
    ),
    "IDENTITY_UNREADABLE": code(
        "key",
        ("개인키 파일을 읽을 수 없습니다", "the key file cannot be read"),
        ("이름과 권한을 확인하십시오", "check its name and mode"),
    ),
    "IDENTITY_ENCRYPTED": code(
        "key",
        ("개인키 파일이 암호로 잠겨 있습니다", "the key file is itself encrypted"),
        ("`age -d`로 먼저 푸십시오", "open it with `age -d` first"),
    ),
    "IDENTITY_EXISTS": code(
        "key",
        ("이미 있는 키 파일은 덮어쓰지 않습니다", "a key file that is there is not written over"),
        ("-o로 다른 이름을 주십시오", "name another with -o"),
    ),
    "IDENTITY_UNWRITABLE": code(
        "key",
        ("키 파일을 쓸 수 없습니다", "the key file cannot be written"),
        ("폴더가 있고 쓸 수 있는지 확인하십시오", "check that the folder is there and can be written"),
    ),
}
