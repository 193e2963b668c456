"""The pictures virtual cameras send: a quiet night scene, the camera's name, the time, and the bar code.

The still part of a scene is drawn once, large, and scaled down; a frame copies it and adds what moves.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from agent.demo.stamp import STRIP_SHARE, Stamp, draw_stamp

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from agent.demo.stamp import Image

    Points = NDArray[Any]

Scene = Literal["shore", "parking", "street"]
SCENES: tuple[Scene, ...] = ("shore", "parking", "street")

FONT = cv2.FONT_HERSHEY_SIMPLEX
FINE = 3  # background is drawn this much larger, for smooth edges
# Drawing larger than this gains nothing that eyes could see, and costs memory.
MOST_FINE_PIXELS = 4_000_000

Colour = tuple[int, int, int]  # blue, green, red
INK: Colour = (232, 228, 220)
FAINT: Colour = (168, 160, 150)
AMBER: Colour = (120, 196, 250)


class Painter:
    """Draws the pictures of one camera.

    number  what the bar code says (16 bit); also chooses the scene when none is given
    name    ASCII text in the upper left corner; other characters show as "?"
    """

    def __init__(self, number: int, name: str, width: int, height: int, scene: Scene | None = None) -> None:
        self.number = number
        self.name = name.encode("ascii", "replace").decode()
        self.width = width
        self.height = height
        self.scene: Scene = scene or SCENES[number % len(SCENES)]
        self.ground = height - height // STRIP_SHARE  # the scene's height; the bar code lies below
        self._text_scale = max(self.ground / 520, 0.30)
        self._background = self._draw_background()

    def paint(self, frame: int, utc_ms: int, motion_s: float | None = None) -> Image:
        """Draw one frame.

        utc_ms    the time it shows
        motion_s  where moving things stand; by default follows utc_ms
        Returns   height x width x 3 bytes: blue, green, red
        """
        image = self._background.copy()
        at = utc_ms / 1000.0 if motion_s is None else motion_s
        {"shore": self._move_shore, "parking": self._move_parking, "street": self._move_street}[self.scene](
            image, at
        )
        self._label(image, frame, utc_ms)
        draw_stamp(image, Stamp(self.number, frame, utc_ms))
        return image

    def _label(self, image: Image, frame: int, utc_ms: int) -> None:
        scale, thick = self._text_scale, max(1, round(self._text_scale * 1.6))
        edge = round(26 * scale)
        clock = datetime.fromtimestamp(utc_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        clock = f"{clock}.{utc_ms % 1000 // 100}Z"
        wide, high = cv2.getTextSize(clock, FONT, scale, thick)[0]
        place = (self.width - wide - edge, edge + high)
        cv2.putText(image, clock, place, FONT, scale, INK, thick, cv2.LINE_AA)
        # No digit of the frame number may hide behind the time: it stands one line lower.
        text = f"#{frame}"
        wide = cv2.getTextSize(text, FONT, scale * 0.8, thick)[0][0]
        place = (self.width - wide - edge, edge + round(high * 2.5))
        cv2.putText(image, text, place, FONT, scale * 0.8, FAINT, thick, cv2.LINE_AA)

    # ----------------------------------------------------------------- what stands still

    def _draw_background(self) -> Image:
        fine = FINE if self.width * self.ground * FINE * FINE <= MOST_FINE_PIXELS else 1
        wide, high = self.width * fine, self.ground * fine
        canvas = np.zeros((high, wide, 3), np.uint8)
        {"shore": _shore, "parking": _parking, "street": _street}[self.scene](canvas)
        image = np.zeros((self.height, self.width, 3), np.uint8)
        image[: self.ground] = cv2.resize(canvas, (self.width, self.ground), interpolation=cv2.INTER_AREA)
        scale = self._text_scale
        edge, thick = round(26 * scale), max(1, round(scale * 1.6))
        # A shade behind the text, fading downwards: readable on every scene, no box to look at.
        shade = round(90 * scale)
        fade = np.linspace(0.45, 1.0, shade, dtype=np.float32)[:, None, None]
        image[:shade] = (image[:shade] * fade).astype(np.uint8)
        high = cv2.getTextSize(self.name, FONT, scale * 1.15, thick)[0][1]
        place = (edge, edge + high)
        cv2.putText(image, self.name, place, FONT, scale * 1.15, AMBER, thick, cv2.LINE_AA)
        return image

    # ----------------------------------------------------------------- what moves

    def _move_shore(self, image: Image, at: float) -> None:
        wide, high = self.width, self.ground
        across = np.linspace(0, wide, 33, dtype=np.float32)
        horizon, beach = 0.42 * high, 0.80 * high
        for wave in range(5):
            depth = (wave + 0.5 + at * 0.11) % 5 / 5  # waves come in, and begin again far out
            level = horizon + (beach - horizon) * depth**1.6
            swell = (1 + 3.5 * depth) * high / 240
            line = level + swell * np.sin(across * (14 - 8 * depth) / wide + at * 1.3 + wave * 1.9)
            light = math.sin(math.pi * depth)
            colour = (62 + 80 * light, 50 + 70 * light, 34 + 58 * light)
            _line(image, across, line, colour, max(1, round(high / 300 * (1 + depth))))
        foam = beach + high * 0.02 * np.sin(at * 0.7 + across * 3.0 / wide)
        _line(image, across, foam, (150, 142, 128), max(1, round(high / 160)))
        # A lighthouse far left: two seconds bright in six.
        phase = at % 6.0
        glow = max(0.0, 1.0 - abs(phase - 1.0)) if phase < 2 else 0.0
        lamp = (round(wide * 0.115), round(high * 0.295))
        cv2.circle(image, lamp, max(1, round(high * 0.012)), _mix((70, 80, 90), (205, 240, 255), glow), -1)
        self._walker(image, (at * 0.021) % 1.2 - 0.1, 0.93, 0.10, at)

    def _move_parking(self, image: Image, at: float) -> None:
        turn = at * 0.06 % 1.3 - 0.15
        self._car(image, turn, 0.62, 0.11, (96, 74, 58), lights=True)
        self._walker(image, 1.1 - (at * 0.017 + 0.3) % 1.2, 0.80, 0.11, at)

    def _move_street(self, image: Image, at: float) -> None:
        self._car(image, at * 0.11 % 1.4 - 0.2, 0.80, 0.13, (84, 84, 92), lights=True)
        self._car(image, 1.2 - (at * 0.085 + 0.6) % 1.4, 0.655, 0.10, (60, 66, 104), lights=False)
        self._walker(image, (at * 0.019 + 0.45) % 1.2 - 0.1, 0.955, 0.11, at)

    def _walker(self, image: Image, x: float, foot: float, tall: float, at: float) -> None:
        size = self.ground * tall
        cx, ground = x * self.width, self.ground * foot
        stride = math.sin(at * 6.0) * size * 0.16
        thick = max(1, round(size * 0.11))
        colour = (46, 40, 36)
        hip = (round(cx), round(ground - size * 0.45))
        for foot_x in (cx - stride, cx + stride):
            cv2.line(image, hip, (round(foot_x), round(ground)), colour, thick, cv2.LINE_AA)
        neck = (round(cx), round(ground - size * 0.78))
        cv2.line(image, hip, neck, (88, 70, 52), max(1, round(size * 0.2)), cv2.LINE_AA)
        head = (round(cx), round(ground - size * 0.92))
        cv2.circle(image, head, max(1, round(size * 0.09)), (110, 124, 148), -1, cv2.LINE_AA)

    def _car(self, image: Image, x: float, foot: float, tall: float, colour: Colour, *, lights: bool) -> None:
        """Draw a car seen from the side; it drives right when its head lights are drawn, else left."""
        size = self.ground * tall
        left, ground = x * self.width, self.ground * foot
        body = np.array(
            [
                (0, -0.1),
                (0, -0.55),
                (0.5, -0.6),
                (0.85, -1),
                (1.75, -1),
                (2.2, -0.58),
                (2.75, -0.5),
                (2.75, -0.1),
            ],
            np.float32,
        )
        glass = np.array([(0.75, -0.6), (0.98, -0.9), (1.68, -0.9), (1.98, -0.6)], np.float32)
        if not lights:
            body[:, 0], glass[:, 0] = 2.75 - body[:, 0], 2.75 - glass[:, 0]
        origin = np.array([left, ground], np.float32)
        cv2.fillPoly(image, [_fixed(origin + body * size)], colour, cv2.LINE_AA, 4)
        cv2.fillPoly(image, [_fixed(origin + glass * size)], (58, 48, 40), cv2.LINE_AA, 4)
        for wheel in (0.6, 2.15):
            centre = (round(left + wheel * size), round(ground - size * 0.12))
            cv2.circle(image, centre, max(1, round(size * 0.2)), (20, 18, 18), -1, cv2.LINE_AA)
        lamp = (round(left + (2.7 if lights else 0.06) * size), round(ground - size * 0.4))
        cv2.circle(image, lamp, max(1, round(size * 0.08)), (190, 236, 255), -1, cv2.LINE_AA)
        tail = (round(left + (0.05 if lights else 2.7) * size), round(ground - size * 0.42))
        cv2.circle(image, tail, max(1, round(size * 0.07)), (40, 40, 190), -1, cv2.LINE_AA)


def _fixed(points: Points) -> Points:
    """Turn points into the 28.4 fixed point that cv2's `shift` argument takes."""
    return np.round(np.asarray(points, np.float32) * 16).astype(np.int32)


def _line(image: Image, xs: Points, ys: Points, colour: tuple[float, float, float], thick: int) -> None:
    cv2.polylines(image, [_fixed(np.stack((xs, ys), axis=1))], False, colour, thick, cv2.LINE_AA, 4)


def _mix(one: Colour, two: Colour, share: float) -> Colour:
    blue, green, red = (round(a + (b - a) * share) for a, b in zip(one, two, strict=True))
    return blue, green, red


def _gradient(canvas: Image, top: int, bottom: int, upper: Colour, lower: Colour) -> None:
    ramp = np.linspace(0, 1, bottom - top, dtype=np.float32)[:, None]
    rows = np.array(upper, np.float32) * (1 - ramp) + np.array(lower, np.float32) * ramp
    canvas[top:bottom] = rows.astype(np.uint8)[:, None, :]


def _shore(canvas: Image) -> None:
    """Draw a beach after dusk: sky, headland with a lighthouse, sea, sand, a rail in front."""
    high, wide = canvas.shape[:2]
    horizon, beach = round(high * 0.42), round(high * 0.80)
    _gradient(canvas, 0, horizon, (58, 34, 22), (104, 82, 74))
    _gradient(canvas, horizon, beach, (66, 50, 34), (92, 78, 60))
    _gradient(canvas, beach, high, (82, 100, 112), (54, 68, 78))
    cv2.circle(canvas, (round(wide * 0.72), round(high * 0.2)), round(high * 0.035), (206, 222, 226), -1)
    for star in range(24):
        place = (wide * (star * 37 % 101) // 101, horizon * (star * 53 % 89) * 7 // 890)
        cv2.circle(canvas, place, max(1, high // 420), (150, 140, 132), -1)
    headland = np.array([(0, 0.36), (0.09, 0.345), (0.17, 0.37), (0.24, 0.40), (0.33, 0.42), (0, 0.42)])
    cv2.fillPoly(canvas, [np.round(headland * (wide, high)).astype(np.int32)], (44, 36, 30))
    tower = np.array([(0.106, 0.36), (0.110, 0.30), (0.120, 0.30), (0.124, 0.36)])
    cv2.fillPoly(canvas, [np.round(tower * (wide, high)).astype(np.int32)], (120, 116, 112))
    # Moonlight on the water, broken into short strokes that widen towards the shore.
    for step in range(14):
        y = horizon + (beach - horizon) * (step + 1) // 16
        half = round(wide * (0.012 + 0.0035 * step) * (0.6 + 0.4 * math.cos(step * 2.4)))
        x = round(wide * (0.72 + 0.008 * math.sin(step * 1.7)))
        cv2.line(canvas, (x - half, y), (x + half, y), (128, 118, 106), max(1, high // 260))
    for post in range(9):
        x = wide * (2 * post + 1) // 18
        cv2.line(canvas, (x, round(high * 0.955)), (x, high), (40, 44, 48), max(1, high // 110))
    cv2.line(canvas, (0, round(high * 0.958)), (wide, round(high * 0.958)), (40, 44, 48), max(1, high // 120))


def _parking(canvas: Image) -> None:
    """Draw a car park at night: a building, lamps, bays with a few parked cars, a lane."""
    high, wide = canvas.shape[:2]
    floor = round(high * 0.40)
    _gradient(canvas, 0, floor, (44, 32, 26), (66, 54, 48))
    _gradient(canvas, floor, high, (66, 62, 60), (48, 46, 46))
    cv2.rectangle(
        canvas, (round(wide * 0.06), round(high * 0.14)), (round(wide * 0.60), floor), (52, 46, 44), -1
    )
    for row in range(3):
        for column in range(9):
            lit = (row * 5 + column * 3) % 7 < 2
            x, y = wide * (0.085 + 0.057 * column), high * (0.185 + 0.07 * row)
            corner = (round(x + wide * 0.036), round(y + high * 0.035))
            colour = (96, 150, 186) if lit else (64, 56, 52)
            cv2.rectangle(canvas, (round(x), round(y)), corner, colour, -1)
    for bay in range(10):
        x = wide * (0.03 + 0.105 * bay)
        near = (round(x - wide * 0.035), round(high * 0.54))
        cv2.line(canvas, (round(x), round(high * 0.43)), near, (128, 126, 124), max(1, high // 200))
    for bay, colour in ((1, (88, 64, 52)), (2, (120, 118, 116)), (5, (58, 60, 96)), (8, (70, 78, 72))):
        left, top = wide * (0.03 + 0.105 * bay), high * 0.435
        size = (round(left + wide * 0.072), round(top + high * 0.075))
        cv2.rectangle(canvas, (round(left), round(top + high * 0.025)), size, colour, -1)
        roof = (round(left + wide * 0.06), round(top + high * 0.03))
        cv2.rectangle(canvas, (round(left + wide * 0.012), round(top)), roof, (54, 46, 42), -1)
    for lamp in (0.30, 0.78):
        x = round(wide * lamp)
        cv2.line(canvas, (x, round(high * 0.10)), (x, round(high * 0.47)), (40, 38, 38), max(1, high // 120))
        _glow(canvas, (x, round(high * 0.10)), round(high * 0.16), (90, 140, 170))
    for dash in range(8):
        x = wide * (2 * dash + 1) // 16
        ends = ((x - wide // 40, round(high * 0.69)), (x + wide // 40, round(high * 0.69)))
        cv2.line(canvas, ends[0], ends[1], (112, 130, 138), max(1, high // 150))


def _street(canvas: Image) -> None:
    """Draw a street at night: houses with shop fronts, street lamps, two lanes, a pavement."""
    high, wide = canvas.shape[:2]
    kerb = round(high * 0.56)
    _gradient(canvas, 0, kerb, (52, 36, 28), (84, 66, 58))
    _gradient(canvas, kerb, round(high * 0.86), (58, 56, 56), (46, 44, 44))
    _gradient(canvas, round(high * 0.86), high, (84, 82, 82), (70, 68, 68))
    lefts = (0.0, 0.17, 0.30, 0.47, 0.62, 0.80)
    for house, left in enumerate(lefts):
        right = (*lefts[1:], 1.0)[house]
        top = 0.16 + 0.07 * math.sin(house * 2.1)
        wall = (54 + house * 5 % 14, 48 + house * 7 % 16, 46 + house * 3 % 12)
        corner = (round(wide * right) - 2, kerb)
        cv2.rectangle(canvas, (round(wide * left), round(high * top)), corner, wall, -1)
        shop = (96, 160, 190) if house % 2 else (150, 140, 96)
        door = (round(wide * (right - 0.02)), round(high * 0.53))
        cv2.rectangle(canvas, (round(wide * (left + 0.02)), round(high * 0.44)), door, shop, -1)
        for floor in range(2):
            y = high * (top + 0.05 + 0.1 * floor)
            for window in range(3):
                x = wide * (left + (right - left) * (0.14 + 0.28 * window))
                lit = (house * 3 + floor * 2 + window) % 5 == 0
                end = (round(x + wide * 0.022), round(y + high * 0.05))
                colour = (110, 164, 196) if lit else (70, 60, 56)
                cv2.rectangle(canvas, (round(x), round(y)), end, colour, -1)
    for dash in range(9):
        x = wide * (2 * dash + 1) // 18
        ends = ((x - wide // 36, round(high * 0.69)), (x + wide // 36, round(high * 0.69)))
        cv2.line(canvas, ends[0], ends[1], (150, 168, 176), max(1, high // 150))
    for lamp in (0.23, 0.71):
        x = round(wide * lamp)
        cv2.line(canvas, (x, round(high * 0.20)), (x, kerb), (34, 32, 32), max(1, high // 110))
        _glow(canvas, (x, round(high * 0.20)), round(high * 0.20), (92, 150, 184))


def _glow(canvas: Image, centre: tuple[int, int], radius: int, colour: Colour) -> None:
    """Add a soft light."""
    high, wide = canvas.shape[:2]
    x, y = centre
    left, right, top, bottom = (
        max(0, x - radius),
        min(wide, x + radius),
        max(0, y - radius),
        min(high, y + radius),
    )
    ys, xs = np.ogrid[top:bottom, left:right]
    distance = np.sqrt((xs - x) ** 2 + (ys - y) ** 2) / radius
    light = np.clip(1 - distance, 0, 1)[:, :, None] ** 2 * np.array(colour, np.float32)
    part = canvas[top:bottom, left:right].astype(np.float32) + light
    canvas[top:bottom, left:right] = np.clip(part, 0, 255).astype(np.uint8)
