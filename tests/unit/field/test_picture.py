"""Measures of a picture, on scenes that are drawn: sharp, blurred, noisy, dark, washed out, covered."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from agent.field.picture import Measures, Verdict, judge, measure, middle_of
from agent.language import speaking

WIDE, HIGH = 960, 540


def scene(width: int = WIDE, height: int = HIGH, seed: int = 1) -> np.ndarray:
    """Draw a street of sorts: sky, blocks, lines, and a rough ground."""
    dice = np.random.default_rng(seed)
    drawn = np.full((height, width), 120, np.uint8)
    drawn[: height // 3] = np.linspace(200, 170, height // 3)[:, None]
    for _ in range(60):
        x, y = int(dice.integers(0, width)), int(dice.integers(height // 4, height))
        w, h = (int(each) for each in dice.integers(10, 160, 2))
        cv2.rectangle(drawn, (x, y), (x + w, y + h), int(dice.integers(20, 230)), -1)
    rough = cv2.GaussianBlur(dice.normal(0, 1, (height, width)), (0, 0), 1.5) * 20
    return np.clip(cv2.GaussianBlur(drawn.astype(float), (0, 0), 0.7) + rough, 0, 255).astype(np.uint8)


def noisy(picture: np.ndarray, deviation: float) -> np.ndarray:
    dice = np.random.default_rng(7)
    return np.clip(picture + dice.normal(0, deviation, picture.shape), 0, 255).astype(np.uint8)


def blurred(picture: np.ndarray, deviation: float) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), deviation)


SHARP = scene()
NIGHT = noisy(SHARP * 0.15, 4)
FOG = noisy(SHARP * 0.15 + 140, 2)


@pytest.mark.parametrize("noise", [0.0, 1.0, 3.0, 6.0])
def test_the_more_a_picture_is_blurred_the_less_sharp_it_is(noise):
    found = [
        measure(noisy(blurred(SHARP, step) if step else SHARP, noise)).sharpness for step in (0, 1, 2, 4)
    ]
    assert None not in found
    assert found == sorted(found, reverse=True)
    assert found[0] > 2 * found[-1]


@pytest.mark.parametrize(
    ("picture", "verdict"),
    [
        (SHARP, Verdict.GOOD),
        (noisy(SHARP, 5), Verdict.GOOD),
        (noisy(blurred(SHARP, 4), 1), Verdict.OUT_OF_FOCUS),
        (noisy(blurred(SHARP, 5), 3), Verdict.OUT_OF_FOCUS),
        (noisy(SHARP, 20), Verdict.NOISY),
        (noisy(np.full((HIGH, WIDE), 16), 2), Verdict.BLACK),
        (np.full((HIGH, WIDE), 250, np.uint8), Verdict.WASHED_OUT),
        (np.clip(SHARP.astype(int) + 150, 0, 255).astype(np.uint8), Verdict.WASHED_OUT),
        (np.clip(SHARP * 0.2 + 190, 0, 255).astype(np.uint8), Verdict.WASHED_OUT),
        (noisy(np.tile(np.linspace(60, 90, WIDE), (HIGH, 1)), 3), Verdict.COVERED),
        (noisy(np.full((HIGH, WIDE), 110), 8), Verdict.COVERED),
        (noisy(blurred(SHARP, 40), 3), Verdict.NOT_SURE),
    ],
)
def test_what_a_picture_is_called(picture, verdict):
    assert judge(measure(picture)) is verdict


@pytest.mark.parametrize("picture", [NIGHT, FOG, noisy(SHARP * 0.1, 6), noisy(SHARP * 0.08 + 150, 4)])
def test_neither_night_nor_fog_is_bad_focus_or_a_cover(picture):
    assert judge(measure(picture)) in (Verdict.GOOD, Verdict.NOT_SURE)


def test_noise_is_measured_in_grey_levels():
    for deviation in (3, 10, 20):
        assert measure(noisy(SHARP, deviation)).noise == pytest.approx(10 * deviation, rel=0.2)
    assert measure(np.full((HIGH, WIDE), 100, np.uint8)).noise == 0


@pytest.mark.parametrize(("width", "height"), [(3840, 2160), (320, 240), (64, 48), (2592, 600)])
def test_any_size_is_measured(width, height):
    drawn = scene(width, height)
    assert judge(measure(drawn)) is Verdict.GOOD
    assert measure(drawn).mean == pytest.approx(float(drawn.mean()), abs=2)


def test_one_passing_car_says_nothing():
    good, covered = measure(SHARP), measure(np.full((HIGH, WIDE), 90, np.uint8))
    assert middle_of([good, covered, good]) == good
    assert middle_of([covered, good, covered]).sharpness is None
    assert judge(middle_of([covered, good, covered])) is Verdict.COVERED


def test_words_and_numbers():
    found = Measures(None, 90, 60, 120, 0, 31, 0, 1000)
    assert found.numbers()["noise"] == 31
    for language, text in (("ko", "선명도 –"), ("en", "sharpness –")):
        with speaking(language):
            assert text in found.text
            assert all(each.word for each in Verdict)
    assert Verdict.GOOD.good
    assert not Verdict.NOISY.good
    assert Verdict.NOT_SURE.unsure
    assert not Verdict.COVERED.unsure
