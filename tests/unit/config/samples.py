"""A configuration that is right, to be spoilt by the tests."""

from __future__ import annotations

KEYS = (
    "age1mxdx3dknvr6lmqtwdshxw650ye3c7wcqlnehytsg4q6za5rk4eaq9k23xx",
    "age182h92u2vrwj5xzg4zf57v3qlph4vgy9j0pjn8zkqu0k3ka7d9fjscqjgh8",
)

RIGHT = f"""
[box]
id = "gn-0007"
site = "경포해변 3지점"
operator = "강릉시 정보산업과"
contact = "033-000-0000"

[storage]
vault = "/var/lib/pasu/vault"
state = "/var/lib/pasu/state"
recipients = ["{KEYS[0]}", "{KEYS[1]}"]

[[camera]]
id = "cam01"
name = "주차장 입구"
url = "rtsp://10.0.0.11/main"
purpose = "crime-prevention"
legal_basis = "개인정보 보호법 제25조제1항제2호"
"""
