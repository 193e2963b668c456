"""The tables about live streams: what is right, and everything that is wrong at once."""

from __future__ import annotations

import pickle

import pytest

from agent.config import Centre, Stream, Trigger
from agent.config.hours import Hours
from agent.config.sources import GpioSource, MqttSource
from tests.unit.config.samples import RIGHT
from tests.unit.config.test_load import one, problems, read

UPLINK = '[uplink]\nbroker = "mqtts://10.77.0.1:8883"\nmedia = "rtsp://10.77.0.1:8554"\n'
SECOND = '[[camera]]\nid = "cam02"\nname = "b"\nurl = "file:/a.mp4"\npurpose = "fire-prevention"\nlegal_basis = "x"\n'
CENTRE = '[[centre]]\nname = "office"\nmedia = "rtsp://10.77.0.2:8554"\n'
TRIGGER = '[[trigger]]\nid = "bell01"\nname = "비상벨"\nsource = "mqtt://10.0.0.5:1883/site/bell01"\n'


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def test_none_of_them(tmp_path):
    config = read(tmp_path, RIGHT)
    assert (config.centres, config.streams, config.triggers) == ((), (), ())
    assert (config.media(), config.media("office"), config.cameras[0].priority) == (None, None, 5)


def test_all_of_them(tmp_path):
    streams = '[[stream]]\ncamera = "cam01"\n[[stream]]\ncamera = "cam01"\ncentre = "office"\nstream = "sub"\nhours = ["mon 08:00-20:00"]\n'
    trigger = TRIGGER + 'payload = "on"\ncameras = ["cam01"]\nminutes = 15\nbefore_s = 30\n'
    gpio = '[[trigger]]\nid = "door"\nname = "문"\nsource = "gpio://gpiochip0/17?edge=rising"\n'
    config = read(
        tmp_path,
        RIGHT
        + 'priority = 1\nsub_url = "rtsp://10.0.0.11/sub"\n'
        + UPLINK
        + CENTRE
        + streams
        + trigger
        + gpio,
    )
    assert config.centres == (Centre("office", "rtsp://10.77.0.2:8554"),)
    assert config.streams == (
        Stream("cam01", None, "main", ()),
        Stream("cam01", "office", "sub", (Hours((0,), 480, 1200),)),
    )
    assert config.triggers == (
        Trigger("bell01", "비상벨", MqttSource("10.0.0.5", 1883, "site/bell01"), "on", ("cam01",), 15, 30),
        Trigger("door", "문", GpioSource("gpiochip0", 17, "rising"), None, (), 5, 0),
    )
    assert (config.media(), config.media("office"), config.cameras[0].priority) == (
        "rtsp://10.77.0.1:8554",
        "rtsp://10.77.0.2:8554",
        1,
    )
    assert [warning.code for warning in config.warnings] == ["CONFIG_MEDIA_OPEN"]  # there is no [tunnel]
    assert pickle.loads(pickle.dumps(config)) == config


def test_everything_wrong_is_said_at_once(tmp_path):
    found = problems(
        tmp_path,
        RIGHT
        + SECOND
        + UPLINK
        + CENTRE * 2
        + CENTRE.replace("office", "OFFICE")
        + '[[stream]]\ncamera = "cam01"\nstream = "sub"\n'
        + '[[stream]]\ncamera = "cam01"\nhours = ["mon-fri 8-20"]\n'
        + '[[stream]]\ncamera = "cam02"\ncentre = "nowhere"\n'
        + '[[stream]]\ncamera = "cam09"\n'
        + "[[stream]]\n[[stream]]\n"
        + TRIGGER
        + TRIGGER
        + 'cameras = ["cam01", "cam09", "cam02"]\nminutes = 16\nbefore_s = 31\n'
        + TRIGGER.replace("bell01", "bell02")
        + 'cameras = ["cam01", "cam01"]\n'
        + '[[trigger]]\nid = "x"\nname = "y"\nsource = "bell"\ncameras = "cam01"\n',
    )
    assert set(found) == {
        ("centre[2].name", "CONFIG_DUPLICATE"),
        ("centre[3].name", "CONFIG_VALUE"),
        ("stream[1].stream", "CONFIG_STREAM_SUB"),
        ("stream[2].hours", "CONFIG_VALUE"),
        ("stream[2].camera", "CONFIG_DUPLICATE"),
        ("stream[3].camera", "CONFIG_STREAM_SOURCE"),
        ("stream[3].centre", "CONFIG_CENTRE_UNKNOWN"),
        ("stream[4].camera", "CONFIG_CAMERA_UNKNOWN"),
        ("stream[5].camera", "CONFIG_KEY_MISSING"),
        ("stream[6].camera", "CONFIG_KEY_MISSING"),
        ("trigger[2].id", "CONFIG_DUPLICATE"),
        ("trigger[2].cameras", "CONFIG_CAMERA_UNKNOWN"),
        ("trigger[2].cameras", "CONFIG_STREAM_SOURCE"),
        ("trigger[2].minutes", "CONFIG_VALUE"),
        ("trigger[2].before_s", "CONFIG_VALUE"),
        ("trigger[3].cameras", "CONFIG_DUPLICATE"),
        ("trigger[4].source", "CONFIG_VALUE"),
        ("trigger[4].cameras", "CONFIG_VALUE"),
    }
    unknown = found["stream[4].camera", "CONFIG_CAMERA_UNKNOWN"]
    assert unknown.found == '"cam09"'
    assert unknown.allowed == "the id of a [[camera]]: cam01, cam02"
    nowhere = found["stream[3].centre", "CONFIG_CENTRE_UNKNOWN"]
    assert nowhere.allowed == "the name of a [[centre]]: office"
    assert 'name = "nowhere"' in nowhere.example
    for problem in found.values():
        assert problem.allowed, problem


@pytest.mark.parametrize(
    ("tables", "key"),
    [
        ('[[stream]]\ncamera = "cam01"\n', "stream"),
        (CENTRE, "centre"),
        (TRIGGER + 'cameras = ["cam01"]\n', "trigger"),
        ('[uplink]\nbroker = "mqtts://h"\n[[stream]]\ncamera = "cam01"\n', "stream"),
    ],
)
def test_nothing_is_shown_without_a_media_server(tmp_path, tables, key):
    problem = one(tmp_path, RIGHT + tables)
    assert (problem.key, problem.code) == (key, "CONFIG_STREAM_NO_MEDIA")
    assert "media = " in problem.example


def test_a_trigger_that_is_only_noted_needs_no_media_server(tmp_path):
    assert read(tmp_path, RIGHT + TRIGGER).triggers[0].cameras == ()


@pytest.mark.parametrize("address", ["rtsps://10.77.0.1:322", "rtsp://media.example:8554"])
@pytest.mark.parametrize(
    "table", ['[uplink]\nbroker = "mqtts://10.77.0.1"\n', UPLINK + '[[centre]]\nname = "a"\n']
)
def test_a_media_server_by_name_or_by_tls_is_refused(tmp_path, address, table):
    problem = one(tmp_path, RIGHT + table + f'media = "{address}"\n')
    assert (problem.code, problem.found) == ("CONFIG_MEDIA", f'"{address}"')
    assert problem.key in ("uplink.media", "centre[1].media")


@pytest.mark.parametrize(
    "value", ["1", "[]", "[1]", '["08:00-20:00", 5]', str(["08:00-20:00"] * 17), '["x"]']
)
def test_hours_that_are_none(tmp_path, value):
    text = RIGHT + UPLINK + f'[[stream]]\ncamera = "cam01"\nhours = {value}\n'
    assert one(tmp_path, text).key == "stream[1].hours"


@pytest.mark.parametrize("value", ["1", '"bell"', '"mqtt://broker/bell"'])
def test_sources_that_are_none(tmp_path, value):
    text = RIGHT + f'[[trigger]]\nid = "a"\nname = "b"\nsource = {value}\n'
    assert one(tmp_path, text).key == "trigger[1].source"


def test_a_payload_that_no_line_has(tmp_path):
    config = read(
        tmp_path,
        RIGHT + '[[trigger]]\nid = "a"\nname = "b"\nsource = "gpio://gpiochip0/17"\npayload = "on"\n',
    )
    assert [(warning.code, warning.key) for warning in config.warnings] == [
        ("CONFIG_WITHOUT_EFFECT", "trigger[1].payload")
    ]


def test_only_so_many_tables(tmp_path):
    bells = "".join(TRIGGER.replace("bell01", f"b{number}") for number in range(33))
    problem = one(tmp_path, RIGHT + bells)
    assert (problem.key, problem.code) == ("trigger", "CONFIG_TABLE")


def test_a_table_with_one_bracket(tmp_path):
    problem = one(tmp_path, RIGHT + '[stream]\ncamera = "cam01"\n')
    assert (problem.key, problem.code) == ("stream", "CONFIG_TABLE")
    assert "[[stream]]" in problem.allowed


def test_what_names_cameras_where_no_camera_is_known(tmp_path):
    text = RIGHT.replace('id = "cam01"', 'id = "CAM 1"') + UPLINK + '[[stream]]\ncamera = "cam01"\n'
    found = problems(tmp_path, text)
    assert set(found) == {("camera[1].id", "CONFIG_VALUE"), ("stream[1].camera", "CONFIG_CAMERA_UNKNOWN")}
    assert found["stream[1].camera", "CONFIG_CAMERA_UNKNOWN"].allowed == "the id of a [[camera]]"


def test_cameras_are_listed_up_to_eight(tmp_path):
    more = "".join(SECOND.replace("cam02", f"c{number}") for number in range(9))
    problem = one(tmp_path, RIGHT + more + UPLINK + '[[stream]]\ncamera = "cam09"\n')
    assert problem.allowed.endswith("c6…")
