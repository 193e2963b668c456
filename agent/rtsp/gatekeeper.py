"""Log-in, the side that asks: makes challenges and checks answers. For the virtual camera."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from agent.rtsp.auth import basic_token, digest_response, parse_credentials, quote

if TYPE_CHECKING:
    from collections.abc import Callable

Verdict = Literal["ok", "missing", "wrong", "stale"]

_COUNT = re.compile(r"[0-9a-fA-F]{8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class LogIn:
    """Who may come in, and how they are asked.

    offers       "Basic", "MD5", "MD5-sess", "SHA-256", "SHA-256-sess", or any other digest algorithm's name,
                 which nobody can answer; one challenge each, in this order
    qop          as it stands in the challenge: "auth", "auth-int", "auth,auth-int"; None for the form of RFC
                 2069
    stale_after  answers after which a nonce is stale; 0 for never
    say_stale    tell the client that it is staleness (some cameras do not)
    """

    username: str
    password: str = field(repr=False)
    realm: str = "camera"
    offers: tuple[str, ...] = ("MD5",)
    qop: str | None = "auth"
    opaque: str | None = None
    stale_after: int = 0
    say_stale: bool = True


class Gatekeeper:
    """Keeps the nonces of one connection."""

    __slots__ = ("_fresh", "_last_count", "_log_in", "_nonce", "_uses")

    def __init__(self, log_in: LogIn, nonce: Callable[[], str]) -> None:
        self._log_in = log_in
        self._fresh = nonce
        self._nonce = nonce()
        self._uses = 0
        self._last_count = 0

    def challenges(self, verdict: Verdict) -> tuple[tuple[str, str], ...]:
        """Return the WWW-Authenticate headers for a request that was not let in."""
        log_in = self._log_in
        stale = ", stale=true" if verdict == "stale" and log_in.say_stale else ""
        found = []
        for offer in log_in.offers:
            if offer == "Basic":
                text = f"Basic realm={quote(log_in.realm)}"
            else:
                text = f'Digest realm={quote(log_in.realm)}, nonce="{self._nonce}", algorithm={offer}'
                if log_in.qop is not None:
                    text += f', qop="{log_in.qop}"'
                if log_in.opaque is not None:
                    text += f", opaque={quote(log_in.opaque)}"
                text += stale
            found.append(("WWW-Authenticate", text))
        return tuple(found)

    def check(self, authorization: str | None, method: str, url: str) -> Verdict:
        """Judge a request's Authorization header.

        A nonce that was used too often, an unknown nonce, or a count (nc) that does not grow is "stale", and
        a new nonce is made.
        Source RFC 7616 section 3.4
        """
        if authorization is None:
            return "missing"
        given = parse_credentials(authorization)
        log_in = self._log_in
        if given.scheme == "basic":
            token = basic_token(log_in.username, log_in.password)
            right = "Basic" in log_in.offers and _same(given.params["token"], token)
            return "ok" if right else "wrong"
        algorithm = given.algorithm()
        if given.scheme != "digest" or algorithm not in {offer.upper() for offer in log_in.offers}:
            return "wrong"
        get = given.params.get
        cnonce = get("cnonce", "")
        qop = (get("nc", ""), cnonce, "auth") if log_in.qop is not None else None
        expected = digest_response(
            algorithm,
            (log_in.username, log_in.realm, log_in.password),
            method,
            url,
            get("nonce", ""),
            qop=qop,
            cnonce=cnonce,
        )
        said = (get("username"), get("realm"), get("uri"), get("opaque"))
        known = (log_in.username, log_in.realm, url, log_in.opaque)
        if said != known or not _same(get("response", ""), expected):
            return "wrong"
        return self._judge_nonce(get("nonce", ""), get("nc", ""))

    def _judge_nonce(self, nonce: str, count: str) -> Verdict:
        self._uses += 1
        grown = True
        if self._log_in.qop is not None:
            number = int(count, 16) if _COUNT.fullmatch(count) else 0
            grown = number > self._last_count
            self._last_count = max(number, self._last_count)
        limit = self._log_in.stale_after
        if nonce == self._nonce and grown and not (limit and self._uses > limit):
            return "ok"
        self._nonce = self._fresh()
        self._uses = 0
        self._last_count = 0
        return "stale"


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
