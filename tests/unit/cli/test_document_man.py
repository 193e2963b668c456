"""The manual page: what the command line says, as roff."""

from __future__ import annotations

import argparse

from agent.cli.document_man import page
from agent.language import speaking


def made(description: str, language: str = "en") -> list[str]:
    parser = argparse.ArgumentParser("pasu", description="Pasu.", add_help=False)
    parser.add_argument("-h", "--help", action="help", help="help of `pasu`")
    below = parser.add_subparsers(metavar="COMMAND")
    one = below.add_parser("one", description=description, add_help=False)
    one.add_argument("-h", "--help", action="help", help="never told twice")
    one.add_argument("--out", metavar="FILE", help="where it\\goes")
    one.add_argument("what", help=".hidden?")
    with speaking(language):  # type: ignore[arg-type]  # ko or en
        commands = [("pasu", "pasu COMMAND", parser), ("pasu one", "pasu one [--out FILE] WHAT", one)]
        return page(commands, [("0", "done", "마침")]).splitlines()


def test_options_and_arguments_are_told_and_nothing_is_taken_for_a_request() -> None:
    lines = made("Do it.")
    assert lines[lines.index('.SS "pasu one"') + 1] == r"\fBpasu one [\-\-out FILE] WHAT\fR"
    at = lines.index(r"\fB\-\-out\fR \fIFILE\fR")
    assert lines[at - 1 : at + 2] == [".TP", r"\fB\-\-out\fR \fIFILE\fR", r"where it\egoes"]
    assert lines[lines.index(r"\fIWHAT\fR") + 1] == r"\&.hidden?"
    assert r"help of \fBpasu\fR" in lines
    assert "never told twice" not in lines
    assert lines[lines.index(r"\fB0\fR") + 1] == "done"


def test_examples_stay_as_they_are_written() -> None:
    lines = made("First.\n\nexamples:\n  pasu one\n  'two'\nAfter.\n  pasu last")
    at = lines.index("First.")
    assert lines[at : at + 15] == [
        *("First.", ".PP", "examples:"),
        *(".RS 4", ".nf", "pasu one", r"\&'two'", ".fi", ".RE"),
        *("After.", ".RS 4", ".nf", "pasu last", ".fi", ".RE"),
    ]


def test_headings_are_in_the_readers_language() -> None:
    def heads(language: str) -> list[str]:
        return [line for line in made("x", language) if line.startswith(".SH")]

    assert len(heads("ko")) == len(heads("en")) == 7
    assert not set(heads("ko")) & set(heads("en"))
    assert "마침" in made("x", "ko")


def test_a_command_without_a_description_has_none() -> None:
    assert made("")[made("").index(".PP") + 1] == ".TP"
