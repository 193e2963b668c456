"""What recorders cannot store, as conditions."""

from __future__ import annotations

from agent.health import Raised
from agent.health.recording import judge_storage


def test_what_cannot_be_stored_is_told_once_for_all_workers():
    full = {"code": "DISK_FULL", "where": "/vault/segments/cam01/x.part"}
    storage = {
        "rtsp-0": {"disk": full, "slow": {"code": "DISK_SLOW", "where": "/vault"}},
        "cam09": {
            "disk": {**full, "where": "/vault/y"},
            "catalogue": {"code": "CATALOGUE_BUSY", "where": ""},
        },
    }
    assert judge_storage(storage) == [
        Raised("storage.trouble", "disk", "DISK_FULL /vault/segments/cam01/x.part"),
        Raised("vault.slow", "/vault"),
        Raised("storage.trouble", "catalogue", "CATALOGUE_BUSY"),
    ]


def test_nothing_wrong_is_nothing():
    assert judge_storage({}) == []
