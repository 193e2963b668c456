"""The key with which the centre's programs sign, as the newest ring has it: looked up again while they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.centre import rings
from agent.centre.city import RING
from agent.command import strict
from agent.command.keyring import Role
from agent.errors import ConfigError
from agent.model import UTC_DAY_MS

if TYPE_CHECKING:
    from pathlib import Path

    from agent.centre.city import City, Unlock
    from agent.centre.rings import Signer
    from agent.command.keyring import Ring

EARLY_DAYS = 14
"""So long before the key ends somebody is told: for a new one the root key comes out of its safe."""

_MAY_COME = frozenset({"SIGNER_UNKNOWN", "CITY_KEY_MISSING"})


class Service:
    """Who signs now."""

    def __init__(self, city: City, unlock: Unlock, now_ms: int) -> None:
        """Look the key up.

        unlock  asked for a passphrase where there is one; what it says is kept, and serves for a key that follows
        Raises  ConfigError CITY_PASSPHRASE, CITY_DAMAGED; where there is no key that counts, `look` says so, and looks
                for one
        """
        self._city = city
        self._unlock = unlock
        self._passphrase: bytes | None = None
        self._began = False
        self._mark: tuple[int, ...] = ()
        self._ring: Ring | None = None
        self._code = ""
        self.signer: Signer | None = None
        try:
            self._find(now_ms)
        except ConfigError as error:
            if error.code not in _MAY_COME:
                raise
            self._code = error.code
        self._began = True

    def look(self, now_ms: int) -> dict[str, Any] | None:
        """Look again where the ring changed or the key ended; return what is wrong: None, a code, or when it ends."""
        if self._looked_at() != self._mark or self.signer is None or not self.signer.key.is_valid(now_ms):
            try:
                self._find(now_ms)
                self._code = ""
            except ConfigError as error:
                self._code = error.code
        if self._code:
            return {"code": self._code}
        days = (self._until_ms() - now_ms) // UTC_DAY_MS
        return {"days": days} if days < EARLY_DAYS else None

    def _find(self, now_ms: int) -> None:
        self._mark = self._looked_at()
        if self.signer is not None and not self.signer.key.is_valid(now_ms):
            self.signer = None
        ring = self._ring = rings.newest(self._city)  # where it cannot be read, the key that was read goes on
        before, self.signer = self.signer, None
        key = rings.find(ring, rings.SERVICE, Role.SERVICE, now_ms)
        if before is not None and before.key.kid == key.kid:
            self.signer = rings.Signer(key, before.private)
        else:
            self.signer = rings.signer(self._city, key, self._ask)

    def _until_ms(self) -> int:
        """Return when the last of the keys ends that the ring has for this."""
        assert self._ring is not None
        name = strict.folded(rings.SERVICE)
        return max(
            (
                key.until_ms
                for key in self._ring.keys
                if key.person == name and key.role == Role.SERVICE and key.kid not in self._ring.revoked
            ),
            default=0,
        )

    def _looked_at(self) -> tuple[int, ...]:
        try:
            status = self._city.at(RING).stat()
        except OSError:
            return ()
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _ask(self, path: Path) -> bytes:
        """Return the passphrase; nobody is asked for one while boxes are watched."""
        if self._passphrase is None:
            self._passphrase = b"" if self._began else self._unlock(path)
        return self._passphrase
