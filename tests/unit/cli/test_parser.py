"""The command line's own words, in both languages and by columns."""

from __future__ import annotations

import argparse
import re

import pytest

from agent.cli.first import GROUPS, screen
from agent.cli.main import build, main
from agent.cli.parser import columns, wrap
from agent.language import speaking


@pytest.fixture(params=["ko_KR.UTF-8", "C.UTF-8"])
def korean(request, monkeypatch):
    monkeypatch.setenv("LC_ALL", request.param)
    monkeypatch.setenv("COLUMNS", "80")
    return request.param.startswith("ko")


def leaves(parser):
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from leaves(child)


def test_columns_of_hangul():
    assert columns("cam 카메라") == 10
    assert columns("e\u0301") == 1
    assert wrap("가나다 라마바 사", 9) == ["가나다", "라마바 사"]
    assert wrap("", 9) == []


def test_every_help_fits_the_terminal_and_is_in_one_language(korean):
    for parser in leaves(build()):
        text = parser.format_help()
        for line in text.splitlines():
            assert columns(line) <= 80 or line.startswith("  pasu "), line
        assert ("쓰는 법: pasu" in text) == korean
        assert ("usage: pasu" in text) != korean
        assert text.count("pasu: ") == 0
        assert any("가" <= letter <= "힣" for letter in text) == korean
        for action in parser._actions:
            assert action.help or isinstance(action, argparse._SubParsersAction)


@pytest.mark.parametrize(
    ("line", "english", "hangul"),
    [
        ("sgments", "did you mean segments?", "혹시 segments?"),
        ("config", "the following arguments are required", "빠진 인자"),
        ("record --confg x", "unrecognized arguments: --confg x", "알 수 없는 인자: --confg x"),
        ("record --config", "argument --config: expected one argument", "--config: 값 하나가 필요합니다"),
        ("demo --seconds x", "invalid int value: 'x'", "--seconds: 쓸 수 없는 값: 'x'"),
        (
            "open --identity k -o o --vault v --config c x",
            "not allowed with argument --vault",
            "--vault와(과) 함께",
        ),
        ("segments cam01 --json=1", "ignored explicit argument '1'", "값을 받지 않습니다: '1'"),
        ("open", "arguments are required", "빠진 인자"),
        ("help nothing", "invalid choice: 'nothing'", "'nothing'은(는) 쓸 수 없습니다"),
        ("seg", "invalid choice: 'seg'", "'seg'은(는) 쓸 수 없습니다"),
    ],
)
def test_mistyped_lines(korean, capsys, line, english, hangul):
    assert main(line.split()) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert (hangul if korean else english) in said.err
    assert "--help" in said.err.splitlines()[-1]


def test_nothing_typed_shows_one_screen_and_the_way_to_the_rest(korean, capsys):
    assert main([]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 24  # the prompt has a line too
    assert max(map(columns, lines)) <= 80
    assert lines[0].startswith("쓰는 법: pasu" if korean else "usage: pasu")
    assert "pasu --help" in lines[-3]
    assert re.search(r"man (-L ko )?pasu$", lines[-1])
    assert any(
        line.split() == ["init", *("박스를 준비합니다" if korean else "make this box ready").split()]
        for line in lines
    )
    assert any("가" <= letter <= "힣" for letter in "".join(lines)) == korean


@pytest.mark.parametrize(
    ("there", "words"), [("C.UTF-8", "man pasu"), ("ko_NOWHERE.UTF-8", "man -L ko pasu")]
)
def test_the_manual_is_named_as_man_finds_it(monkeypatch, there, words):
    """Where the C library has no Korean, man shows the English page, or bytes."""
    monkeypatch.setenv("LC_ALL", there)
    with speaking("ko"):
        assert words in screen(build()).splitlines()[-1]
    with speaking("en"):
        assert screen(build()).endswith("man pasu")


def test_every_command_belongs_to_somebody_and_to_one_only():
    grouped = [name for group in GROUPS for name in group.commands]
    (commands,) = (action for action in build()._actions if isinstance(action, argparse._SubParsersAction))
    assert sorted(grouped) == sorted(name for name in commands.choices if name != "help")


@pytest.mark.parametrize("line", ["help", "--help", "help config check", "help open", "--version"])
def test_help_and_version(korean, capsys, line):
    assert main(line.split()) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith(("pasu 0", "쓰는 법: pasu" if korean else "usage: pasu"))
