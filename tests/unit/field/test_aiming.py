"""What a technician sees: the best so far, and whether one is there."""

from __future__ import annotations

from agent.cli.aim_view import draw
from agent.cli.show import console
from agent.field.aiming import Aim, bar
from agent.field.picture import Measures, Verdict
from agent.language import speaking


def seen(sharpness: int | None, **more: int) -> Measures:
    values = {
        "mean": 120,
        "dark": 20,
        "bright": 220,
        "glare": 0,
        "noise": 10,
        "edges": 100,
        "empty": 10,
        **more,
    }
    return Measures(sharpness, **values)


def drawn(aim: Aim) -> str:
    with console().capture() as _:
        pass
    screen = console()
    with screen.capture() as got:
        screen.print(draw("cam01", aim))
    return got.get()


def test_nothing_is_said_before_the_first_picture():
    aim = Aim()
    assert aim.verdict is None
    assert not aim.at_peak
    assert aim.to_json() == {"pictures": 0, "verdict": None, "best": None, "at_peak": False, "measures": None}
    for language, text in (("ko", "첫 그림"), ("en", "first picture")):
        with speaking(language):
            assert text in drawn(aim)


def test_the_peak_is_remembered_when_one_goes_past_it():
    aim = Aim()
    for sharp in (300, 400, 500, 600, 600, 600):
        aim.take(seen(sharp))
    assert aim.best == 600
    assert aim.at_peak
    for sharp in (450, 450, 450):
        aim.take(seen(sharp))
    assert (aim.best, aim.at_peak) == (600, False)
    with speaking("en"):
        assert "▲" in drawn(aim)
        assert "best 60.0 %" in drawn(aim)
        assert "sharpest" not in drawn(aim).splitlines()[0]
    for sharp in (600, 600, 600):
        aim.take(seen(sharp))
    with speaking("en"):
        assert "at its sharpest" in drawn(aim)


def test_one_picture_in_which_the_lens_was_touched_is_no_peak():
    aim = Aim()
    for sharp in (400, 900, 400, 400, 400):
        aim.take(seen(sharp))
    assert aim.best == 400


def test_a_picture_without_an_edge_has_no_peak():
    aim = Aim()
    for _ in range(3):
        aim.take(seen(None, empty=1000, edges=0))
    assert (aim.best, aim.at_peak, aim.verdict) == (None, False, Verdict.COVERED)
    assert aim.to_json()["measures"]["empty"] == 1000
    assert "–" in drawn(aim)


def test_bars():
    assert bar(0, 100, 4) == "░░░░"
    assert bar(50, 100, 4) == "██░░"
    assert bar(-5, 100, 4, [500, -3]) == "▲░░▲"
