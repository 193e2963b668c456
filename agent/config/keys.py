"""Every key of agent.toml: its rule, its default, and what it is for.

Checking reads this, and docs/configuration.md is generated from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from agent.config import live_rules, rules

if TYPE_CHECKING:
    from collections.abc import Mapping


class Absent(Enum):
    """What holds when a key is not there and has no value of its own by default."""

    REQUIRED = "required"
    BOX = "box"  # the box's own value


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the file. `many` marks an array of tables; one that is not `required` may be absent."""

    name: str
    korean: str
    english: str
    many: bool = False
    required: bool = True

    @property
    def heading(self) -> str:
        """Return the table's heading as it stands in the file."""
        return f"[[{self.name}]]" if self.many else f"[{self.name}]"


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    default  our value when it is absent (None: nothing), or `Absent`
    example  a value in TOML
    kinds    kinds of source on which the key has an effect; empty means all
    """

    table: str
    name: str
    rule: rules.Rule
    default: Any
    example: str
    korean: str
    english: str
    kinds: tuple[str, ...] = ()


TABLES = (
    Table("box", "박스: 이름, 장소, 책임", "The box: its name, its place, and who answers for it"),
    Table("storage", "저장: 어디에, 얼마 동안, 누구의 키로", "Storage: where, how long, sealed to whom"),
    Table("camera", "카메라: 한 대마다 표 하나", "Cameras: one table each", many=True),
    Table("uplink", "관제센터로 보내는 보고와 실시간 영상", "Reports and live streams", required=False),
    Table("tunnel", "관제센터와 잇는 터널", "The tunnel to the centre", required=False),
    Table("page", "현장에서 보는 상태 페이지", "The health page on the site", required=False),
    Table(
        "centre", "다른 미디어 서버 (재난안전상황실 등): 한 곳마다 표 하나",
        "Further media servers inside the tunnel, as that of the disaster office: one table each",
        many=True, required=False,
    ),
    Table(
        "stream", "늘 보이는 실시간 영상 (운영 규정 제20조): 한 대마다 표 하나. 카메라의 설치 목적으로만",
        "Cameras that are always selected (regulation art. 20), for their own purpose: one table each",
        many=True, required=False,
    ),
    Table(
        "trigger", "비상벨과 센서: 하나마다 표 하나", "Emergency bells and sensors at the site: one table each",
        many=True, required=False,
    ),
)  # fmt: skip

RTSP_ONLY = ("rtsp",)
V4L2_ONLY = ("v4l2",)
WITH_LOGIN = ("rtsp", "http")
# No real keys: whoever copied them would seal recordings that nobody can open. These fail their checksum.
EXAMPLE_RECIPIENTS = '["age1...", "age1..."]'

KEYS = (
    Key(
        "box", "id", rules.identifier(), Absent.REQUIRED, '"gn-0007"',
        "박스 이름. 보고 주제와 원장에 쓰이며, 한 번 정하면 바꾸지 않습니다",
        "name of the box, in report topics and in the ledger; never changed once chosen",
    ),
    Key("box", "site", rules.text(), Absent.REQUIRED, '"경포해변 3지점"', "설치 장소", "where it stands"),
    Key(
        "box", "operator", rules.text(), Absent.REQUIRED, '"강릉시 정보산업과"',
        "운영 부서", "the department that operates it",
    ),
    Key(
        "box", "contact", rules.text(), Absent.REQUIRED, '"033-000-0000"',
        "관리책임자 연락처", "how to reach whoever is responsible",
    ),
    Key(
        "box", "contractor", rules.text(), None, '"한빛보안, 033-111-2222"',
        "설치ㆍ운영 사무를 맡은 수탁자의 이름과 연락처 (운영 규정 제10조). 안내판과 자체점검에 쓰입니다",
        "name and contact of the contractor who looks after it (regulation art. 10), for the notice board",
    ),
    Key(
        "storage", "vault", rules.folders(), Absent.REQUIRED, '"/var/lib/pasu/vault"',
        "봉인된 영상이 놓이는 폴더. 영상용 디스크에 둡니다. 디스크가 여럿이면 목록으로 적습니다: 카메라를 차례로 "
        "나누고, 한 디스크가 고장 나면 그 카메라는 다음 디스크로 갑니다",
        "folder of the sealed segments, on the disk for recordings. A list for several disks: cameras are spread "
        "over them in turn, and those of a disk that fails go to the next",
    ),
    Key(
        "storage", "state", rules.folder(), Absent.REQUIRED, '"/var/lib/pasu/state"',
        "목록과 원장이 놓이는 폴더. 영상 폴더 안에 두지 않습니다",
        "folder of the catalogue and the ledger; not inside the vault",
    ),
    Key(
        "storage", "run", rules.folder(), Path("/run/pasu"), '"/run/pasu"',
        "상태 파일이 놓이는 폴더", "folder of the health files",
    ),
    Key(
        "storage", "retention_days", rules.retention(), 30, "30",
        "보관 일수. 지나면 지웁니다", "days that recordings are kept, and erased after",
    ),
    Key(
        "storage", "segment_s", rules.integer(5, 600), 60, "60",
        "영상 조각 하나의 길이(초)", "aimed length of one segment, in seconds",
    ),
    Key(
        "storage", "loss_window_s", rules.seconds(0.2, 10), 1.0, "1.0",
        "정전이 났을 때 잃을 수 있는 최대 시간(초). 짧을수록 디스크에 자주 씁니다",
        "what a power cut may cost at most, in seconds; shorter means more frequent writes",
    ),
    Key(
        "storage", "recipients", rules.recipients(), Absent.REQUIRED, EXAMPLE_RECIPIENTS,
        "영상을 열 수 있는 관제센터의 공개키. 하나를 잃어도 열 수 있게 둘 이상을 권합니다",
        "the centre's public keys, which alone open recordings; two or more, so that losing one loses "
        "nothing",
    ),
    Key(
        "camera", "id", rules.identifier(), Absent.REQUIRED, '"cam01"',
        "카메라 이름. 폴더 이름이 되며 서로 달라야 합니다", "name of the camera, also of its folder; unique",
    ),
    Key(
        "camera", "name", rules.text(), Absent.REQUIRED, '"주차장 입구"',
        "사람이 읽는 이름", "name for people",
    ),
    Key(
        "camera", "url", rules.camera_url(), Absent.REQUIRED, '"rtsp://10.0.0.11/main"',
        "영상 주소. 계정과 비밀번호는 넣지 않고 secrets.toml에 둡니다",
        "address of the stream; user and password are not in it but in secrets.toml",
    ),
    Key(
        "camera", "sub_url", rules.camera_url(), None, '"rtsp://10.0.0.11/sub"',
        "같은 카메라의 작은 영상 주소", "address of the camera's second, smaller stream",
    ),
    Key(
        "camera", "transport", rules.choice("tcp", "udp"), "tcp", '"tcp"',
        "RTSP 영상을 받는 방법", "how RTSP brings the pictures", RTSP_ONLY,
    ),
    Key(
        "camera", "purpose", rules.purpose(), Absent.REQUIRED, '"crime-prevention"',
        "설치 목적", "what the camera is installed for",
    ),
    Key(
        "camera", "legal_basis", rules.text(), Absent.REQUIRED, '"개인정보 보호법 제25조제1항제2호"',
        "설치의 법적 근거 (운영 규정 제3조). 없으면 녹화하지 않습니다",
        "statute that allows the camera (regulation art. 3); without one nothing is recorded",
    ),
    Key(
        "camera", "view", rules.text(), None, '"주차장 입구와 앞길 30 m"',
        "촬영 범위 (운영 규정 제10조). 안내판과 자체점검에 쓰입니다",
        "what it looks at (regulation art. 10), for the notice board",
    ),
    Key(
        "camera", "retention_days", rules.retention(), Absent.BOX, "15",
        "이 카메라의 보관 일수. 박스의 값보다 길 수 없습니다",
        "days this camera's recordings are kept; not more than the box's",
    ),
    Key(
        "camera", "hours", live_rules.schedule(), (), '["mon-fri 08:00-20:00", "sat 22:00-06:00"]',
        "녹화하는 시간 (한국 시각). 없으면 늘 녹화합니다. 밖에는 아무것도 저장하지 않고, 원장에 까닭이 남습니다."
        " 시각을 믿을 수 없는 동안에는 늘 녹화합니다",
        "when it is recorded (Korean time); without it always. Outside of them nothing is stored, and the ledger says "
        "why. While the time is not trusted it is recorded all the same",
    ),
    Key(
        "camera", "allow_basic_auth", rules.boolean(), True, "false",
        "카메라가 Basic 인증만 할 때 비밀번호를 그대로 보내도 되는지. rtsps나 https가 아니면 망에 드러납니다",
        "whether the password may go out unhashed when the camera asks for Basic; without rtsps or https the "
        "line sees it",
        WITH_LOGIN,
    ),
    Key(
        "camera", "width", rules.integer(16, 16384), None, "1280",
        "장치에 청할 가로 화소", "pixels across to ask of the device", V4L2_ONLY,
    ),
    Key(
        "camera", "height", rules.integer(16, 16384), None, "720",
        "장치에 청할 세로 화소", "pixels down to ask of the device", V4L2_ONLY,
    ),
    Key(
        "camera", "fps", rules.integer(1, 240), None, "15",
        "장치에 청할 초당 프레임 수", "pictures per second to ask of the device", V4L2_ONLY,
    ),
    Key(
        "camera", "priority", rules.integer(1, 9), 5, "5",
        "회선이 느릴 때 실시간 영상을 먼저 보내는 차례. 1이 먼저입니다",
        "who is served first when the line is too slow for all that is shown live: 1 first",
        RTSP_ONLY,
    ),
    Key(
        "uplink", "broker",
        rules.url(("mqtts",), "mqtts://호스트:포트", "mqtts://host:port"), Absent.REQUIRED, '"mqtts://10.77.0.1:8883"',
        "보고를 받는 MQTT 서버", "the MQTT broker that takes reports",
    ),
    Key(
        "uplink", "media", live_rules.media(), None,
        '"rtsp://10.77.0.1:8554"',
        "허가된 실시간 영상을 받는 미디어 서버", "the media server that takes granted live streams",
    ),
    Key(
        "tunnel", "interface", rules.interface(), Absent.REQUIRED, '"pasu0"',
        "터널의 네트워크 인터페이스", "network interface of the tunnel",
    ),
    Key(
        "tunnel", "line", rules.interface(), None, '"eth1"',
        "바깥 회선의 인터페이스. 적으면 터널과 DHCP 말고는 아무것도 이 인터페이스로 나가거나 들어오지 못합니다. "
        "카메라가 같은 인터페이스에 있으면 적지 마십시오",
        "interface of the line outside. Named here, nothing but the tunnel and DHCP leaves or enters by it. Leave it "
        "out where cameras are on the same interface",
    ),
    Key(
        "tunnel", "group", rules.group(), "pasu-uplink", '"pasu-uplink"',
        "pasu uplink의 그룹. 커널은 이것으로 uplink가 보내는 것을 알아봅니다",
        "group of `pasu uplink`, by which the kernel knows what it sends",
    ),
    Key(
        "page", "listen", rules.addresses(), Absent.REQUIRED, '"192.168.77.1"',
        "상태 페이지를 여는 박스의 IP 주소: 정비용 포트의 것. 여럿이면 목록으로",
        "the box's IP address at which the page is served, that of the maintenance port; a list for several",
    ),
    Key(
        "page", "port", rules.integer(1, 65535), 8443, "8443",
        "상태 페이지의 포트 (HTTPS)", "port of the page (HTTPS)",
    ),
    Key(
        "page", "metrics", rules.address(), None, '"10.77.1.2"',
        "Prometheus가 /metrics를 읽는 박스의 IP 주소: 터널 안의 것. 없으면 열지 않습니다",
        "the box's IP address at which Prometheus reads /metrics, the one inside the tunnel; without it none is served",
    ),
    Key(
        "page", "metrics_port", rules.integer(1, 65535), 9464, "9464",
        "/metrics의 포트 (HTTP, 터널 안)", "port of /metrics (HTTP, inside the tunnel)",
    ),
    Key(
        "page", "folder", rules.folder(), Path("/var/lib/pasu-page"), '"/var/lib/pasu-page"',
        "출입증과 방문, 페이지의 인증서가 놓이는 폴더", "folder of passes, visits, and the page's certificate",
    ),
    Key(
        "centre", "name", rules.identifier(), Absent.REQUIRED, '"disaster-office"',
        "이 미디어 서버의 이름. 서로 달라야 합니다", "name of this media server; unique",
    ),
    Key(
        "centre", "media", live_rules.media(), Absent.REQUIRED, '"rtsp://10.77.0.2:8554"',
        "그 주소", "its address",
    ),
    Key(
        "stream", "camera", rules.identifier(), Absent.REQUIRED, '"cam01"',
        "카메라의 id", "id of the camera",
    ),
    Key(
        "stream", "centre", rules.identifier(), None, '"disaster-office"',
        "보낼 곳: [[centre]]의 이름. 없으면 [uplink]의 media",
        "where to: the name of a [[centre]]; without it to media of [uplink]",
    ),
    Key(
        "stream", "stream", rules.choice("main", "sub"), "main", '"sub"',
        "보낼 영상: main이면 본 영상, sub이면 작은 영상", "which stream: main, or sub for the smaller one",
    ),
    Key(
        "stream", "hours", live_rules.schedule(), (), '["mon-fri 08:00-20:00", "sat 22:00-06:00"]',
        "보내는 시간. 없으면 늘 보냅니다. 시각을 믿을 수 없는 동안에는 보내지 않습니다",
        "when; without it always. With it, not while the time is not trusted",
    ),
    Key(
        "trigger", "id", rules.identifier(), Absent.REQUIRED, '"bell01"',
        "비상벨이나 센서의 이름. 서로 달라야 합니다", "name of the bell or sensor; unique",
    ),
    Key(
        "trigger", "name", rules.text(), Absent.REQUIRED, '"주차장 비상벨"',
        "사람이 읽는 이름", "name for people",
    ),
    Key(
        "trigger", "source", live_rules.source(), Absent.REQUIRED, '"mqtt://10.0.0.5:1883/site/bell01"',
        "신호가 오는 곳: 현장의 MQTT 주제, 또는 GPIO 선",
        "where it comes from: a topic of a broker at the site, or a GPIO line",
    ),
    Key(
        "trigger", "payload", rules.text(), None, '"on"',
        "이 글의 메시지만 신호로 봅니다 (MQTT). 없으면 모든 메시지",
        "only messages of this text count (MQTT); without it each does",
    ),
    Key(
        "trigger", "cameras", live_rules.cameras(8), (), '["cam01"]',
        "신호가 오면 보이는 카메라. 없으면 원장에 적기만 합니다",
        "cameras that are shown then; without any it is only noted in the ledger",
    ),
    Key(
        "trigger", "minutes", rules.integer(1, 15), 5, "5",
        "얼마 동안 보이는지(분). 다시 누르면 그때부터", "for how many minutes; pressed again, from then on",
    ),
    Key(
        "trigger", "before_s", rules.integer(0, 30), 0, "10",
        "신호 몇 초 전부터 보이는지. 그만큼을 메모리에 늘 가지고 있습니다",
        "seconds before it that are shown first; so much is always held in memory",
    ),
)  # fmt: skip

BY_TABLE: Mapping[str, Mapping[str, Key]] = MappingProxyType(
    {table.name: {key.name: key for key in KEYS if key.table == table.name} for table in TABLES}
)
