"""Log-in, the side that answers: challenges, Digest and Basic.

Strongest first: Digest SHA-256, Digest MD5, Basic. A failure says exactly why: a technician stands in front
of the camera and has to choose between "type the password again" and "change a setting in the camera".
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.rtsp.errors import RtspError
from agent.rtsp.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Ranks of what we can answer; RFC 7616 asks for the strongest.
_DIGESTS = {"SHA-256": 2, "SHA-256-SESS": 2, "MD5": 1, "MD5-SESS": 1}
_ALIASES = {"": "MD5", "SHA256": "SHA-256", "SHA256-SESS": "SHA-256-SESS"}
_MAX_CHALLENGES = 32
_MAX_STALE = 5  # nonces in a row that the camera calls stale at once
_BLANK = " \t"


@dataclass(frozen=True, slots=True)
class Challenge:
    """One offer of a 401: scheme in lower case, parameters with lower-case names and unquoted values."""

    scheme: str
    params: dict[str, str]

    def algorithm(self) -> str:
        """Return the digest algorithm in capitals; MD5 when none is said."""
        said = self.params.get("algorithm", "").upper()
        return _ALIASES.get(said, said)

    def qop(self) -> tuple[str, ...]:
        """Return the offered qualities of protection, empty for the form of RFC 2069."""
        return tuple(word for word in self.params.get("qop", "").lower().replace(",", " ").split() if word)


def parse_challenges(values: Sequence[str]) -> list[Challenge]:
    """Read the values of all WWW-Authenticate headers, each with one challenge or several.

    A value is quoted (commas and escapes inside) or runs to the next comma. Never fails: what cannot be read
    is left out. At most 32 challenges are kept.
    Source RFC 7235 section 4.1
    """
    found: list[Challenge] = []
    for value in values:
        for name, word in _items(value):
            if word is None:
                if len(found) == _MAX_CHALLENGES:
                    return found
                found.append(Challenge(name.lower(), {}))
            elif found:
                found[-1].params.setdefault(name.lower(), word)
    return found


def parse_credentials(value: str) -> Challenge:
    """Read an Authorization header: the scheme and its parameters; Basic's token stands under "token"."""
    scheme, _, rest = value.strip(_BLANK).partition(" ")
    if scheme.lower() == "basic":
        return Challenge("basic", {"token": rest.strip(_BLANK)})
    params = {name.lower(): word for name, word in _items(rest) if word is not None}
    return Challenge(scheme.lower(), params)


def _items(text: str) -> list[tuple[str, str | None]]:
    """Split into (scheme, None) and (name, value), in order, in one pass."""
    items: list[tuple[str, str | None]] = []
    at, end = 0, len(text)
    while at < end:
        if text[at] in ", \t":
            at += 1
            continue
        begin = at
        while at < end and text[at] not in ", \t=":
            at += 1
        name = text[begin:at]
        while at < end and text[at] in _BLANK:
            at += 1
        if at == end or text[at] != "=":
            items.append((name, None))
            continue
        at += 1
        while at < end and text[at] in _BLANK:
            at += 1
        if at < end and text[at] == '"':
            value, at = _quoted(text, at + 1)
        else:
            stop = text.find(",", at)
            stop = end if stop < 0 else stop
            value, at = text[at:stop].strip(_BLANK), stop
        if name:
            items.append((name, value))
    return items


def _quoted(text: str, at: int) -> tuple[str, int]:
    """Read a quoted string whose opening quote is behind us; a missing closing quote ends with the text."""
    parts: list[str] = []
    end = len(text)
    while at < end and text[at] != '"':
        if text[at] == "\\" and at + 1 < end:
            at += 1
        parts.append(text[at])
        at += 1
    return "".join(parts), at + 1


def quote(text: str) -> str:
    """Write a quoted string. Source RFC 7230 section 3.2.6."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def basic_token(username: str, password: str) -> str:
    """Return the token of Basic. Source RFC 7617 section 2, UTF-8."""
    return base64.b64encode(_bytes(f"{username}:{password}")).decode("ascii")


def digest_response(
    algorithm: str,
    credentials: tuple[str, str, str],
    method: str,
    uri: str,
    nonce: str,
    *,
    qop: tuple[str, str, str] | None,
    cnonce: str = "",
) -> str:
    """Compute the `response` of Digest.

    algorithm    MD5, MD5-SESS, SHA-256 or SHA-256-SESS
    credentials  username, realm, password
    qop          (nc, cnonce, "auth"), or None for the form of RFC 2069
    cnonce       used by -sess when there is no qop
    Source       RFC 7616 section 3.4.1; RFC 2069 section 2.1.2
    """

    def digest(text: str) -> str:
        if algorithm.startswith("SHA-256"):
            return hashlib.sha256(_bytes(text)).hexdigest()
        return hashlib.md5(_bytes(text), usedforsecurity=False).hexdigest()  # the camera chose it

    username, realm, password = credentials
    first = digest(f"{username}:{realm}:{password}")
    if algorithm.endswith("-SESS"):
        first = digest(f"{first}:{nonce}:{qop[1] if qop else cnonce}")
    second = digest(f"{method}:{uri}")
    if qop is None:
        return digest(f"{first}:{nonce}:{second}")
    return digest(":".join((first, nonce, *qop, second)))


class Authenticator:
    """Answers one camera's challenges with one user's password."""

    __slots__ = (
        "_accepted",
        "_allow_basic",
        "_client_nonce",
        "_cnonce",
        "_count",
        "_nonce",
        "_password",
        "_stale",
        "_used",
        "_username",
    )

    def __init__(
        self, username: str | None, password: str | None, *, allow_basic: bool, cnonce: Callable[[], str]
    ) -> None:
        self._username = username
        self._password = password or ""
        self._allow_basic = allow_basic
        self._cnonce = cnonce
        self._used: Challenge | None = None
        self._nonce = ""
        self._client_nonce = ""  # one for each nonce: with -sess it is part of a key that lasts
        self._count = 0
        self._stale = 0
        self._accepted = False

    @property
    def realm(self) -> str:
        """Return what the camera calls itself when it asks for a password; empty while it has not."""
        return self._used.params.get("realm", "") if self._used else ""

    def challenged(self, values: Sequence[str], *, answered: bool) -> None:
        """Take the challenges of a 401; after this, `authorization` answers them.

        values    WWW-Authenticate headers
        answered  whether the refused request carried an answer of ours
        Raises    RtspError "auth_missing" (no user configured), "auth_failed" (context reason
                  "wrong_password" or "always_stale"), "auth_unsupported" (context offered: what the camera
                  asks for; reason "basic_refused", "downgraded": Digest was asked for before in this session)

        An answer that is refused means a wrong password, except with stale=true, and except once after an
        accepted one: some cameras let a nonce lapse without saying stale (seen with keepalives).
        """
        offered = parse_challenges(values)
        if self._username is None:
            raise RtspError(
                "auth_missing", "the camera asks for a user and none is configured", offered=_summary(offered)
            )
        chosen = self._choose(offered)
        if chosen.scheme == "basic" and self._used is not None and self._used.scheme == "digest":
            raise RtspError(
                "auth_unsupported",
                "the camera asked for Digest, and now wants the password in clear (Basic)",
                offered=_summary(offered),
                reason="downgraded",
            )
        if answered:
            if chosen.params.get("stale", "").lower() == "true":
                self._stale += 1
                if self._stale > _MAX_STALE:
                    raise RtspError(
                        "auth_failed", "the camera calls every nonce stale", reason="always_stale"
                    )
            elif self._accepted:
                self._accepted = False
            else:
                raise RtspError(
                    "auth_failed",
                    "the camera refuses user and password",
                    reason="wrong_password",
                    scheme=_summary([chosen]),
                )
        self._used = chosen
        self._take_nonce(chosen.params.get("nonce", ""))

    def _take_nonce(self, nonce: str) -> None:
        self._nonce = nonce
        self._client_nonce = self._cnonce()
        self._count = 0

    def _choose(self, offered: list[Challenge]) -> Challenge:
        best: Challenge | None = None
        best_rank = -1
        for challenge in offered:
            rank = self._rank(challenge)
            if rank > best_rank:
                best, best_rank = challenge, rank
        if best is not None:
            return best
        if not offered:
            raise RtspError(
                "auth_unsupported", "the camera refuses without saying which log-in it wants", offered=""
            )
        if any(challenge.scheme == "basic" for challenge in offered):
            raise RtspError(
                "auth_unsupported",
                "the camera wants the password in clear (Basic), which the configuration forbids",
                offered=_summary(offered),
                reason="basic_refused",
            )
        raise RtspError(
            "auth_unsupported",
            "the camera offers only log-ins that are not supported",
            offered=_summary(offered),
        )

    def _rank(self, challenge: Challenge) -> int:
        if challenge.scheme == "basic":
            return 0 if self._allow_basic else -1
        qop = challenge.qop()
        if challenge.scheme != "digest" or "nonce" not in challenge.params or (qop and "auth" not in qop):
            return -1
        return _DIGESTS.get(challenge.algorithm(), -1)

    def authorization(self, method: str, uri: str) -> str | None:
        """Write the Authorization header for a request, None while no challenge has come."""
        challenge, username = self._used, self._username
        if challenge is None or username is None:
            return None
        if challenge.scheme == "basic":
            return f"Basic {basic_token(username, self._password)}"
        realm = challenge.params.get("realm", "")
        algorithm = challenge.algorithm()
        self._count += 1
        cnonce = self._client_nonce if challenge.qop() or algorithm.endswith("-SESS") else ""
        qop = (f"{self._count:08x}", cnonce, "auth") if challenge.qop() else None
        response = digest_response(
            algorithm, (username, realm, self._password), method, uri, self._nonce, qop=qop, cnonce=cnonce
        )
        parts = [
            f"username={quote(username)}",
            f"realm={quote(realm)}",
            f"nonce={quote(self._nonce)}",
            f"uri={quote(uri)}",
            f'response="{response}"',
        ]
        if "algorithm" in challenge.params:
            parts.append(f"algorithm={challenge.params['algorithm']}")
        if "opaque" in challenge.params:
            parts.append(f"opaque={quote(challenge.params['opaque'])}")
        if qop:
            parts.append(f"qop=auth, nc={qop[0]}")
        if cnonce:
            parts.append(f"cnonce={quote(cnonce)}")
        return "Digest " + ", ".join(parts)

    def accepted(self, info: str | None) -> None:
        """Note that the camera took our answer.

        info  Authentication-Info header; its nextnonce is used from now on (RFC 7616 section 3.5)
        """
        self._accepted = self._used is not None
        self._stale = 0
        for name, word in _items(info or ""):
            if name.lower() == "nextnonce" and word:
                self._take_nonce(word)


def _summary(offered: list[Challenge]) -> str:
    """Name what a camera offers, for a person: "digest SHA-512-256 auth-int, basic"."""
    names = [
        f"{item.scheme} {item.algorithm()} {'/'.join(item.qop())}".strip()
        if item.scheme == "digest"
        else item.scheme
        for item in offered[:4]
    ]
    return shown(", ".join(names))
