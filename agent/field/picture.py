"""How good a picture is, in numbers: sharp, bright, clean, covered. Pure; of what is in it nothing is known.

All of it works on brightness alone, and makes no picture that anybody could look at.

Sharpness is how much of an edge a little blur takes away (after Crete et al., "The blur effect", 2007): an edge that
was sharp loses much, one that was blurred already loses little. It hardly depends on how much contrast a scene has, so
fog and night do not pass for bad focus. Noise does look sharp: it is smoothed first, by as much as there is of it,
and only places whose slope stands out of it are counted. Where hardly any place does (fog, night, a bare wall), it is
not known, and nobody is told that the focus is wrong.

Limits: a scene of soft things only (sky, water, far fog) is "not sure", not "out of focus"; a lens that is half covered
is told by the share of empty tiles, not by a verdict; "covered" needs a picture without any edge for as long as one
looks, which a wall from very near gives too. A strong encoder smooths noise and edges alike: the peak is found, but
its height differs from camera to camera.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Gray = NDArray[np.uint8]

WIDTH = 1280
"""Wider pictures are looked at in their middle as they are, and as a whole made smaller: focus is in the pixels."""
BLACK_MEAN, BLACK_TOP = 26, 60
"""A black picture shows nothing, has no more than this on average, and its brightest places (99 %) no more than the
second. A night in which something is seen is none."""
BRIGHT, BRIGHT_PERMILLE = 232, 500
"""Washed out: half of it is at the top, or its darkest places (1 %) are brighter than WASHED."""
WASHED = 168
EMPTY_RANGE = 12
"""A tile with less between its dark and bright places, after its noise, shows nothing."""
COVERED_EMPTY = 970
"""Permille of tiles that show nothing, from which on the picture shows nothing."""
SLOPE = 10
"""Grey levels from pixel to pixel (Sobel / 4) that an edge has at least, and three times the noise's."""
EDGES = 4
"""Permille of places with an edge from which on sharpness is known."""
BLURRED = 300
"""Sharpness below which a picture is out of focus (permille). See the figures in docs/doctor.md."""
NOISY = 120
"""Noise (tenths of a grey level) above which the picture is called noisy."""
TILES = 12


class Verdict(StrEnum):
    """What the numbers say."""

    GOOD = "good"
    BLACK = "black"
    WASHED_OUT = "washed_out"
    COVERED = "covered"
    OUT_OF_FOCUS = "out_of_focus"
    NOISY = "noisy"
    NOT_SURE = "not_sure"

    @property
    def word(self) -> str:
        """Return it in the reader's language."""
        return say(*_WORDS[self])

    @property
    def good(self) -> bool:
        """Tell whether nothing is wrong."""
        return self is Verdict.GOOD

    @property
    def unsure(self) -> bool:
        """Tell whether a person should look, and no more is known."""
        return self in (Verdict.NOISY, Verdict.NOT_SURE)


_WORDS = {
    Verdict.GOOD: ("좋음", "good"),
    Verdict.BLACK: ("검음", "black"),
    Verdict.WASHED_OUT: ("하얗게 날아감", "washed out"),
    Verdict.COVERED: ("가려짐", "covered"),
    Verdict.OUT_OF_FOCUS: ("초점이 맞지 않음", "out of focus"),
    Verdict.NOISY: ("잡음이 많음", "noisy"),
    Verdict.NOT_SURE: ("알 수 없음 (안개나 밤, 빈 벽?)", "not sure (fog, night, a bare wall?)"),
}


@dataclass(frozen=True, slots=True)
class Measures:
    """One picture in numbers.

    sharpness  permille; None where there is no edge to tell by
    mean       brightness, 0 to 255; dark, bright: of its darkest and brightest hundredth
    glare      permille of it that is at the top
    noise      tenths of a grey level
    edges      permille of it that is an edge
    empty      permille of its tiles that show nothing
    """

    sharpness: int | None
    mean: int
    dark: int
    bright: int
    glare: int
    noise: int
    edges: int
    empty: int

    @classmethod
    def read(cls, said: object) -> Measures:
        """Take back what `numbers` wrote, whatever its writer has become: numbers, and nothing else.

        Raises ValueError
        """
        if not isinstance(said, dict) or said.keys() != MOST.keys():
            raise ValueError("no measures")
        for name, value in said.items():
            unknown = value is None and name == "sharpness"
            if not unknown and (type(value) is not int or not 0 <= value <= MOST[name]):
                raise ValueError("no measure")
        return cls(**said)

    def numbers(self) -> dict[str, Any]:
        """Return all of it, for programs."""
        return asdict(self)

    @property
    def text(self) -> str:
        """Return the most of it, for people."""
        sharp = "–" if self.sharpness is None else f"{self.sharpness / 10:.1f} %"
        return say(
            f"선명도 {sharp}, 밝기 {self.mean}, 잡음 {self.noise / 10:.1f}, 가려진 곳 {self.empty / 10:.0f} %",
            f"sharpness {sharp}, brightness {self.mean}, noise {self.noise / 10:.1f}, covered {self.empty / 10:.0f} %",
        )


MOST = {
    "sharpness": 1000, "mean": 255, "dark": 255, "bright": 255, "glare": 1000, "noise": 10_000, "edges": 1000,
    "empty": 1000,
}  # fmt: skip
"""What each of the measures is at most."""


def measure(gray: Gray) -> Measures:
    """Measure a picture: brightness by rows and columns, at least 32 pixels each way."""
    whole = _smaller(gray)
    noise = _noise(_middle(gray))
    dark, bright = np.percentile(whole, (1, 99))
    sharp, edges = _sharpness(_middle(gray), noise)
    return Measures(
        sharp,
        round(float(whole.mean())),
        round(float(dark)),
        round(float(bright)),
        round(float((whole >= BRIGHT).mean()) * 1000),
        round(noise * 10),
        edges,
        _empty(whole, noise),
    )


def judge(found: Measures) -> Verdict:
    """Say what the numbers mean."""
    shows_nothing = found.empty >= COVERED_EMPTY and found.edges < EDGES
    if shows_nothing and found.mean <= BLACK_MEAN and found.bright <= BLACK_TOP:
        return Verdict.BLACK
    if found.glare >= BRIGHT_PERMILLE or found.dark >= WASHED:
        return Verdict.WASHED_OUT
    if shows_nothing:
        return Verdict.COVERED
    if found.sharpness is None:
        return Verdict.NOT_SURE
    if found.sharpness < BLURRED:
        return Verdict.OUT_OF_FOCUS
    return Verdict.NOISY if found.noise >= NOISY else Verdict.GOOD


def middle_of(several: Sequence[Measures]) -> Measures:
    """Return the median of several measures of one camera, each number by itself: one passing car says nothing."""
    sharp = sorted(each.sharpness for each in several if each.sharpness is not None)
    known = 2 * len(sharp) > len(several)
    rest = {
        name: sorted(each.numbers()[name] for each in several)[len(several) // 2]
        for name in ("mean", "dark", "bright", "glare", "noise", "edges", "empty")
    }
    return Measures(sharpness=sharp[len(sharp) // 2] if known else None, **rest)


def _smaller(gray: Gray) -> Gray:
    height, width = gray.shape
    if width <= WIDTH:
        return gray
    size = (WIDTH, max(1, height * WIDTH // width))
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)


def _middle(gray: Gray) -> Gray:
    """Return the middle of a wide picture, pixel by pixel."""
    height, width = gray.shape
    across, down = min(width, WIDTH), min(height, WIDTH * 3 // 4)
    left, top = (width - across) // 2, (height - down) // 2
    return gray[top : top + down, left : left + across]


def _noise(gray: Gray) -> float:
    """Return the noise's deviation: of the quieter tiles, by what neighbours do not explain (Immerkaer 1996)."""
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    rest = np.abs(cv2.filter2D(gray.astype(np.float32), -1, mask))[1:-1, 1:-1]
    tiles = [float(tile.mean()) for tile in _tiles(rest)]
    return float(np.percentile(tiles, 30)) * float(np.sqrt(np.pi / 2)) / 6


def _sharpness(gray: Gray, noise: float) -> tuple[int | None, int]:
    """Return sharpness in permille, None where there are too few edges, and the permille of edges."""
    clean: NDArray[Any] = gray.astype(np.float32)
    if noise > 0.6:
        clean = cv2.GaussianBlur(clean, (0, 0), min(0.6 + noise / 20, 1.2))
    slope_x = np.abs(np.diff(clean, axis=1))
    slope_y = np.abs(np.diff(clean, axis=0))
    least = max(SLOPE, 3 * noise)
    strong = cv2.magnitude(cv2.Sobel(clean, -1, 1, 0) / 4, cv2.Sobel(clean, -1, 0, 1) / 4) > least
    edges = round(float(strong.mean()) * 1000)
    if edges < EDGES:
        return None, edges
    near = cv2.dilate(strong.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    lost = kept = 0.0
    for axis, slope, size in ((1, slope_x, (9, 1)), (0, slope_y, (1, 9))):
        soft = np.abs(np.diff(cv2.blur(clean, size), axis=axis))
        place = near[:, 1:] if axis else near[1:]
        lost += float(np.maximum(slope - soft, 0)[place].sum())
        kept += float(slope[place].sum())
    return round(1000 * lost / kept), edges


def _empty(gray: Gray, noise: float) -> int:
    """Return the permille of tiles that show nothing but noise."""
    soft = cv2.GaussianBlur(gray.astype(np.float32), (0, 0), 2.0)
    least = EMPTY_RANGE + noise
    tiles = [float(np.ptp(tile)) < least for tile in _tiles(soft)]
    return round(1000 * sum(tiles) / len(tiles))


def _tiles(values: Any) -> list[Any]:
    return [
        tile
        for row in np.array_split(values, TILES, axis=0)
        for tile in np.array_split(row, TILES, axis=1)
        if tile.size
    ]
