"""All checks by their names, in the order in which they are made. docs/operations.md is generated from this. Pure."""

from __future__ import annotations

from agent.field.doctor.check import Check

CHECKS: dict[str, Check] = {
    "config.valid": Check(
        ("설정 파일", "configuration"),
        (
            "설정에 잘못이나 주의할 것이 없어야 합니다",
            "the configuration holds nothing wrong, and nothing to think about",
        ),
        ("`pasu config check`가 말하는 것을 고치십시오", "mend what `pasu config check` says"),
        ("art. 3", "art. 6"),
    ),
    "config.applied": Check(
        ("적용된 설정", "configuration in force"),
        ("녹화가 바로 이 파일대로 돌아야 합니다", "recording follows this very file"),
        (
            "잠시 뒤 다시 하고, 그대로면 `systemctl restart pasu-record`를 하십시오",
            "try again in a minute; if it stays so, `systemctl restart pasu-record`",
        ),
        covers=("config.invalid", "config.needs_restart"),
    ),
    "process": Check(
        ("프로세스", "processes"),
        ("녹화, 보관, 보고가 모두 돌고 있어야 합니다", "recording, keeping and reporting all run"),
        (
            "`systemctl status pasu-record pasu-keep`과 `journalctl -u pasu-record`를 보십시오",
            "look at `systemctl status pasu-record pasu-keep` and `journalctl -u pasu-record`",
        ),
        ("art. 18(1)",),
        covers=("process.silent",),
    ),
    "condition": Check(
        ("알려진 이상", "what the box says is wrong"),
        (
            "박스가 스스로 아는 이상이 남아 있으면 인수할 수 없습니다",
            "a site is not accepted while the box itself knows of something wrong",
        ),
        (
            "`pasu status`가 이상마다 할 일을 말합니다",
            "`pasu status` says what to do about each",
        ),
        ("art. 13",),
    ),
    "disk.mount": Check(
        ("저장소의 디스크", "the vault's disk"),
        (
            "영상이 시스템 디스크에 쌓이면 디스크가 차면서 박스 전체가 멈출 수 있습니다",
            "recordings on the system's disk can stop the whole box when it is full",
        ),
        (
            "저장소 폴더에 디스크를 마운트하고 /etc/fstab에 적으십시오",
            "mount a disk of its own at the vault's folder, and write it into /etc/fstab",
        ),
        ("art. 14",),
    ),
    "disk.room": Check(
        ("디스크의 빈 곳", "room on the disk"),
        ("녹화할 자리가 있어야 합니다", "there is room to record"),
        (
            "더 큰 디스크를 달거나 다른 파일을 치우십시오",
            "use a larger disk, or clear away other files",
        ),
        covers=("vault.full",),
    ),
    "disk.sync": Check(
        ("디스크의 지연과 속도", "latency and speed of the disk"),
        (
            "디스크가 느리면 정전 때 잃는 영상이 길어지고, 너무 느리면 녹화가 빠집니다",
            "a slow disk makes a power cut cost more, and one that is too slow loses pictures",
        ),
        (
            "감시용(CMR) 하드 디스크나 산업용 SSD로 바꾸고, 케이블과 전원을 확인하십시오",
            "use a surveillance (CMR) hard disk or an industrial SSD; check cable and power",
        ),
        ("art. 30(3)",),
        covers=("vault.slow",),
    ),
    "disk.smart": Check(
        ("디스크의 자가 진단", "what the disk says of itself"),
        ("고장 나려는 디스크로 시작하지 않습니다", "a site does not begin with a disk that is about to fail"),
        (
            "디스크를 바꾸십시오. 자가 진단을 읽지 못하면 `systemctl start pasu-disks`를 하십시오",
            "replace the disk; where nothing was read, `systemctl start pasu-disks`",
        ),
        covers=("disk.failing", "disk.bad_sectors", "disk.worn", "disk.hot", "disk.unwatched"),
    ),
    "retention.forecast": Check(
        ("보관 일수", "days of retention"),
        (
            "정한 날수를 담지 못하면 영상이 먼저 지워집니다",
            "a disk that is too small has recordings erased before their time",
        ),
        (
            "더 큰 디스크를 달거나, 카메라의 비트레이트를 낮추거나, 부서와 날수를 다시 정하십시오",
            "use a larger disk, lower the cameras' bit rate, or have the department decide on fewer days",
        ),
        ("art. 31(1)",),
        covers=("vault.retention_short",),
    ),
    "clock.synced": Check(
        ("시각 동기", "time synchronisation"),
        (
            "틀린 시각의 영상은 증거가 되지 못합니다",
            "recordings that bear a wrong time are no evidence",
        ),
        (
            (
                "`timedatectl`을 보십시오. 시각 서버가 없는 현장이면 사람의 확인(`sudo pasu clock confirm`)이 닷새, "
                "다시 켜지면 그때까지 대신합니다: 그 안에 시각 서버를 마련하십시오"
            ),
            (
                "see `timedatectl`; where there is no time server a person's word (`sudo pasu clock confirm`) does "
                "for five days, or until the next start: have one provided meanwhile"
            ),
        ),
        ("tables 2-11 to 2-14",),
    ),
    "clock.trust": Check(
        ("시각의 신뢰", "trust in the time"),
        (
            "시각을 믿을 수 없으면 지난 영상을 지우지 않아 디스크가 찹니다",
            "while the time is not trusted nothing is erased, and the disk fills up",
        ),
        (
            (
                "동기를 기다리거나, 시각을 견주어 본 사람이 `sudo pasu clock confirm`을 하십시오 (닷새마다, 다시 켜질 "
                "때마다)"
            ),
            (
                "wait for synchronisation, or have somebody who compared the time `sudo pasu clock confirm`, every "
                "five days and after each start"
            ),
        ),
        ("art. 31(1)",),
        covers=("time.untrusted",),
    ),
    "clock.rtc": Check(
        ("시계 전지", "battery clock"),
        (
            "전지로 가는 시계가 없으면 정전 뒤 시각을 모릅니다",
            "without a clock on a battery the box does not know the time after a power cut",
        ),
        (
            "RTC 모듈을 달거나 시계 전지를 바꾸십시오",
            "fit a real-time clock, or replace its battery",
        ),
    ),
    "camera.frames": Check(
        ("카메라의 그림", "pictures of the camera"),
        (
            "보는 동안 모든 카메라에서 그림이 끊이지 않고 와야 합니다",
            "pictures come from every camera without a break while one looks",
        ),
        (
            "카메라의 전원과 케이블을 보고, `pasu discover --host 주소`로 물어보십시오",
            "check the camera's power and cable, and ask it with `pasu discover --host ADDRESS`",
        ),
        ("art. 18(1)",),
        covers=("camera.unreachable", "camera.silent", "camera.refused", "camera.damaged_stream"),
    ),
    "camera.floor": Check(
        ("최소 화질", "least quality"),
        (
            "320x240, 초당 15장이 최소입니다",
            "320x240 at 15 pictures a second is the least that is asked for",
        ),
        (
            "카메라의 해상도와 초당 장수를 올리십시오",
            "raise the camera's resolution and rate",
        ),
        ("table 4-13",),
        covers=("camera.below_floor",),
    ),
    "camera.keyframes": Check(
        ("키프레임 간격", "keyframe interval"),
        (
            "끊긴 뒤에는 다음 키프레임까지 볼 수 없습니다",
            "after a break nothing can be seen until the next keyframe",
        ),
        (
            "카메라의 키프레임(I 프레임) 간격을 2초쯤으로 맞추십시오",
            "set the camera's keyframe (I frame, GOP) interval to about 2 s",
        ),
        covers=("camera.keyframes_rare",),
    ),
    "camera.picture": Check(
        ("카메라가 보는 것", "what the camera sees"),
        (
            "가려지거나 초점이 맞지 않은 카메라는 녹화해도 쓸모가 없습니다",
            "what a covered camera, or one out of focus, records is of no use",
        ),
        (
            "`pasu aim 카메라`를 보며 방향과 초점을 맞추고, 렌즈를 닦으십시오",
            "turn and focus the camera while looking at `pasu aim CAMERA`; clean the lens",
        ),
        ("tables 2-11 to 2-14",),
        covers=("camera.frozen",),
    ),
    "camera.password": Check(
        ("카메라의 비밀번호", "passwords of the cameras"),
        (
            "공장 출하 비밀번호는 누구나 압니다",
            "everybody knows the passwords that cameras leave the factory with",
        ),
        (
            "카메라의 비밀번호를 바꾸고 `pasu secrets set 카메라`로 적으십시오",
            "change the camera's password, and give it here: `pasu secrets set CAMERA`",
        ),
        ("table 5-6",),
        covers=("camera.default_password",),
    ),
    "sealing.recipients": Check(
        ("봉인 수신자", "whom segments are sealed to"),
        (
            "영상은 센터의 키로만 열려야 합니다",
            "recordings open with the centre's keys alone",
        ),
        (
            "센터와 지문을 맞추어 보십시오: `pasu ledger show --kind key.recipients`",
            "compare the fingerprints with the centre: `pasu ledger show --kind key.recipients`",
        ),
        ("art. 30(2)",),
        covers=("recipients.differ", "recipients.unverified"),
    ),
    "sealing.segment": Check(
        ("저장된 조각", "the newest stored segment"),
        (
            "카메라마다 방금까지의 영상이 봉인되어 디스크에 있어야 합니다",
            "of each camera what was just recorded lies on the disk, sealed to as many keys as are named",
        ),
        (
            "녹화를 시작하고 2분 뒤에 다시 하고, 그대로면 `pasu check`를 하십시오",
            "try again two minutes after recording began; if it stays so, run `pasu check`",
        ),
        ("art. 30(2)", "art. 30(3)"),
    ),
    "sealing.no_key": Check(
        ("박스에 개인키가 없음", "no private key on the box"),
        (
            "영상을 여는 키가 박스에 있으면 훔친 박스가 영상을 내줍니다",
            "with a key on it a stolen box gives its recordings away",
        ),
        (
            "그 파일을 센터로 옮기고 박스에서 지운 다음, 새 키로 바꾸십시오",
            "take that file to the centre, remove it from the box, and change to a new key",
        ),
        ("art. 30(2)", "H1"),
    ),
    "sealing.canary": Check(
        ("센터가 여는지", "whether the centre can open it"),
        (
            "센터가 열지 못하는 영상은 없는 것과 같습니다",
            "recordings that the centre cannot open are as good as none",
        ),
        (
            (
                "`pasu doctor --canary FILE`로 파일을 만들어 센터에 보내고, 센터가 `pasu centre canary`로 읽어 준 "
                "낱말을 적으십시오"
            ),
            (
                "make a file with `pasu doctor --canary FILE`, send it to the centre, and type the word that they read "
                "with `pasu centre canary`"
            ),
        ),
        ("art. 30(2)",),
    ),
    "audio.offered": Check(
        ("소리", "sound"),
        (
            "소리를 모으는 기능은 쓸 수 없습니다. 박스는 청하지 않지만, 카메라에서 끄는 것이 가장 확실합니다",
            "no function that collects sound may be used; the box never asks, and off in the camera is surest",
        ),
        (
            "`pasu discover --host 주소 --audio-off`로 카메라의 소리를 끄십시오",
            "turn sound off in the camera: `pasu discover --host ADDRESS --audio-off`",
        ),
        ("art. 11(2)",),
        covers=("camera.audio_offered",),
    ),
    "audio.wire": Check(
        ("선로의 소리", "sound on the wire"),
        (
            "카메라에서 오는 선로에 소리 패킷이 하나도 없어야 합니다",
            "on the wire from the cameras there is not one packet of sound",
        ),
        (
            "카메라의 소리를 끄고, 다시 나오면 개발자에게 알리십시오",
            "turn sound off in the camera; if it comes again, report it",
        ),
        ("art. 11(2)",),
    ),
    "tunnel": Check(
        ("터널", "tunnel"),
        (
            "밖으로 나가는 것은 모두 터널 안으로만 갑니다",
            "all that leaves the box goes through the tunnel",
        ),
        ("`sudo pasu tunnel status`가 까닭을 말합니다", "`sudo pasu tunnel status` says why"),
        ("art. 30(3)",),
        covers=("tunnel.down", "tunnel.stale", "tunnel.trouble", "tunnel.unguarded"),
    ),
    "broker": Check(
        ("센터 연결", "connection to the centre"),
        (
            "센터가 박스의 상태와 기록을 받아야 합니다",
            "the centre hears how the box is, and gets its ledger",
        ),
        (
            "`pasu status`의 센터 연결과 `pasu enrol`을 보십시오",
            "look at the connection in `pasu status`, and at `pasu enrol`",
        ),
        ("art. 18(1)",),
        covers=("uplink.offline", "uplink.not_enrolled"),
    ),
    "broker.certificate": Check(
        ("인증서", "certificate"),
        (
            "인증서가 만료되면 센터가 박스의 보고를 받지 못합니다",
            "when the certificate ends the centre hears nothing of the box",
        ),
        (
            "`sudo pasu enrol request`로 요청을 만들어 센터에 보내고, 받은 것을 `sudo pasu enrol accept`로 넣으십시오",
            "make a request with `sudo pasu enrol request`, and take in the answer with `sudo pasu enrol accept`",
        ),
        covers=(
            "certificate.expired",
            "certificate.ends_in_1_day",
            "certificate.ends_in_7_days",
            "certificate.ends_in_14_days",
            "certificate.ends_in_30_days",
        ),
    ),
    "command": Check(
        ("명령이 다녀옴", "a command there and back"),
        (
            "하루 안에 서명된 명령이 박스에 닿았고, 그 답이 돌아갔어야 합니다",
            "within the last day a signed command has reached the box, and its answer left for the centre",
        ),
        (
            (
                "센터에 점검 명령을 부탁하고 다시 하십시오: `pasu centre command BOX inspect`. 답이 밀려 있으면 1분 뒤 "
                "다시 하고, 그대로면 `journalctl -u pasu-uplink`를 보십시오"
            ),
            (
                "ask the centre to send an inspection, and try again: `pasu centre command BOX inspect`; where an "
                "answer waits, try again in a minute, and if it stays so look at `journalctl -u pasu-uplink`"
            ),
        ),
        ("art. 13",),
    ),
    "permission": Check(
        ("파일 권한", "permissions"),
        (
            "영상, 키, 비밀번호는 다른 사용자가 읽지 못해야 합니다",
            "no other user reads recordings, keys or passwords",
        ),
        (
            "소유자와 권한을 고치십시오: `chown -R pasu:`, `chmod go-rwx`",
            "mend owner and mode: `chown -R pasu:`, `chmod go-rwx`",
        ),
        ("art. 30(1)",),
    ),
    "secrets.sealed": Check(
        ("계정의 봉인", "log-ins sealed"),
        (
            "봉인된 계정은 그 기계에서만 열립니다: 복사본이나 떼어 낸 디스크로는 카메라에 들어갈 수 없습니다",
            "log-ins that are sealed open on this machine alone, and a copy of the file is worth nothing",
        ),
        (
            "`sudo pasu secrets seal`; 열리지 않으면 `sudo pasu secrets set --anew 카메라`",
            "`sudo pasu secrets seal`; where they do not open, `sudo pasu secrets set --anew CAMERA`",
        ),
        ("L Safety 7(1)",),
        covers=("config.secrets_shut",),
    ),
    "unit": Check(
        ("자동 시작", "starts by itself"),
        (
            "정전 뒤에 사람 없이 다시 녹화해야 합니다",
            "after a power cut recording begins again with nobody there",
        ),
        ("`systemctl enable --now 유닛`을 하십시오", "`systemctl enable --now UNIT`"),
        ("art. 18(1)",),
    ),
    "fence": Check(
        ("카메라 쪽 울타리", "the fence on the cameras' side"),
        (
            "뚫린 카메라가 박스의 포트나 다른 망에 닿지 못해야 합니다",
            "a camera that was broken into reaches no port of the box, and no other network",
        ),
        (
            "`sudo pasu fence apply`; 카메라가 이름으로 적혀 있으면 agent.toml에 IP 주소를 쓰십시오",
            "`sudo pasu fence apply`; where a camera is given by a name, write its IP address into agent.toml",
        ),
        ("table 2-12", "D14"),
    ),
    "hardening.unit": Check(
        ("유닛의 격리", "isolation of the units"),
        (
            "한 프로세스가 뚫려도 나머지가 남아야 합니다",
            "if one process is broken into, the rest stands",
        ),
        (
            "패키지의 유닛을 되돌리십시오: `systemctl revert 유닛`",
            "put back the units of the package: `systemctl revert UNIT`",
        ),
        ("table 5-6",),
    ),
    "hardening.memory": Check(
        ("메모리가 디스크에 남지 않음", "no memory left on a disk"),
        (
            "스왑과 코어 파일에는 봉인되지 않은 그림이 남을 수 있습니다",
            "swap and core files may hold pictures that are not sealed",
        ),
        (
            "`swapoff -a`를 하고 /etc/fstab에서 스왑을 빼거나 zram을 쓰십시오. 코어는 유닛의 LimitCORE=0으로 끕니다",
            "`swapoff -a` and take swap out of /etc/fstab, or use zram; LimitCORE=0 of the units turns cores off",
        ),
        ("H2",),
    ),
    "page": Check(
        ("상태 페이지", "health page"),
        (
            "정비하는 사람이 영상 없이 상태를 보아야 합니다",
            "a contractor sees how the box is, without a picture",
        ),
        (
            "`systemctl status pasu-page`를 보고, 주소가 이 박스의 것이 아니면 `sudo pasu init`의 3에서 고치십시오",
            "look at `systemctl status pasu-page`; where the address is none of this box's, `sudo pasu init` and 3",
        ),
        ("art. 12(1)",),
    ),
}

COVERED = {
    code: tuple(name for name, check in CHECKS.items() if code in check.covers)
    for each in CHECKS.values()
    for code in each.covers
}
"""Conditions that a check of its own speaks of, with its name."""
