"""A city with one box, that box, and its centre: each only where a test asks for it."""

from __future__ import annotations

import pytest

from tests.centre_scene import BOX, Centre
from tests.town import FakeBox, Town


@pytest.fixture
def town(tmp_path):
    town = Town(tmp_path)
    town.enrol(BOX)
    town.start()
    yield town
    town.stop()


@pytest.fixture
def box(town):
    box = FakeBox(town, BOX)
    box.connect()
    yield box
    box.close()


@pytest.fixture
def centre(town):
    centre = Centre(town)
    yield centre
    centre.close()
