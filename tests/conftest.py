"""Settings shared by all tests."""

from __future__ import annotations

import os
import signal

from hypothesis import HealthCheck, settings

# CI runs the same cases every time, so that a red run can be repeated; elsewhere chance may look further.
settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if os.environ.get("CI") else "local")

# A job that a shell started in the background has Ctrl-C ignored, and hands that on to every program it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
