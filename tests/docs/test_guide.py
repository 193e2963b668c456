"""The guide and the runbook: what they tell people to type exists, and so do their pictures, their links and both languages."""

from __future__ import annotations

import argparse
import re
import shlex

import cv2
import pytest

from agent.cli.main import build
from agent.health import CONDITIONS
from tests.docs.codes import ROOT

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
    """Return what stands in code, by line."""
    blocks = re.findall(r"```\n(.*?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()] + re.findall(r"`([^`\n]+)`", text)


@pytest.mark.parametrize("paper", PAPERS)
def test_every_command_and_option_in_it_exists(paper):
    known = commands()
    typed = 0
    for line in code((DOCS / paper).read_text(encoding="utf-8")):
        for found in re.finditer(r"(?<![\w/.:-])pasu ([^|>]+)", line):
            words = shlex.split(found[1].replace("'", ""))
            length = max(n for n in range(len(words) + 1) if " ".join(words[:n]) in known)
            assert length, f"no such command: pasu {found[1]}"
            command = known[" ".join(words[:length])]
            groups = [each for each in command._actions if isinstance(each, argparse._SubParsersAction)]
            assert not any(each.required for each in groups), f"{line}: not whole"
            for option in (word for word in words[length:] if word.startswith("--")):
                assert option in command._option_string_actions, f"{line}: {option}"
            typed += 1
    assert typed >= 12


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
