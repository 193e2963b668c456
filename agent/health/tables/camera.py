"""Cameras, each by its id. Raised by the recorder (`agent/capture/vitals.py`)."""

from __future__ import annotations

from agent.health.condition import Severity, condition

AWAY = ("camera.unreachable", "camera.refused", "camera.silent")
"""While one of these holds there is no picture to say anything about."""

CAMERA = {
    "camera.unreachable": condition(
        Severity.CRITICAL,
        ("카메라에서 영상이 오지 않습니다", "no picture comes from the camera"),
        (
            "카메라의 전원, 랜선, 스위치를 차례로 확인하십시오. 되면 저절로 다시 녹화합니다",
            "check the camera's power, cable and switch, in this order; it is recorded again by itself",
        ),
        depends_on=("camera.refused", "camera.silent"),
    ),
    "camera.refused": condition(
        Severity.CRITICAL,
        (
            "카메라가 접속을 거절합니다 (계정, 비밀번호 또는 영상 주소)",
            "the camera refuses the session: user, password or stream",
        ),
        (
            "카메라의 설정을 보고 `pasu secrets set 카메라`로 계정을 다시 적으십시오",
            "look at the camera's own settings, and give its log-in again: `pasu secrets set CAMERA`",
        ),
    ),
    "camera.silent": condition(
        Severity.CRITICAL,
        (
            "카메라가 접속은 받지만 영상을 보내지 않습니다",
            "the camera takes the session and sends no picture",
        ),
        (
            "카메라를 다시 시작하십시오. 동시 접속 수의 한도도 확인하십시오",
            "restart the camera; see whether it has reached its number of sessions",
        ),
    ),
    "camera.frozen": condition(
        Severity.ALARM,
        (
            "영상이 멈춘 듯합니다: 같은 그림이 되풀이됩니다",
            "the picture seems to stand still: the same one comes again and again",
        ),
        (
            "센터에서 실시간 영상을 보고, 멈추었으면 카메라를 다시 시작하십시오",
            "look at the live picture at the centre; restart the camera if it stands still",
        ),
        depends_on=AWAY,
    ),
    "camera.damaged_stream": condition(
        Severity.WARNING,
        (
            "오는 길에 영상의 일부가 사라집니다",
            "parts of the picture are lost on the way from the camera",
        ),
        (
            "랜선과 스위치를 점검하십시오. UDP로 받고 있으면 TCP로 바꾸십시오",
            "check cable and switch; with UDP, change to TCP",
        ),
        depends_on=AWAY,
        visible_s=60,
    ),
    "camera.below_floor": condition(
        Severity.ALARM,
        (
            "영상이 법정 최저 기준보다 작거나 느립니다 (320x240, 초당 15장)",
            "the picture is below the least that is asked for: 320x240, 15 a second",
        ),
        (
            "카메라의 해상도와 초당 장수를 올리십시오",
            "raise the camera's resolution or frame rate",
        ),
        depends_on=AWAY,
        visible_s=5,  # found within 20 s, and to be shown within 30 (fault D8)
    ),
    "camera.keyframes_rare": condition(
        Severity.WARNING,
        (
            "키프레임 간격이 깁니다. 끊긴 뒤 다시 녹화하기까지 오래 걸립니다",
            "keyframes are rare: after a break it takes long until recording begins again",
        ),
        (
            "카메라의 키프레임(I 프레임) 간격을 1~2초로 하십시오",
            "set the camera's keyframe (I-frame) interval to 1 or 2 seconds",
        ),
        depends_on=AWAY,
        visible_s=60,
    ),
    "camera.identity_changed": condition(
        Severity.ALARM,
        (
            "이 주소의 카메라가 전과 다른 기기입니다",
            "another device than before answers at this camera's address",
        ),
        (
            "카메라를 바꾸었는지 확인하십시오. 아니라면 현장을 점검하고 보안 담당자에게 알리십시오",
            "make sure that the camera was exchanged; if not, look at the site and tell who answers for security",
        ),
        depends_on=AWAY,
    ),
    "camera.poisoned": condition(
        Severity.ALARM,
        (
            "이 카메라가 보낸 것 때문에 녹화 프로세스가 거듭 죽어, 쉬어 가며 녹화합니다",
            "what this camera sends has ended its recording process again and again; it is recorded with pauses",
        ),
        (
            "카메라의 펌웨어를 올리거나 카메라를 바꾸고, 담당자에게 알리십시오",
            "update or replace the camera, and call for support",
        ),
    ),
    "camera.audio_offered": condition(
        Severity.INFO,
        (
            "카메라가 소리를 내보낼 수 있습니다. 파수는 소리를 요청하지 않습니다",
            "the camera offers sound; Pasu never asks for it",
        ),
        (
            "카메라의 음성 기능을 끄십시오 (개인정보 보호법 제25조제5항)",
            "switch the camera's audio off (Personal Information Protection Act 25(5))",
        ),
        depends_on=AWAY,
    ),
    "camera.hours_open": condition(
        Severity.WARNING,
        (
            "시각을 믿을 수 없어, 정해진 시간 밖에도 녹화합니다",
            "the time is not trusted, so it is recorded outside of its hours too",
        ),
        (
            "박스의 시각을 맞추십시오: `pasu clock`. 맞으면 저절로 정해진 시간에만 녹화합니다",
            "set the box's time right: `pasu clock`; then it keeps to its hours again by itself",
        ),
        visible_s=60,  # a box that starts may need a moment to know the time
    ),
    "camera.default_password": condition(
        Severity.ALARM,
        (
            "카메라가 공장 출하 비밀번호를 그대로 씁니다",
            "the camera has the password that it left the factory with",
        ),
        (
            "카메라의 비밀번호를 바꾸고 `pasu secrets set 카메라`로 적으십시오: 같은 망의 누구나 볼 수 있습니다",
            "change the camera's password, and `pasu secrets set CAMERA`: anybody on its network can look",
        ),
    ),
    "camera.plaintext_leg": condition(
        Severity.INFO,
        (
            "카메라와 박스 사이의 영상이 암호화되지 않습니다 (rtsp)",
            "the picture travels from camera to box without encryption (rtsp)",
        ),
        (
            "카메라가 지원하면 rtsps로 바꾸고, 아니면 카메라 망을 따로 두십시오",
            "change to rtsps where the camera can; else keep the cameras on a network of their own",
        ),
    ),
}
