"""Settings shared by all tests."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

# CI runs the same cases every time, so that a red run can be repeated; elsewhere chance may look further.
settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if os.environ.get("CI") else "local")

if TYPE_CHECKING:
    from collections.abc import Iterator

# A job that a shell started in the background has Ctrl-C ignored, and hands that on to every program it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _key_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is sealed by a test is sealed to a key of this run: the machine's own is left alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "SYSTEMD_CREDENTIAL_SECRET", str(tmp_path_factory.mktemp("host-key") / "credential.secret")
        )
        yield
