"""Codes about a city's folder, enrolment, and the centre's programs."""

from __future__ import annotations

from agent.cli.codes.code import code

CENTRE = {
    "ENROL_REQUEST": code(
        "installer",
        ("등록 요청이 아니거나 손상되었습니다", "not an enrolment request, or damaged"),
        (
            "박스에서 `pasu enrol request`로 다시 만들고, 파일이나 QR 사진을 그대로 가져오십시오",
            "make it again on the box with `pasu enrol request`; bring the file, or a sharp picture of the code",
        ),
    ),
    "ENROL_BUNDLE": code(
        "installer",
        ("등록 묶음이 아니거나 손상되었습니다", "not an enrolment bundle, or damaged"),
        (
            "관제센터의 `pasu centre enrol`이 만든 파일을 그대로 가져오십시오",
            "bring the file that `pasu centre enrol` made, as it is",
        ),
    ),
    "ENROL_OTHER_BOX": code(
        "installer",
        ("다른 박스의 등록 묶음입니다", "the bundle is for another box"),
        ("이 박스의 묶음을 가져오십시오", "bring the bundle made for this box"),
    ),
    "ENROL_OTHER_CITY": code(
        "installer",
        ("이 박스는 이미 다른 도시 키로 등록되었습니다", "this box is enrolled under another root key"),
        (
            "누가 왜 만들었는지 확인하십시오. 넘겨받은 박스라면 상태 폴더의 centre, uplink, tunnel을 옮기십시오",
            "find out who made it, and why; was it handed over, move the state's `centre`, `uplink`, `tunnel` away",
        ),
    ),
    "ENROL_OTHER_KEY": code(
        "installer",
        (
            "이 박스가 지금 가진 키의 인증서가 아닙니다",
            "the certificate is for a key that this box does not have",
        ),
        ("`pasu enrol request`로 새로 요청하십시오", "make a new request with `pasu enrol request`"),
    ),
    "ENROL_OLDER": code(
        "installer",
        (
            "박스가 지금 쓰는 터널 설정보다 오래된 묶음입니다",
            "the bundle's tunnel is older than the one that the box has",
        ),
        (
            "새로 요청하십시오. 그래도 거절되면 센터의 시계를 바로잡고 상태 폴더의 tunnel을 옮기십시오",
            "make a new request; is that refused, too, set the centre's clock, move `tunnel` away",
        ),
    ),
    "ENROL_TUNNEL_TAKEN": code(
        "types",
        (
            "다른 박스나 허브가 이미 쓰는 터널 키입니다",
            "another box, or the hub, has this key of the tunnel already",
        ),
        (
            "디스크를 복제한 박스인지 확인하십시오. 그 박스에서 상태 폴더의 tunnel을 옮기고 다시 신청합니다",
            "see whether the box's disk is a copy of another's; move `tunnel` out of its state folder, and ask anew",
        ),
    ),
    "ENROL_UNCONFIRMED": code(
        "installer",
        (
            "지문을 확인하지 않아 아무것도 하지 않았습니다",
            "the fingerprint was not confirmed: nothing was done",
        ),
        (
            "전화로 지문의 숫자를 서로 읽어 맞춰 보고 --yes로 하십시오",
            "read the digits to each other by telephone, then do it with --yes",
        ),
    ),
    "SECOND_DECLINED": code(
        "signs",
        ("서명하지 않았고 아무것도 보내지 않았습니다", "nothing was signed and nothing was sent"),
        (
            "명령이 틀렸으면 첫 번째로 서명한 사람에게 새로 서명하게 하십시오",
            "if the order is wrong, have whoever signed it first sign another one",
        ),
    ),
    "ENROL_RESERVED": code(
        "installer",
        ("박스가 쓸 수 없는 id입니다", "no box can have this id"),
        ("박스의 agent.toml에서 다른 id를 정하십시오", "choose another id in the box's agent.toml"),
    ),
    "ENROL_AGAIN": code(
        "key",
        (
            "이 id의 박스가 다른 키로 이미 등록되어 있습니다",
            "a box of this id is enrolled already, with other keys",
        ),
        (
            "교체가 맞다면 책임자 두 사람이 --again --as 이름 --as 이름으로 하십시오",
            "if it is replaced, two people in charge do it with --again --as NAME --as NAME",
        ),
    ),
    "BOX_UNKNOWN": code(
        "types",
        ("등록되지 않은 박스입니다", "this box is not enrolled"),
        ("`pasu centre boxes`로 id를 보십시오", "see the ids with `pasu centre boxes`"),
    ),
    "CITY_MISSING": code(
        "types",
        ("도시 폴더가 아닙니다", "not the folder of a city"),
        (
            "--city로 `pasu centre init`이 만든 폴더를 주십시오",
            "name with --city the folder that `pasu centre init` made",
        ),
    ),
    "CITY_EXISTS": code(
        "types",
        (
            "이미 무언가 있는 폴더이며, 그대로 두었습니다",
            "there is something already, and it was left as it is",
        ),
        (
            "새 폴더를 주십시오. 도시의 키는 결코 덮어쓰지 않습니다",
            "name a new folder: a city's keys are never written over",
        ),
    ),
    "CITY_NAME": code(
        "types",
        ("도시의 id나 이름으로 쓸 수 없습니다", "not an id or a name for a city"),
        (
            "id는 영문 소문자, 숫자, '-'로 32자까지, 이름은 한 줄로 100자까지입니다",
            "an id is lower-case letters, digits and '-', at most 32; a name one line of at most 100",
        ),
    ),
    "CITY_BROKER": code(
        "types",
        ("브로커 주소로 쓸 수 없습니다", "not an address of a broker"),
        ("--broker 10.77.0.1:8883처럼 쓰십시오", "write it like --broker 10.77.0.1:8883"),
    ),
    "CITY_DAMAGED": code(
        "key",
        ("도시 폴더의 파일을 쓸 수 없습니다", "a file of the city's folder cannot be used"),
        ("백업에서 되돌리십시오", "restore it from a backup"),
    ),
    "CITY_KEY_MISSING": code(
        "key",
        ("키 파일을 읽을 수 없습니다", "the key file cannot be read"),
        (
            "잠가 둔 키를 이 일을 하는 동안만 제자리에 두십시오",
            "put the key that is locked away in its place for as long as this takes",
        ),
    ),
    "CITY_PASSPHRASE": code(
        "key",
        ("암호가 맞지 않습니다", "the passphrase is not right"),
        ("다시 입력하십시오", "type it again"),
    ),
    "RING_REFUSED": code(
        "key",
        ("이런 키 목록은 박스가 받지 않습니다", "no box would take such a key ring"),
        (
            "기간(기사 30일, 그 밖 400일)과, 한 사람이 같은 역할의 키를 둘 갖지 않는지 보십시오. 갱신은 --renew입니다",
            "check the days (technician 30, others 400), that nobody has two keys of one role; --renew replaces one",
        ),
    ),
    "SIGNER_UNKNOWN": code(
        "types",
        ("지금 유효한 이 사람의 키가 없습니다", "nobody of this name has a key that counts now"),
        (
            "`pasu centre key list`로 보고, 없으면 `pasu centre key add`로 만드십시오",
            "see `pasu centre key list`, and make one with `pasu centre key add`",
        ),
    ),
    "SIGNER_ROLE": code(
        "types",
        ("이 사람은 역할이 여럿입니다", "this holder has several roles"),
        ("키의 kid로 지정하십시오", "name the key by its kid"),
    ),
    "PASSPHRASE_DIFFERS": code(
        "types",
        ("암호가 비었거나 두 번이 다릅니다", "the passphrase is empty, or not the same twice"),
        ("다시 하십시오. 아무것도 만들지 않았습니다", "try again: nothing was made"),
    ),
    "COUNTERS_UNUSABLE": code(
        "site",
        ("명령 번호의 파일을 쓸 수 없습니다", "the file with the commands' numbers cannot be used"),
        (
            "디스크와 counters.db를 확인하십시오. 지우지 마십시오",
            "check the disk and counters.db; do not remove it",
        ),
    ),
    "WITNESS_UNUSABLE": code(
        "site",
        ("원장 증인의 파일을 쓸 수 없습니다", "the witness's file cannot be used"),
        (
            "디스크를 확인하고, 손상되었으면 witness.db를 백업에서 되돌리십시오",
            "check the disk; if the file is damaged, restore witness.db from a backup",
        ),
    ),
    "WITNESS_MISSING": code(
        "types",
        ("이 도시는 아직 지켜본 적이 없습니다", "nobody has watched this city yet"),
        (
            "`pasu centre watch`를 켜 두십시오. 다른 컴퓨터에서 지켜본다면 거기서 보십시오",
            "keep `pasu centre watch` running; where another computer does, look there",
        ),
    ),
    "WATCHING_ALREADY": code(
        "types",
        ("이 도시를 이미 지켜보고 있습니다", "somebody watches this city already"),
        ("그 `pasu centre watch`를 보십시오", "look at that `pasu centre watch`"),
    ),
    "BROKER_SILENT": code(
        "installer",
        ("브로커가 명령을 받지 않았습니다", "the broker did not take the command"),
        (
            "브로커를 확인하십시오. 닿았는지는 박스의 원장(command.accepted)에 있습니다",
            "check the broker; whether it arrived, the box's ledger says (command.accepted)",
        ),
    ),
    "BROKER_TLS": code(
        "installer",
        ("브로커에 쓰는 인증서를 읽을 수 없습니다", "the certificates for the broker cannot be read"),
        (
            "도시 폴더의 ca/ca.pem과 client를 확인하십시오",
            "check ca/ca.pem and `client` in the city's folder",
        ),
    ),
    "BROKER_UNREACHABLE": code(
        "installer",
        ("브로커에 연결되지 않습니다", "the broker cannot be reached"),
        (
            "브로커가 실행 중인지, city.json의 inside 주소가 맞는지 확인하십시오",
            "check that the broker runs, and the address `inside` in city.json",
        ),
    ),
    "BROKER_REFUSED": code(
        "installer",
        ("브로커가 거절했습니다", "the broker refuses"),
        (
            "client 폴더의 인증서와 브로커의 권한 설정을 확인하십시오",
            "check the certificate in `client` and the broker's access list",
        ),
    ),
}
