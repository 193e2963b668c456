"""Codes about live streams."""

from __future__ import annotations

from agent.cli.codes.code import code

STREAM = {
    "CONFIG_MEDIA": code(
        "installer",
        (
            "미디어 서버의 주소가 이름이거나 rtsps입니다",
            "a media server is named, or is to be reached by rtsps",
        ),
        (
            "터널 안의 IP 주소를 rtsp://로 적으십시오. 터널이 암호화하고, 이름은 물어보지 않습니다",
            "write an IP address inside the tunnel, with rtsp://: the tunnel encrypts, and no name is asked for",
        ),
    ),
    "CONFIG_CENTRE_UNKNOWN": code(
        "installer",
        ("[[stream]]의 centre가 설정에 없습니다", "a [[stream]] names a centre that is not configured"),
        ("[[centre]] 표를 더하거나 이름을 고치십시오", "add the [[centre]], or correct the name"),
    ),
    "CONFIG_CAMERA_UNKNOWN": code(
        "installer",
        ("그런 카메라가 설정에 없습니다", "no such camera is configured"),
        ("[[camera]]의 id를 적으십시오", "write the id of a [[camera]]"),
    ),
    "CONFIG_STREAM_SOURCE": code(
        "installer",
        ("RTSP가 아닌 카메라의 실시간 영상은 보내지 않습니다", "only RTSP cameras can be shown live"),
        ("그 카메라를 목록에서 빼십시오", "leave the camera out"),
    ),
    "CONFIG_STREAM_SUB": code(
        "installer",
        (
            "작은 영상을 보내라는데 카메라에 sub_url이 없습니다",
            "the smaller stream of a camera without sub_url",
        ),
        ("카메라에 sub_url을 적거나 stream을 빼십시오", "give the camera its sub_url, or leave `stream` out"),
    ),
    "CONFIG_STREAM_NO_MEDIA": code(
        "installer",
        ("실시간 영상을 보낼 곳이 없습니다", "there is no media server to show cameras at"),
        ("[uplink]에 media를 적으십시오", "write media under [uplink]"),
    ),
    "STREAM_NOT_CONFIGURED": code(
        "signs",
        (
            "이 박스에는 실시간 영상을 보낼 곳이 없습니다",
            "the box has no media server to send live streams to",
        ),
        (
            '설정(agent.toml)의 [uplink]에 media = "rtsp://…"를 적으십시오 (config.propose)',
            'write media = "rtsp://..." under [uplink] of agent.toml (config.propose)',
        ),
    ),
    "STREAM_SOURCE": code(
        "signs",
        ("RTSP가 아닌 카메라의 실시간 영상은 보내지 않습니다", "only RTSP cameras can be shown live"),
        (
            "저장된 영상의 반출을 청하십시오 (export.request)",
            "ask for what was stored instead (export.request)",
        ),
    ),
    "STREAM_GROUND": code(
        "signs",
        (
            "그런 근거가 없거나, 카메라의 목적과 다른데 근거가 monitoring입니다",
            "no such ground; or it is monitoring, and the purpose is not the camera's",
        ),
        (
            "근거 monitoring은 카메라의 설치 목적으로만 씁니다. 다른 근거는 `pasu hold place --help`에 있습니다",
            "the ground monitoring is for the purpose of the camera alone; others: `pasu hold place --help`",
        ),
    ),
    "STREAM_CENTRE": code(
        "signs",
        ("그런 센터가 박스의 설정에 없습니다", "no such centre is configured on the box"),
        (
            '[[centre]]에 있는 이름을 쓰십시오. 빈 글("")은 [uplink]의 미디어 서버입니다',
            'use the name of a [[centre]]; "" is the media server of [uplink]',
        ),
    ),
    "DISASTER_OFF": code(
        "signs",
        ("재난 모드가 켜져 있지 않습니다", "no disaster mode is on"),
        ("`streams` 명령으로 지금 있는 것을 보십시오", "the command `streams` says what is shown"),
    ),
    "STREAM_BUSY": code(
        "signs",
        (
            "이미 한꺼번에 볼 수 있는 만큼 보고 있습니다",
            "as many cameras are shown already as may be at a time",
        ),
        (
            "다른 실시간 영상을 멈추거나(stream.revoke) 끝나기를 기다리십시오",
            "stop another one (stream.revoke), or wait until one ends",
        ),
    ),
    "STREAM_UNKNOWN": code(
        "signs",
        ("그런 실시간 영상 허가가 없거나 이미 끝났습니다", "no such grant, or it is over"),
        ("`streams` 명령으로 지금 있는 것을 보십시오", "the command `streams` says which there are"),
    ),
}
