"""What root types on a box is done as the owner of the state directory: the service must be able to open what is made."""

from __future__ import annotations

import os

import pytest

import agent.config  # noqa: F401 - the child cannot read root's folders any more
from agent.cli.common import load_for_state
from tests.unit.storage.box import SECRET

NOBODY = 65534
CONFIG = """
[box]
id = "gn-0001"
site = "site"
operator = "city"
contact = "033-000-0000"
[storage]
vault = "{root}/vault"
state = "{root}/state"
run = "{root}/run"
recipients = ["{key}"]
[[camera]]
id = "cam01"
name = "gate"
url = "rtsp://10.0.0.11/main"
purpose = "crime-prevention"
legal_basis = "law"
"""


def status_after(config, expected) -> int:
    """Load in a child; 0 when it goes on as expected."""
    pid = os.fork()
    if pid == 0:
        try:
            load_for_state(config)
            os._exit(0 if (os.geteuid(), os.getegid(), os.getgroups()) == expected else 1)
        except BaseException:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def config(tmp_path):
    place = tmp_path / "agent.toml"
    place.write_text(CONFIG.format(root=tmp_path, key=SECRET.to_public()))
    (tmp_path / "state").mkdir()
    return place


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_goes_on_as_the_owner_of_the_state(config) -> None:
    os.chown(config.parent / "state", NOBODY, NOBODY)
    assert status_after(config, (NOBODY, NOBODY, [])) == 0


def test_whoever_owns_the_state_stays_who_they_are(config) -> None:
    assert status_after(config, (os.geteuid(), os.getegid(), os.getgroups())) == 0


def test_a_state_that_is_not_there_changes_nobody(config) -> None:
    (config.parent / "state").rmdir()
    assert status_after(config, (os.geteuid(), os.getegid(), os.getgroups())) == 0
