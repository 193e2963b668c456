"""`pasu doctor`, as it is shown: to a person, and to one who sends what a program reads elsewhere."""

from __future__ import annotations

import io
import sys

import pytest

from agent.cli.doctor_view import View
from agent.field.doctor.check import Result, State


class Terminal(io.StringIO):
    """What a person looks at."""

    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("TERM", "xterm")


def look(monkeypatch, out, err, *, results):
    """Show an examination. (In the test itself: pytest exchanges both streams between a fixture and its test.)"""
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    found = [Result("disk.sync", State.OK, "", "3 ms"), Result("clock.rtc", State.WARNING, "", "none")]
    with View(results=results) as view:
        view.busy("camera.frames", "cam01", 12)
        for each in found:
            view.show(each)
    view.sum_up(found)
    return out.getvalue(), err.getvalue()


def test_one_who_sends_json_to_a_file_sees_what_is_looked_at_and_how_it_ended(monkeypatch):
    out, err = look(monkeypatch, io.StringIO(), Terminal(), results=False)
    assert out == ""
    assert "cam01 · 12 s left" in err
    assert "3 ms" not in err
    assert "ok 1 · warning 1" in err


def test_where_nobody_looks_nothing_is_said(monkeypatch):
    assert look(monkeypatch, io.StringIO(), io.StringIO(), results=False) == ("", "")


def test_a_file_of_results_has_each_and_what_to_do(monkeypatch):
    out, err = look(monkeypatch, io.StringIO(), Terminal(), results=True)
    assert "3 ms" in out
    assert "→" in out
    assert "s left" not in out
    assert err == ""
