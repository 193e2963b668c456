"""The page as a WSGI application: an entrance, the state of the box, an exit. It reads health files and passes. Edge.

No text of a visitor is ever shown again. Every answer forbids scripts (but one, of four lines, at the entrance, which
takes a code out of the part of an address that is never sent), frames, images and caches.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from agent.errors import PasuError
from agent.field.page import asked, view
from agent.field.page.asked import COOKIE, LANGUAGE_COOKIE
from agent.language import Language, language, say, speaking
from agent.passes import Why

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import tzinfo
    from wsgiref.types import StartResponse, WSGIEnvironment

    from agent.config import Config
    from agent.field.page.asked import Asked
    from agent.field.page.door import Door
    from agent.passes import Pass

LANGUAGE_S = 30 * 86_400
REFRESH_S = 15
READ_S = 1.0
"""Files are read at most so often, however many visitors ask."""

log = logging.getLogger("pasu.page")

Answer = tuple[str, list[tuple[str, str]], str]


class App:
    """The application. Used by many threads."""

    def __init__(
        self,
        config: Config,
        door: Door,
        overview: Callable[[], dict[str, Any]],
        zone: tzinfo | None = None,
    ) -> None:
        """Read the templates. overview: reads the health files, as `agent.overview`."""
        self._config = config
        self._door = door
        self._overview = overview
        self._zone = zone
        self._mutex = threading.Lock()
        self._found: tuple[float, dict[str, Any]] | None = None
        made = Environment(
            loader=PackageLoader("agent.field.page"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        style, script = (made.get_template(name).render() for name in ("style.css", "enter.js"))
        made.globals |= {"say": say, "style": Markup(style), "script": Markup(script), "refresh_s": REFRESH_S}  # noqa: S704 - our own files
        made.filters["typed"] = typed
        self._box, self._entrance = made.get_template("box.html"), made.get_template("enter.html")
        self._policy = (
            f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; form-action 'self';"
            " base-uri 'none'; frame-ancestors 'none'"
        )

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        wanted = asked.read(environ)
        with speaking(wanted.language):
            try:
                status, more, text = self._answer(wanted)
            except PasuError as error:
                # Its words are the visitor's; a log's are English, as its code is.
                about = " ".join(f"{key}={value}" for key, value in error.context.items())
                log.error("%s %s", error.code, about)  # noqa: TRY400 - the fault says it all
                text = self._enter(
                    say("박스에 문제가 있어 지금은 열 수 없습니다", "The box cannot do that now")
                )
                status, more = "503 Service Unavailable", []
        body = text.encode()
        start_response(
            status,
            [
                ("Content-Type", "text/html; charset=utf-8"),
                ("Content-Length", str(len(body))),
                ("Content-Security-Policy", self._policy),
                ("X-Content-Type-Options", "nosniff"),
                ("X-Frame-Options", "DENY"),
                ("Referrer-Policy", "same-origin"),
                ("Permissions-Policy", "camera=(), microphone=(), geolocation=()"),
                ("Cross-Origin-Opener-Policy", "same-origin"),
                ("Cross-Origin-Resource-Policy", "same-origin"),
                ("Cache-Control", "no-store"),
                *more,
            ],
        )
        return [b"" if wanted.method == "HEAD" else body]

    def _answer(self, wanted: Asked) -> Answer:
        routes: dict[str, dict[str, Callable[[], Answer]]] = {
            "/": {"GET": lambda: self._show(wanted.cookie)},
            "/enter": {
                "GET": lambda: ("200 OK", [], self._enter("")),
                "POST": lambda: self._let_in(wanted),
            },
            "/leave": {"POST": lambda: self._let_out(wanted)},
            "/ko": {"GET": lambda: _moved("/", _kept("ko"))},
            "/en": {"GET": lambda: _moved("/", _kept("en"))},
        }
        allowed = routes.get(wanted.path)
        if allowed is None:
            return "404 Not Found", [], self._enter(say("이런 페이지는 없습니다", "There is no such page"))
        work = allowed.get("GET" if wanted.method == "HEAD" else wanted.method)
        if work is None:
            text = self._enter(say("이렇게는 쓸 수 없습니다", "This cannot be done in that way"))
            return "405 Method Not Allowed", [("Allow", ", ".join(allowed))], text
        return work()

    def _show(self, cookie: str) -> Answer:
        visitor = self._door.who(cookie) if cookie else None
        if visitor is None:
            return _moved("/enter")
        return "200 OK", [], self._page(visitor)

    def _page(self, visitor: Pass) -> str:
        return self._box.render(view.page(self._config, self._read(), visitor, self._zone))

    def _read(self) -> dict[str, Any]:
        with self._mutex:
            now = time.monotonic()
            if self._found is None or now - self._found[0] >= READ_S:
                self._found = now, self._overview()
            return self._found[1]

    def _let_in(self, wanted: Asked) -> Answer:
        if not wanted.is_own:
            return (
                "403 Forbidden",
                [],
                self._enter(say("이 페이지에서 넣은 것이 아닙니다", "Not sent from this page")),
            )
        typed = wanted.form().get("code", [""])[0]
        entered = self._door.enter(typed, wanted.source)
        if isinstance(entered, Why):
            waits = entered is Why.LOCKED
            status = "429 Too Many Requests" if waits else "403 Forbidden"
            return status, [("Retry-After", "600")] if waits else [], self._enter(refusal(entered))
        return _moved("/", f"{COOKIE}={entered.cookie}; {_ATTRIBUTES}")

    def _let_out(self, wanted: Asked) -> Answer:
        if wanted.is_own and wanted.cookie:
            self._door.leave(wanted.cookie)
        return _moved("/enter", f"{COOKIE}=; Max-Age=0; {_ATTRIBUTES}")

    def _enter(self, why: str) -> str:
        return self._entrance.render(lang=language(), box=self._config.box.id, why=why)


def refusal(why: Why) -> str:
    """Say why a code opens nothing, and what to do."""
    return {
        Why.UNKNOWN: say(
            "코드가 맞지 않습니다. 다시 확인하십시오", "This is no pass's code. Look again at what was typed"
        ),
        Why.EXPIRED: say(
            "기간이 지난 출입증입니다. 새로 발급받으십시오", "This pass has expired. Ask for a new one"
        ),
        Why.REVOKED: say(
            "취소된 출입증입니다. 발급한 사람에게 문의하십시오",
            "This pass was revoked. Ask whoever issued it",
        ),
        Why.USED: say(
            "이미 쓴 출입증입니다. 출입증은 한 사람이 한 기기에서 한 번만 씁니다. 새로 발급받으십시오",
            "This pass was used already. A pass is for one person and one device, once. Ask for a new one",
        ),
        Why.LOCKED: say(
            "틀린 코드가 너무 많아 잠겼습니다. 10분 뒤에 다시 하십시오",
            "Locked after too many wrong codes. Try again in ten minutes",
        ),
    }[why]


_ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Strict"


def typed(text: str) -> Markup:
    """Set what stands between backquotes, which is to be typed, apart."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts)
    )


def _kept(chosen: Language) -> str:
    return f"{LANGUAGE_COOKIE}={chosen}; Max-Age={LANGUAGE_S}; {_ATTRIBUTES}"


def _moved(place: str, cookie: str = "") -> Answer:
    return "303 See Other", [("Location", place), *([("Set-Cookie", cookie)] if cookie else [])], ""


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
