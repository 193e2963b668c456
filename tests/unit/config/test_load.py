"""agent.toml: what is right is taken with its defaults, what is wrong is named, all of it at once."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import Camera, ConfigProblems, Purpose, SourceKind, load
from agent.config.keys import KEYS as ALL_KEYS
from agent.config.keys import Absent
from tests.unit.config.samples import KEYS, RIGHT


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def read(tmp_path, content: str):
    file = tmp_path / "agent.toml"
    file.write_text(content, encoding="utf-8")
    return load(file)


def problems(tmp_path, content: str):
    with pytest.raises(ConfigProblems) as caught:
        read(tmp_path, content)
    return {(problem.key, problem.code): problem for problem in caught.value.problems}


def one(tmp_path, content: str):
    found = list(problems(tmp_path, content).values())
    assert len(found) == 1, found
    return found[0]


def camera(extra: str) -> str:
    """RIGHT, with lines added to its one camera; a line for a key that is there takes its place."""
    names = {line.partition("=")[0].strip() for line in extra.splitlines()}
    head, _, tail = RIGHT.partition("[[camera]]\n")
    kept = [line for line in tail.splitlines() if line.partition("=")[0].strip() not in names]
    return head + "[[camera]]\n" + "\n".join(kept) + "\n" + extra + "\n"


def storage(extra: str) -> str:
    names = {line.partition("=")[0].strip() for line in extra.splitlines()}
    lines = [line for line in RIGHT.splitlines() if line.partition("=")[0].strip() not in names]
    return "\n".join(lines).replace("[storage]", "[storage]\n" + extra)


def test_a_right_file_with_every_default(tmp_path):
    config = read(tmp_path, RIGHT)
    assert config.box.id == "gn-0007"
    assert config.box.site == "경포해변 3지점"
    assert config.storage.vaults == (Path("/var/lib/pasu/vault"),)
    assert config.storage.run == Path("/run/pasu")
    assert (config.storage.retention_days, config.storage.segment_s, config.storage.loss_window_s) == (
        30,
        60,
        1.0,
    )
    assert config.storage.recipients == KEYS
    (camera,) = config.cameras
    assert camera == Camera(
        "cam01", "주차장 입구", "rtsp://10.0.0.11/main", None, "tcp", Purpose.CRIME_PREVENTION,
        "개인정보 보호법 제25조제1항제2호", 30, (), True, None, None, None, 5, None,
    )  # fmt: skip
    assert (config.uplink, config.tunnel, config.warnings) == (None, None, ())
    assert config.secrets_file == tmp_path / "secrets.toml"
    assert config.camera("cam01") is camera
    assert config.camera("cam02") is None


def test_the_example_of_the_design_and_the_optional_tables(tmp_path):
    config = read(
        tmp_path,
        RIGHT
        + 'sub_url = "rtsp://10.0.0.11/sub"\nretention_days = 15\ntransport = "udp"\nallow_basic_auth = false\n'
        + '[uplink]\nbroker = "mqtts://10.77.0.1:8883"\nmedia = "rtsp://10.77.0.1:8554"\n[tunnel]\ninterface = "pasu0"\n',
    )
    assert config.uplink.broker == "mqtts://10.77.0.1:8883"
    assert config.tunnel.interface == "pasu0"
    assert (config.cameras[0].retention_days, config.cameras[0].transport) == (15, "udp")
    assert config.cameras[0].allow_basic_auth is False


def test_a_camera_keeps_the_boxs_days_when_it_has_none_of_its_own(tmp_path):
    assert read(tmp_path, storage("retention_days = 12")).cameras[0].retention_days == 12


def test_everything_wrong_is_said_at_once(tmp_path):
    found = problems(
        tmp_path,
        """
        [box]
        id = "GN 7"
        site = ""
        [storage]
        vault = "vault"
        state = "/s"
        retention_days = 31
        recipients = []
        [[camera]]
        id = "cam01"
        purpose = "curiosity"
        [[camera]]
        id = "cam01"
        name = "b"
        url = "ftp://x"
        purpose = "parking-management"
        legal_basis = "x"
        [extra]
        """,
    )
    assert set(found) == {
        ("extra", "CONFIG_KEY_UNKNOWN"),
        ("box.id", "CONFIG_VALUE"),
        ("box.site", "CONFIG_VALUE"),
        ("box.operator", "CONFIG_KEY_MISSING"),
        ("box.contact", "CONFIG_KEY_MISSING"),
        ("storage.vault", "CONFIG_VALUE"),
        ("storage.retention_days", "CONFIG_RETENTION"),
        ("storage.recipients", "CONFIG_RECIPIENT"),
        ("camera[1].name", "CONFIG_KEY_MISSING"),
        ("camera[1].url", "CONFIG_KEY_MISSING"),
        ("camera[1].purpose", "CONFIG_PURPOSE"),
        ("camera[1].legal_basis", "CONFIG_KEY_MISSING"),
        ("camera[2].id", "CONFIG_DUPLICATE"),
        ("camera[2].url", "CONFIG_VALUE"),
    }
    assert all(problem.file.endswith("agent.toml") for problem in found.values())
    assert found["box.id", "CONFIG_VALUE"].found == '"GN 7"'
    assert found["box.id", "CONFIG_VALUE"].example == 'id = "gn-0007"'
    assert "31(1)" in found["storage.retention_days", "CONFIG_RETENTION"].allowed


def test_the_error_is_for_the_installer(tmp_path):
    with pytest.raises(ConfigProblems) as caught:
        read(tmp_path, "")
    assert caught.value.exit_code == 78
    assert caught.value.code == "CONFIG_INVALID"
    assert [problem.key for problem in caught.value.problems] == ["box", "storage", "camera"]
    assert "camera: CONFIG_TABLE_MISSING" in str(caught.value)


@pytest.mark.parametrize(
    "key",
    [key for key in ALL_KEYS if key.default is Absent.REQUIRED and key.table in ("box", "storage", "camera")],
)
def test_each_required_key_is_missed(tmp_path, key):
    lines = [line for line in RIGHT.splitlines() if line.partition("=")[0].strip() != key.name]
    content = "\n".join(lines)
    if key.name == "id":
        other = {"box": 'id = "cam01"', "camera": 'id = "gn-0007"'}[key.table]
        content = RIGHT.replace('id = "gn-0007"' if key.table == "box" else 'id = "cam01"', "")
        assert other in content
    problem = one(tmp_path, content)
    assert problem.code == "CONFIG_KEY_MISSING"
    assert problem.key.endswith(f".{key.name}")
    assert problem.example.startswith(f"{key.name} = ")


def test_every_example_in_the_table_is_itself_allowed(tmp_path):
    import tomllib

    for key in ALL_KEYS:
        if key.name == "recipients":  # an example key would be copied, and nobody could open what it sealed
            continue
        key.rule.accept(tomllib.loads(f"x = {key.example}")["x"])


@pytest.mark.parametrize(
    ("line", "suggestion"),
    [
        ("nmae = 1", "did you mean name?"),
        ("vault = 1", "it belongs under [storage]"),
        ("zzz = 1", "id, name, url"),
    ],
)
def test_an_unknown_key_is_refused_with_a_suggestion(tmp_path, line, suggestion):
    problem = one(tmp_path, camera(line))
    assert problem.code == "CONFIG_KEY_UNKNOWN"
    assert suggestion in problem.allowed


@pytest.mark.parametrize(
    ("line", "suggestion"),
    [
        ("[strage]", "did you mean [storage]?"),
        ("recipients = 1", "it belongs under [storage]"),
        ("[q]", "[box], [storage]"),
    ],
)
def test_an_unknown_table_is_refused_with_a_suggestion(tmp_path, line, suggestion):
    problem = one(tmp_path, line + "\n" + RIGHT)
    assert problem.code == "CONFIG_KEY_UNKNOWN"
    assert suggestion in problem.allowed


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (RIGHT.replace("[[camera]]", "[camera]"), "CONFIG_TABLE"),
        ("camera = [1]\n" + RIGHT.partition("[[camera]]")[0], "CONFIG_TABLE"),
        ("camera = []\n" + RIGHT.partition("[[camera]]")[0], "CONFIG_TABLE_MISSING"),
        (RIGHT.partition("[[camera]]")[0], "CONFIG_TABLE_MISSING"),
        ("uplink = 3\n" + RIGHT, "CONFIG_TABLE"),
        (RIGHT + "[[tunnel]]\n", "CONFIG_TABLE"),
    ],
)
def test_a_table_in_the_wrong_shape(tmp_path, content, code):
    assert one(tmp_path, content).code == code


@pytest.mark.parametrize("days", ["0", "-1", "31", "9999999999999999999999", "true", "30.0", '"30"', "nan"])
def test_retention_outside_one_to_thirty_days(tmp_path, days):
    assert one(tmp_path, storage(f"retention_days = {days}")).key == "storage.retention_days"
    assert one(tmp_path, camera(f"retention_days = {days}")).key == "camera[1].retention_days"


def test_a_camera_may_not_keep_longer_than_the_box(tmp_path):
    content = storage("retention_days = 10") + "\nretention_days = 11\n"
    problem = one(tmp_path, content)
    assert (problem.code, problem.key) == ("CONFIG_RETENTION", "camera[1].retention_days")


@pytest.mark.parametrize(
    "line",
    [
        "segment_s = 4", "segment_s = 601", "segment_s = 60.0", "loss_window_s = 0.1", "loss_window_s = 10.1",
        "loss_window_s = nan", "loss_window_s = inf", "loss_window_s = true", 'loss_window_s = "1"', 'run = "run"',
        'vault = "/"', 'vault = "/a/../b"', 'vault = "/a\\u0000b"', "vault = 1", "vault = []", 'vault = ["/a", "b"]',
        f"vault = {[f'/v{n}' for n in range(17)]}",
    ],
)  # fmt: skip
def test_storage_values_that_are_refused(tmp_path, line):
    assert one(tmp_path, storage(line)).code == "CONFIG_VALUE"


@pytest.mark.parametrize(
    "line",
    ["segment_s = 5", "segment_s = 600", "loss_window_s = 0.2", "loss_window_s = 10", "retention_days = 1"],
)
def test_storage_values_at_the_ends(tmp_path, line):
    name, _, value = line.partition(" = ")
    assert getattr(read(tmp_path, storage(line)).storage, name) == float(value)


@pytest.mark.parametrize(
    "line",
    [
        'state = "/var/lib/pasu/vault"', 'state = "/var/lib/pasu/vault/state"', 'state = "/var/lib/pasu"',
        'vault = ["/mnt/a", "/var/lib/pasu"]', 'vault = ["/mnt/a", "/var/lib/pasu/state/v"]',
        'vault = ["/mnt/a", "/mnt/a"]', 'vault = ["/mnt/a/b", "/mnt/a"]', 'vault = ["/mnt/a", "/mnt/b", "/mnt/a/b"]',
    ],
)  # fmt: skip
def test_vaults_and_state_do_not_lie_in_each_other(tmp_path, line):
    assert one(tmp_path, storage(line)).code == "CONFIG_FOLDERS"


def test_several_disks_are_a_list(tmp_path):
    config = read(tmp_path, storage('vault = ["/mnt/a/pasu", "/mnt/b/pasu"]'))
    assert config.storage.vaults == (Path("/mnt/a/pasu"), Path("/mnt/b/pasu"))


@pytest.mark.parametrize(
    ("value", "code", "said"),
    [
        ("[]", "CONFIG_RECIPIENT", ""),
        ("1", "CONFIG_VALUE", ""),
        ("[1]", "CONFIG_VALUE", ""),
        (f'["{KEYS[0]}", "{KEYS[0]}"]', "CONFIG_RECIPIENT", "same"),
        (f'["{KEYS[0][:-1]}"]', "CONFIG_RECIPIENT", "length"),
        (f'["{KEYS[0][:20]}q{KEYS[0][21:]}"]', "CONFIG_RECIPIENT", "key 1 was mistyped"),
        (f'["{KEYS[1]}", "{KEYS[0][:-1]}b"]', "CONFIG_RECIPIENT", "key 2 holds a character"),
        (f'["{KEYS[0].upper()}"]', "CONFIG_RECIPIENT", "begin"),
        ('["ssh-ed25519 AAAA"]', "CONFIG_RECIPIENT", "begin"),
        (str(["x"] * 17), "CONFIG_RECIPIENT", ""),
    ],
)
def test_recipients_that_are_refused(tmp_path, value, code, said):
    problem = one(tmp_path, storage(f"recipients = {value}"))
    assert problem.code == code
    assert said in problem.allowed


def test_a_private_key_is_refused_and_never_shown(tmp_path):
    secret = "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ"
    problem = one(tmp_path, storage(f'recipients = ["{KEYS[0]}", "{secret}"]'))
    assert problem.code == "CONFIG_PRIVATE_KEY"
    assert "QQQQ" not in repr(problem)


def test_one_recipient_is_a_warning(tmp_path):
    config = read(tmp_path, storage(f'recipients = ["{KEYS[0]}"]'))
    assert [warning.code for warning in config.warnings] == ["CONFIG_ONE_RECIPIENT"]


def test_the_same_address_twice_is_a_warning(tmp_path):
    again = RIGHT.partition("[[camera]]")[2].replace("cam01", "cam02")
    config = read(tmp_path, RIGHT + "[[camera]]" + again)
    assert [(warning.code, warning.key) for warning in config.warnings] == [
        ("CONFIG_SAME_URL", "camera[2].url")
    ]


def test_a_key_without_effect_is_a_warning(tmp_path):
    config = read(
        tmp_path, camera('url = "v4l2:/dev/video0"\ntransport = "udp"\nwidth = 640\nheight = 480\nfps = 15')
    )
    assert [warning.key for warning in config.warnings] == ["camera[1].transport"]
    assert (config.cameras[0].width, config.cameras[0].height, config.cameras[0].fps) == (640, 480, 15)
    config = read(tmp_path, camera('url = "rtsps://h/1"\ntransport = "udp"\nwidth = 640'))
    assert [warning.key for warning in config.warnings] == ["camera[1].width"]


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("rtsp://10.0.0.11/main", SourceKind.RTSP),
        ("rtsp://10.0.0.11:8554/cam/realmonitor?channel=1&subtype=0", SourceKind.RTSP),
        ("rtsps://camera-1.local/", SourceKind.RTSP),
        ("rtsp://[fe80::1]:554/x", SourceKind.RTSP),
        ("file:/tmp/x.mp4", SourceKind.FILE),
        ("file:///tmp/한글.mp4", SourceKind.FILE),
        ("v4l2:/dev/video0", SourceKind.V4L2),
        ("v4l2:/dev/v4l/by-id/usb-x", SourceKind.V4L2),
        ("http://10.0.0.1:8080/stream.ts", SourceKind.HTTP_TS),
        ("https://h/stream.ts", SourceKind.HTTP_TS),
        ("udp://:5000", SourceKind.UDP_TS),
        ("udp://@239.0.0.1:1234", SourceKind.UDP_TS),
        ("udp://0.0.0.0:1234", SourceKind.UDP_TS),
    ],
)
def test_addresses_that_are_taken(tmp_path, url, kind):
    config = read(tmp_path, camera(f'url = "{url}"'))
    assert config.cameras[0].url == url
    assert config.cameras[0].kind is kind


@pytest.mark.parametrize(
    "url",
    [
        "", " ", "rtsp:", "rtsp://", "rtsp:///x", "10.0.0.1", "RTSP://h/", "rtsp://h:0/", "rtsp://h:65536/", "rtsp://h:x/",
        "rtsp://h/ x", "rtsp://h/#x", "rtsp://경포/x", "rtsp://300.1.1.1/", "rtsp://1.2.3/", "rtsp://[::g]/", "rtsp://[::1/",
        "rtsp://-a/", "rtsp://a..b/", "rtsp://h\\\\x", "rtsp:/h/x", "udp://239.0.0.1", "udp://h", "file:x.mp4", "file://host/x",
        "file:/a/../b", "v4l2:video0", "v4l2:/etc/passwd", "v4l2:/dev/../etc/passwd", "http:///x", "ftp://h/x", "rtsp://h/\\n",
        "rtsp://h/" + "x" * 1000, f"rtsp://{'a' * 64}/", "rtsp://" + ".".join(["a" * 60] * 5) + "/",
    ],
)  # fmt: skip
def test_addresses_that_are_refused(tmp_path, url):
    problem = one(tmp_path, camera(f'url = "{url}"'))
    assert (problem.code, problem.key) == ("CONFIG_VALUE", "camera[1].url")


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://admin:Gwangan77@10.0.0.1/", "rtsp://Gwangan77@10.0.0.1/", "rtsp://admin:Gwan/Gwangan77@10.0.0.1/x",
        "rtsp://admin:12/Gwangan77@10.0.0.1/x", "rtsp://admin:a@Gwangan77@10.0.0.1/x", "http://u:Gwangan77@h/",
        "rtsp://h/x?user=a&password=Gwangan77", "rtsp://h/user=a_password=Gwangan77_channel=1", "udp://u:Gwangan77@h:1",
        "rtsp://h/?PWD=Gwangan77", 'rtsp://admin:Gwang\\"Gwangan77@10.0.0.1/',
    ],
)  # fmt: skip
def test_a_password_in_an_address_is_refused_and_never_shown(tmp_path, url):
    for key in ("url", "sub_url"):
        with pytest.raises(ConfigProblems) as caught:
            read(tmp_path, camera(f'{key} = "{url}"'))
        (problem,) = caught.value.problems
        assert problem.code == "CONFIG_PASSWORD_IN_URL"
        assert "secrets.toml" in problem.allowed
        assert "Gwangan77" not in repr(problem) + str(caught.value)


def test_a_password_is_hidden_in_any_value_and_in_syntax_errors(tmp_path):
    for content in (
        camera('url = ["rtsp://admin:Gwangan77@h/"]'),
        camera('name = 3\nid = "rtsp://admin:Gwangan77@h/"'),
        camera('password = "Gwangan77"'),
        camera('unknown = "Gwangan77"'),
        camera('url = "rtsp://admin:Gwangan77@h/'),
        RIGHT.replace("[[camera]]", '[camera]\npassword="Gwangan77"\nurl="rtsp://a:Gwangan77@h"'),
    ):
        with pytest.raises(ConfigProblems) as caught:
            read(tmp_path, content)
        assert "Gwangan77" not in repr(caught.value.problems) + str(caught.value)


def test_password_keys_point_to_their_own_file(tmp_path):
    problem = one(tmp_path, camera('password = "x"'))
    assert problem.code == "CONFIG_PASSWORD_HERE"
    assert "secrets.toml" in problem.allowed


@pytest.mark.parametrize(
    "value", ['"a\\nb"', '"  "', '"a\\u202Eb"', '"' + "x" * 201 + '"', "3", "[]", "{}", "1979-05-27"]
)
def test_texts_that_are_refused(tmp_path, value):
    problem = one(tmp_path, camera(f"legal_basis = {value}"))
    assert (problem.code, problem.key) == ("CONFIG_VALUE", "camera[1].legal_basis")
    assert problem.found.isprintable()
    assert len(problem.found) < 100


def test_texts_come_trimmed_and_composed(tmp_path):
    import unicodedata

    apart = unicodedata.normalize("NFD", "경포")
    assert read(tmp_path, camera(f'name = " {apart} "')).cameras[0].name == "경포"


@pytest.mark.parametrize("value", ["", "-a", "a" * 33, "Cam", "cam_1", "카메라", "a/b", "..", "a\\n"])
def test_ids_that_are_refused(tmp_path, value):
    assert one(tmp_path, camera(f'id = "{value}"')).key == "camera[1].id"


@given(st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True))
def test_ids_that_are_taken(tmp_path_factory, value):
    assert read(tmp_path_factory.mktemp("config"), camera(f'id = "{value}"')).cameras[0].id == value


@pytest.mark.parametrize("purpose", list(Purpose))
def test_each_purpose_of_article_6(tmp_path, purpose):
    taken = read(tmp_path, camera(f'purpose = "{purpose}"')).cameras[0].purpose
    assert taken is purpose


@given(st.text(max_size=30).filter(lambda text: text not in set(Purpose)))
def test_no_other_purpose(text):
    from agent.config.rules import Refused, purpose

    with pytest.raises(Refused):
        purpose().accept(text)


def test_purposes_have_the_regulations_titles(monkeypatch):
    regulation = "방범, 쓰레기 투기 방지, 주차관리, 교통정보 수집, 불법 주정차단속, 재난ㆍ재해 예방, 화재 예방, 시설물 관리"
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    assert ", ".join(purpose.title for purpose in Purpose) == regulation


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('broker = "mqtt://h:1"', "uplink.broker"), ('broker = "mqtts://u:p@h"', "uplink.broker"),
        ('broker = "mqtts://h"\nmedia = "http://h/"', "uplink.media"), ("", "uplink.broker"),
    ],
)  # fmt: skip
def test_uplink_values_that_are_refused(tmp_path, line, key):
    assert one(tmp_path, RIGHT + "[uplink]\n" + line).key == key


@pytest.mark.parametrize("value", ["", "..", ".", "a b", "a/b", "sixteen-letters-"])
def test_interfaces_that_are_refused(tmp_path, value):
    assert one(tmp_path, RIGHT + f'[tunnel]\ninterface = "{value}"').key == "tunnel.interface"


def test_other_values_that_are_refused(tmp_path):
    for line in (
        'transport = "http"',
        "transport = 1",
        'allow_basic_auth = "yes"',
        "width = 15",
        "fps = 0",
        "height = true",
    ):
        assert one(tmp_path, camera(line)).code == "CONFIG_VALUE"


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigProblems) as caught:
        load(tmp_path / "none.toml")
    assert caught.value.problems[0].code == "CONFIG_MISSING"
    with pytest.raises(ConfigProblems) as caught:
        load(str(tmp_path))
    assert caught.value.problems[0].code == "CONFIG_UNREADABLE"
    big = tmp_path / "big.toml"
    big.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(ConfigProblems) as caught:
        load(big)
    assert caught.value.problems[0].code == "CONFIG_UNREADABLE"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[box\n", "line 1"),
        ("\n\nsite = '경포'".encode("euc-kr"), "line 3 is not UTF-8"),
        (b"a=" + b"[" * 50_000, "deep"),
    ],
)
def test_files_that_are_not_toml(tmp_path, content, said):
    file = tmp_path / "agent.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigProblems) as caught:
        load(file)
    assert caught.value.problems[0].code == "CONFIG_SYNTAX"
    assert said in caught.value.problems[0].found


def test_long_values_are_shown_short(tmp_path):
    problem = one(tmp_path, camera("name = {a = [" + ", ".join(["true"] * 99) + "]}"))
    assert problem.found.startswith("{a = [true, true")
    assert len(problem.found) == 81


def test_problems_speak_korean_where_that_is_spoken(tmp_path, monkeypatch):
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    problem = one(tmp_path, camera("nmae = 1"))
    assert problem.allowed == "혹시 name?"


def test_a_camera_travels_as_json_and_all_of_it_as_a_pickle(tmp_path):
    config = read(tmp_path, RIGHT)
    (camera,) = config.cameras
    assert Camera.from_json(json.loads(json.dumps(camera.to_json()))) == camera
    assert pickle.loads(pickle.dumps(config)) == config
