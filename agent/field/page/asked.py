"""What a visitor asks, out of a WSGI environment: bounded, and nothing of it trusted."""

from __future__ import annotations

from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from agent.field.page.server import BODY_BYTES

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    from agent.language import Language

COOKIE, LANGUAGE_COOKIE = "pasu", "language"
_HEADER_LETTERS = 4096


@dataclass(frozen=True, slots=True)
class Asked:
    """One request.

    cookie  of a session, or empty
    is_own  whether a form was sent from this page, as far as the browser says
    """

    method: str
    path: str
    source: str
    language: Language
    cookie: str
    is_own: bool
    environ: WSGIEnvironment

    def form(self) -> dict[str, list[str]]:
        """Read the form that came with it; empty for what is none."""
        try:
            length = min(int(self.environ.get("CONTENT_LENGTH") or 0), BODY_BYTES)
        except ValueError:
            return {}
        data = self.environ["wsgi.input"].read(length) if length > 0 else b""
        try:
            return parse_qs(data.decode("ascii"), max_num_fields=4)
        except ValueError:
            return {}


def read(environ: WSGIEnvironment) -> Asked:
    """Read a request, but for its form."""
    cookies = _cookies(environ.get("HTTP_COOKIE", ""))
    origin, site = environ.get("HTTP_ORIGIN"), environ.get("HTTP_SEC_FETCH_SITE")
    own = f"https://{environ.get('HTTP_HOST', '')}"
    return Asked(
        environ["REQUEST_METHOD"],
        environ.get("PATH_INFO", ""),
        environ.get("REMOTE_ADDR", ""),
        _language(cookies.get(LANGUAGE_COOKIE, ""), environ.get("HTTP_ACCEPT_LANGUAGE", "")),
        cookies.get(COOKIE, ""),
        origin in (None, own) and site in (None, "same-origin", "none"),
        environ,
    )


def _cookies(header: str) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header[:_HEADER_LETTERS]).items()}
    except CookieError:
        return {}


def _language(chosen: str, accepted: str) -> Language:
    """Return what was chosen, or else which of the two stands first with a browser; Korean where neither does."""
    if chosen in ("ko", "en"):
        return "ko" if chosen == "ko" else "en"
    for part in accepted[:200].lower().split(","):
        name = part.strip().partition(";")[0].partition("-")[0]
        if name in ("ko", "en"):
            return "ko" if name == "ko" else "en"
    return "ko"
