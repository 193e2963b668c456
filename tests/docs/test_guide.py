"""The guide and the runbook: what they tell people to type exists, and so do their pictures, their links and both languages."""

from __future__ import annotations

import argparse
import re
import shlex
from typing import TYPE_CHECKING

import cv2
import pytest

from agent.cli.main import build
from agent.health import CONDITIONS
from tests.docs.codes import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = ROOT / "docs"
PAPERS = ("guide.md", "guide.ko.md", "runbook.md", "runbook.ko.md")


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return every command by its words."""
    found: dict[str, argparse.ArgumentParser] = {}

    def walk(parser: argparse.ArgumentParser, words: str) -> None:
        found[words] = parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, child in action.choices.items():
                    walk(child, f"{words} {name}".strip())

    walk(build(), "")
    return found


def code(text: str) -> list[str]:
    """Return what stands in code, by line; a line that goes on after a backslash is one."""
    fenced = re.compile(r"^ *```[^\n]*\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
    blocks = [block.replace("\\\n", " ") for block in fenced.findall(text)]
    inline = re.findall(r"`([^`\n]+)`", fenced.sub("", text))
    return [line for block in blocks for line in block.splitlines()] + inline


def typed(text: str) -> Iterator[tuple[str, argparse.ArgumentParser, list[str]]]:
    """Return each line that names a command, the command, and the words after it. It has to exist."""
    known = commands()
    for line in code(text):
        for found in re.finditer(r"(?<![\w/.:-])pasu ([^|<>)\]`]+)", line):
            words = shlex.split(found[1].replace("'", ""), comments=True)
            length = max(n for n in range(len(words) + 1) if " ".join(words[:n]) in known)
            assert length or not re.match(r"[a-z]", words[0]), f"no such command: pasu {found[1]}"
            yield line, known[" ".join(words[:length])], words[length:]


def groups(command: argparse.ArgumentParser) -> list[argparse._SubParsersAction]:
    """Return what commands of its own a command has."""
    return [each for each in command._actions if isinstance(each, argparse._SubParsersAction)]


@pytest.mark.parametrize("paper", PAPERS)
def test_every_command_and_option_in_it_exists(paper):
    count = 0
    for line, command, rest in typed((DOCS / paper).read_text(encoding="utf-8")):
        assert not any(each.required for each in groups(command)), f"{line}: not whole"
        for option in (word for word in rest if word.startswith("--")):
            assert option in command._option_string_actions, f"{line}: {option}"
        count += 1
    assert count >= 12


ALL = sorted(
    str(file.relative_to(ROOT))
    for where in ("*.md", "docs/**/*.md", "systemd/*.md", "hardware_tests/*.md", "benchmarks/**/*.md")
    for file in ROOT.glob(where)
)


@pytest.mark.parametrize("paper", ALL)
def test_no_paper_names_a_command_or_an_option_that_does_not_exist(paper):
    for line, command, rest in typed((ROOT / paper).read_text(encoding="utf-8")):
        if groups(command) and rest:
            assert not re.match(r"[a-z]", rest[0]), f"{line}: no {rest[0]}"
        for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", " ".join(rest)):
            assert option in command._option_string_actions, f"{line}: {option}"


def test_what_no_command_is_would_be_found():
    for wrong in ("pasu enrol renew", "sudo pasu enroll show"):
        with pytest.raises(AssertionError):  # noqa: PT012 - two ways of finding it
            for line, command, rest in typed(f"mend it by `{wrong}` now"):
                assert not groups(command) or not re.match(r"[a-z]", rest[0]), line


@pytest.mark.parametrize("paper", PAPERS)
def test_its_pictures_and_links_exist(paper):
    text = (DOCS / paper).read_text(encoding="utf-8")
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text) + re.findall(r'<img src="([^"]+)"', text)
    for name in pictures:
        assert cv2.imread(str(DOCS / name)) is not None, name
    for name in re.findall(r"(?<!!)\[[^\]]+\]\(([^)#]+)\)", text):
        assert (DOCS / name).is_file(), name


def test_every_condition_in_it_exists():
    for paper in PAPERS[:2]:
        named = set(
            re.findall(
                r"`((?:camera|vault|disk|time|tunnel|uplink|process|box)\.[a-z_]+)`",
                (DOCS / paper).read_text(),
            )
        )
        assert len(named) >= 15
        assert named <= set(CONDITIONS)


@pytest.mark.parametrize("paper", ["guide", "runbook"])
def test_both_languages_have_the_same_parts_commands_and_pictures(paper):
    english, korean = ((DOCS / f"{paper}{end}.md").read_text(encoding="utf-8") for end in ("", ".ko"))
    for what in (r"^## (\d+)\.", r"^\| ", r"^- \[ \]", r"`([a-z]+\.[a-z_]+)`", r"\bpasu ([a-z]+)"):
        ours = [re.findall(what, each, re.MULTILINE) for each in (english, korean)]
        assert sorted(ours[0]) == sorted(ours[1]), what
    for mine, other in (("-en.png", english), ("-ko.png", korean)):
        assert (
            set(re.findall(r"images/(guide-[a-z]+)-[a-z]+\.png", other))
            == {each.name.removesuffix(mine) for each in (DOCS / "images").glob(f"guide-*{mine}")}
            or paper == "runbook"
        )
