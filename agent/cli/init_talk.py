"""The terminal of `pasu init`: shows what the interview tells, reads what is typed, and has done what it wants done."""

from __future__ import annotations

import contextlib
import getpass
import os
import sys
from typing import TYPE_CHECKING, Any

from agent.cli.bar import Bar
from agent.cli.parser import columns, wrap
from agent.cli.show import console, table
from agent.errors import PasuError
from agent.field.setup import draft, works
from agent.field.setup import requests as wants
from agent.field.setup.trying import try_cameras
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Generator

    from agent.field.setup.answers import Answers
    from agent.field.setup.place import Places

STYLES = {
    wants.Tone.HEAD: "bold",
    wants.Tone.PLAIN: "",
    wants.Tone.GOOD: "green",
    wants.Tone.WARN: "yellow",
    wants.Tone.BAD: "bold red",
}
MARKS = {wants.Tone.WARN: "! ", wants.Tone.BAD: "✗ ", wants.Tone.GOOD: "✓ "}


class Terminal:
    """Somebody at the keyboard; without one, what is told is printed, and a question ends it."""

    def __init__(self, places: Places, box: str = "", vault: str = "", *, drafts: bool = True) -> None:
        """box, vault: what is known of both; of a new box they come with its draft. drafts: keep what is answered."""
        self._places = places
        self._screen = console()
        self._box = box
        self._vault = vault
        self._drafts = drafts
        edit_lines()

    def hold(self, talk: Generator[Any, Any, Answers]) -> Answers:
        """Hold a conversation to its end. Raises PasuError, Stopped, KeyboardInterrupt."""
        try:
            want = next(talk)
            while True:
                try:
                    answer = self._do(want)
                except PasuError as error:
                    want = talk.throw(error)
                else:
                    want = talk.send(answer)
        except StopIteration as end:
            answers: Answers = end.value
            return answers

    def know(self, box: str, vault: str) -> None:
        """Take what disks are judged by."""
        self._box, self._vault = box, vault

    def _do(self, want: wants.Request) -> Any:
        match want:
            case wants.Ask():
                return self._ask(want)
            case wants.Tell():
                return self.tell(want)
            case wants.Rows():
                shown = table(want.heads, want.rows, right=want.right, folding=want.folding)
                shown.show_header = any(want.heads)
                self._screen.print(shown)
                return None
            case wants.Disks():
                return works.disks(self._vault, want.named)
            case wants.Format():
                self.tell(wants.Tell(say("포맷하는 중입니다…", "Formatting...")))
                return works.make_anew(want.drive, want.phrase, self._box, self._vault)
            case wants.Measure():
                with Bar(say("디스크 재기", "measuring the disk")) as bar:
                    return works.measure(want.drive, want.folder, want.load, want.cameras, bar.show)
            case wants.Search():
                return search(want)
            case wants.Try():
                return try_cameras(want.trials)
            case wants.ReadText():
                return works.read_text(want.path)
            case wants.Keep():
                self.know(want.answers["box"]["id"], self._vault)
                return draft.keep(self._places, want.answers) if self._drafts else None

    def tell(self, told: wants.Tell) -> None:
        """Show a text; what goes wrong stands out by its mark too, and not by its colour alone."""
        if told.tone is wants.Tone.HEAD:
            self._screen.print()
        mark = MARKS.get(told.tone, "")
        lines = told.text.splitlines()
        if mark:
            room = self._screen.width - columns(mark)
            lines = [part for line in lines for part in wrap(line, room)]
        text = "\n".join([f"{mark}{lines[0]}", *(" " * columns(mark) + line for line in lines[1:])])
        self._screen.print(text, style=STYLES[told.tone])
        if told.tone is wants.Tone.HEAD:
            self._screen.print("─" * columns(told.text))

    def _ask(self, ask: wants.Ask) -> str:
        if not sys.stdin.isatty():
            raise wants.Stopped
        if ask.explain:
            self._screen.print(f"  {ask.explain}", style="dim")
        usual = f" [{ask.usual}]" if ask.usual else ""
        prompt = f"{ask.title}{usual}: "
        try:
            if ask.secret:
                return getpass.getpass(prompt)
            return input(prompt)
        except EOFError:
            print()
            raise wants.Stopped from None


def edit_lines() -> None:
    """Let a line be edited as it is typed: the kernel's own editing does not know that Hangul takes two columns.

    readline takes the letters of a locale that is not installed for bytes, and spoils them: it then gets C.UTF-8, which
    every Debian has. It asks the environment, and it asks when it is loaded.
    """
    import locale

    before = os.environ.get("LC_ALL")
    try:
        locale.setlocale(locale.LC_CTYPE, "")
        installed = locale.nl_langinfo(locale.CODESET).upper() == "UTF-8"
    except locale.Error:
        installed = False
    with contextlib.suppress(locale.Error, ImportError):
        if not installed:
            locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
            os.environ["LC_ALL"] = "C.UTF-8"
        try:
            import readline

            readline.set_auto_history(False)
            readline.parse_and_bind("set disable-completion on")
            readline.parse_and_bind("set enable-bracketed-paste off")
        finally:
            if before is None:
                os.environ.pop("LC_ALL", None)
            else:
                os.environ["LC_ALL"] = before


def search(want: wants.Search) -> list[tuple[dict[str, Any], int | None]]:
    """Find cameras as `pasu discover` does, and have some chosen. Raises UsageError."""
    import asyncio

    from agent.cli import discover_view
    from agent.cli.discover import looking, nowhere
    from agent.cli.discover_talk import Talk
    from agent.field.discovering import Known, find

    knows = Known(ids=want.taken)
    hosts = [each for each in want.where if "/" not in each]
    request, where = looking(hosts, [each for each in want.where if "/" in each], knows)
    talk = Talk(sys.stdin, sys.stdout)
    print(discover_view.places(where, request))

    async def ask(camera: Any) -> Any:
        return talk.log_in(camera)

    try:
        found = asyncio.run(find(request, knows, ask, discover_view.progress(sys.stderr)))
    except OSError as error:
        raise nowhere(error.strerror or str(error)) from None
    discover_view.show(found, knows)
    rates = {each.camera.main.url: each.camera.main.kbps for each in found if each.camera.main is not None}
    made: list[tuple[dict[str, Any], int | None]] = []
    for each in talk.additions(found, knows, ()) if found else ():
        camera: dict[str, Any] = {"id": each.id, "name": each.name, "url": each.url}
        if each.sub_url:
            camera["sub_url"] = each.sub_url
        camera |= {"purpose": each.purpose, "legal_basis": each.legal_basis}
        if each.view:
            camera["view"] = each.view
        if each.username:
            camera |= {"username": each.username, "password": each.password}
        made.append((camera, rates.get(each.url)))
    return made
