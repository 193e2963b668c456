from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.values import Box, Camera, Config, Purpose, Storage
from agent.model import Instant, Trust
from agent.uplink import summary
from tests.unit.uplink.samples import T0

NOW = Instant(T0, Trust.SYNCED)


def config() -> Config:
    cameras = tuple(
        Camera(
            id=name,
            name="주차장",
            url=f"rtsp://10.9.8.7/{name}",
            sub_url=None,
            transport="tcp",
            purpose=Purpose.CRIME_PREVENTION,
            legal_basis="제25조",
            retention_days=15,
            hours=(),
            allow_basic_auth=True,
            width=None,
            height=None,
            fps=None,
            priority=5,
            view=None,
        )
        for name in ("cam01", "cam02")
    )
    storage = Storage((Path("/v"),), Path("/s"), Path("/r"), 30, 60, 1.0, ("age1x",))
    return Config(
        Path("/c"),
        Box("gn-1", "해변", "정보과", "033", None),
        storage,
        cameras,
        None,
        None,
        None,
        (),
        (),
        (),
        (),
    )


def made(record=None, keep=None, wrong=()):
    return summary.health(config(), "s", 3, NOW, record=record, keep=keep, wrong=wrong, backlog=7, seq=1234)


RECORD = {
    "cameras": {
        "cam01": {"state": "recording", "fps": 14.96, "kbit_s": 3999.6, "url": "rtsp://10.9.8.7/cam01"},
        "cam02": {"state": "lost", "detail": "10.9.8.7 refused"},
    },
    "conditions": [
        {
            "code": "camera.unreachable",
            "severity": "alarm",
            "subject": "cam02",
            "since_ms": 5,
            "trust": "SYNCED",
        }
    ],
}
KEEP = {
    "challenge": "ab" * 16,
    "vaults": [{"total_bytes": 1000, "free_bytes": 123, "forecast_tenths_of_days": 305}, {"total_bytes": 0}],
    "vitals": {
        "cpu_percent": 12,
        "memory_percent": 34,
        "hottest": {"celsius": 51},
        "load_hundredths": [20, 10, 5],
    },
    "conditions": [{"code": "vault.missing", "severity": "critical", "subject": "/v", "since_ms": 9}],
}


def test_a_health_is_made_of_what_is_named_and_nothing_else():
    health = made(RECORD, KEEP)
    assert health.cameras == [(4, 150, 4000), (5, 0, 0)]
    assert health.vaults == [(123, 305), (None, None)]
    assert health.box_vitals == (12, 34, 51, 20)
    assert (health.challenge, health.n, health.backlog, health.seq, health.at_ms, health.trust) == (
        "ab" * 16,
        3,
        7,
        1234,
        T0,
        "SYNCED",
    )
    assert "10.9.8.7" not in json.dumps(health.to_json())


def test_processes_that_are_silent_leave_what_they_know_unknown():
    health = made()
    assert health.cameras == [(0, 0, 0), (0, 0, 0)]
    assert (health.vaults, health.box_vitals, health.challenge) == ([], (None,) * 4, "")


def test_conditions_of_all_come_the_worst_first_and_the_oldest_of_those():
    own = [
        {"code": "uplink.backlog", "severity": "warning", "subject": "", "since_ms": 1, "trust": "HOLDOVER"}
    ]
    wrong = summary.conditions(RECORD, KEEP, None, own=own)
    assert [each.code for each in wrong] == ["vault.missing", "camera.unreachable", "uplink.backlog"]
    assert [each.trust for each in wrong] == ["UNTRUSTED", "SYNCED", "HOLDOVER"]
    assert made(RECORD, KEEP, wrong).conditions[0] == ("vault.missing", "/v", 9)


@pytest.mark.parametrize(
    "said",
    [{"severity": "alarm"}, {"code": "a", "severity": "loud"}, {"code": 1, "severity": "alarm"}, "x", None],
)
def test_what_is_no_condition_is_left_out(said):
    assert summary.conditions({"conditions": [said]}) == []


def test_conditions_are_bounded():
    one = {"code": "a", "severity": "alarm", "detail": "d" * 10_000}
    wrong = summary.conditions({"conditions": [one] * 1000})
    assert len(wrong) == summary.MOST_CONDITIONS
    assert len(wrong[0].detail) == 200
    assert wrong[0].since_ms == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = ["cameras", "conditions", "vaults", "vitals", "challenge"]
INNER = ["cam01", "state", "fps", "kbit_s", "total_bytes", "free_bytes", "hottest", "load_hundredths", "code"]


@given(
    st.dictionaries(
        st.sampled_from(NAMES),
        JSON
        | st.dictionaries(st.sampled_from(INNER), JSON | st.dictionaries(st.sampled_from(INNER), JSON))
        | st.lists(st.dictionaries(st.sampled_from(INNER), JSON), max_size=3),
    )
)
def test_whatever_a_file_holds_a_health_is_made(said):
    health = made(said, said, summary.conditions(said, said))
    json.dumps(health.to_json(), allow_nan=False)
    assert len(health.cameras) == 2


def test_a_birth_names_the_cameras_and_never_their_addresses():
    birth = summary.birth(
        config(),
        "s",
        0,
        NOW,
        boot=("boot", 5),
        versions={"pasu": "1"},
        ledger=("00" * 8, "vkey"),
        record={"sealing": {"recipients": ["a0b1c2d3e4f50617"], "signed": True, "epoch": 3}},
        keep=KEEP,
        wrong=summary.conditions(KEEP),
    )
    text = json.dumps(birth.to_json(), ensure_ascii=False)
    assert "10.9.8.7" not in text
    assert "rtsp" not in text
    assert [camera.id for camera in birth.cameras] == ["cam01", "cam02"]
    assert birth.cameras[0].purpose == "crime-prevention"
    assert (birth.ledger, birth.vkey, birth.boot, birth.boot_ms) == ("00" * 8, "vkey", "boot", 5)
    assert birth.conditions[0].code == "vault.missing"
    assert birth.recipients == ["a0b1c2d3e4f50617"]
