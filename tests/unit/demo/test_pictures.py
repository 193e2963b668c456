import cv2
import numpy as np
import pytest

from agent.demo.pictures import SCENES, Painter
from agent.demo.sheet import Cell, contact_sheet, write_sheet
from agent.demo.stamp import Stamp, read_stamp

UTC_MS = 1_795_255_123_456


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("size", [(320, 240), (640, 360), (1280, 720)])
def test_a_picture_carries_its_stamp_and_moves(scene, size):
    painter = Painter(7, "cam07", *size, scene)
    images = [painter.paint(9, UTC_MS + step * 1000) for step in range(3)]
    assert images[0].shape == (size[1], size[0], 3)
    assert [read_stamp(image) for image in images] == [Stamp(7, 9, UTC_MS + n * 1000) for n in range(3)]
    # Below the labels and above the bar code something has moved.
    scenes = [image[size[1] // 3 : painter.ground] for image in images]
    assert not np.array_equal(scenes[0], scenes[1])
    assert not np.array_equal(scenes[1], scenes[2])


def test_a_frozen_scene_shows_only_its_label_and_stamp_change():
    painter = Painter(1, "cam01", 640, 360)
    one, two = (painter.paint(frame, UTC_MS + frame, motion_s=5.0) for frame in (1, 2))
    assert np.array_equal(one[120 : painter.ground], two[120 : painter.ground])


def test_a_name_that_cannot_be_drawn_is_no_error():
    assert Painter(1, "주차장", 320, 240).name == "???"


def test_sheet_lays_out_and_names_every_camera(tmp_path):
    picture = Painter(1, "cam01", 640, 360).paint(1, UTC_MS)
    tall = np.full((400, 200), 200, np.uint8)
    cells = [
        Cell(picture, "cam01", "10:00"),
        Cell(tall, "cam02"),
        Cell(None, "cam03"),
        Cell(picture, "x" * 300),
    ]
    sheet = contact_sheet(cells, heading="Pasu", cell_width=320)
    assert sheet.shape[1] == 2 * 340 + 20
    assert read_stamp(sheet[72 : 72 + 180, 20:340]) == Stamp(1, 1, UTC_MS)
    assert contact_sheet([]).size > 0
    assert contact_sheet(cells, columns=4).shape[1] > contact_sheet(cells, columns=1).shape[1]
    path = tmp_path / "sheet.png"
    write_sheet(path, cells, heading="Pasu")
    assert cv2.imread(str(path)) is not None
    with pytest.raises(OSError):
        write_sheet(tmp_path / "none" / "sheet.png", cells)
