"""A contact sheet: one picture of each camera, with its name and time, as one PNG."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from agent.demo.stamp import Image

GROUND = (30, 26, 24)
CARD = (44, 39, 36)
INK = (232, 228, 220)
FAINT = (160, 152, 144)
ABSENT = (58, 52, 48)
FONT = cv2.FONT_HERSHEY_SIMPLEX
GUTTER, CAPTION = 20, 58


@dataclass(frozen=True, slots=True)
class Cell:
    """One place on the sheet.

    picture  decoded picture (blue, green, red), or None when there is none to show
    title    ASCII, first line under the picture; note: second line, fainter
    """

    picture: Image | None
    title: str
    note: str = ""


def contact_sheet(cells: list[Cell], *, heading: str = "", cell_width: int = 480, columns: int = 0) -> Image:
    """Lay the cells out in a grid.

    columns  how many side by side; 0 takes the smallest grid that is at least as wide as high
    Returns  one picture (blue, green, red); a sheet of no cells holds its heading alone
    """
    columns = columns or max(1, math.ceil(math.sqrt(len(cells))))
    rows = math.ceil(len(cells) / columns)
    picture_high = cell_width * 9 // 16
    head = 72 if heading else GUTTER
    wide = GUTTER + columns * (cell_width + GUTTER)
    high = head + rows * (picture_high + CAPTION + GUTTER)
    sheet = np.empty((high, wide, 3), np.uint8)
    sheet[:] = GROUND
    if heading:
        _write(sheet, heading, (GUTTER, 46), scale=0.8, colour=INK, room=wide - 2 * GUTTER)
    for index, cell in enumerate(cells):
        row, column = divmod(index, columns)
        left = GUTTER + column * (cell_width + GUTTER)
        top = head + row * (picture_high + CAPTION + GUTTER)
        card = sheet[top : top + picture_high + CAPTION, left : left + cell_width]
        card[:] = CARD
        _place(card[:picture_high], cell.picture)
        _write(card, cell.title, (14, picture_high + 24), scale=0.6, colour=INK, room=cell_width - 28)
        _write(card, cell.note, (14, picture_high + 45), scale=0.45, colour=FAINT, room=cell_width - 28)
    return sheet


def write_sheet(path: Path, cells: list[Cell], *, heading: str = "") -> None:
    """Write the sheet as PNG. Raises OSError when the path cannot be written."""
    done, data = cv2.imencode(".png", contact_sheet(cells, heading=heading))
    if not done:
        raise OSError(f"cannot code the contact sheet {path.name}")
    path.write_bytes(data.tobytes())


def _place(area: Image, picture: Image | None) -> None:
    """Fit a picture into its area, whole, with its own proportions."""
    high, wide = area.shape[:2]
    if picture is None:
        area[:] = ABSENT
        text = "no picture"
        size = cv2.getTextSize(text, FONT, 0.7, 1)[0]
        place = ((wide - size[0]) // 2, (high + size[1]) // 2)
        cv2.putText(area, text, place, FONT, 0.7, FAINT, 1, cv2.LINE_AA)
        return
    area[:] = 0
    share = min(wide / picture.shape[1], high / picture.shape[0])
    fit_wide, fit_high = max(1, round(picture.shape[1] * share)), max(1, round(picture.shape[0] * share))
    way = cv2.INTER_AREA if share < 1 else cv2.INTER_CUBIC
    left, top = (wide - fit_wide) // 2, (high - fit_high) // 2
    fitted = np.atleast_3d(cv2.resize(picture, (fit_wide, fit_high), interpolation=way))
    area[top : top + fit_high, left : left + fit_wide] = fitted  # a grey one spreads over the three colours


def _write(
    area: Image, text: str, place: tuple[int, int], *, scale: float, colour: tuple[int, int, int], room: int
) -> None:
    """Write one line, shortened with dots when it does not fit."""
    text = text.encode("ascii", "replace").decode()
    shown = text
    while shown and cv2.getTextSize(shown, FONT, scale, 1)[0][0] > room:
        text = text[:-1]
        shown = text + "..."
        if not text:
            return
    cv2.putText(area, shown, place, FONT, scale, colour, 1, cv2.LINE_AA)
