"""The uplink's side of exports: orders, words, and bytes of a bundle. Of a vault it sees `outgoing/`, and no more."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from agent import consignment
from agent.consignment import EXPORT_NAME, LIMIT_BYTES, Unreadable
from agent.errors import StorageFault
from agent.storage import files
from agent.storage.files import Disk

if TYPE_CHECKING:
    from agent.consignment import Order, Piece, Word

_ENDING = ".json"

log = logging.getLogger("pasu.uplink")


class Consigned:
    """Reads orders, writes words, reads what is to be sent."""

    def __init__(self, state: Path, disk: Disk | None = None) -> None:
        """Look at nothing yet."""
        self._disk = disk or Disk()
        self._orders = state / "exchange" / "outgoing"
        self._words = state / "exchange" / "carried"
        self._parsed: dict[str, tuple[tuple[int, int], Order]] = {}

    def orders(self) -> dict[str, Order]:
        """Return the orders that there are, by export. One that cannot be read is passed over."""
        found: dict[str, Order] = {}
        for path in self._listed(self._orders):
            with contextlib.suppress(OSError, StorageFault, Unreadable):
                status = path.stat()
                mark = status.st_ino, status.st_mtime_ns
                known = self._parsed.get(path.stem)
                if known is None or known[0] != mark:
                    known = mark, consignment.parse_order(self._read(path))
                found[path.stem] = known[1]
                self._parsed[path.stem] = known
        self._parsed = {name: known for name, known in self._parsed.items() if name in found}
        return found

    def words(self) -> dict[str, Word]:
        """Return what was said in an earlier life of this process."""
        found: dict[str, Word] = {}
        for path in self._listed(self._words):
            with contextlib.suppress(StorageFault, Unreadable):
                found[path.stem] = consignment.parse_word(self._read(path))
        return found

    def put(self, word: Word) -> None:
        """Tell keep. No sync: what a power cut takes is asked of the centre again."""
        place = self._words / (word.export + _ENDING)
        try:
            self._disk.atomic_replace(place, consignment.encode_word(word), sync=False)
        except StorageFault as fault:
            log.warning("%s", fault)

    def read(self, order: Order, piece: Piece) -> bytes:
        """Return the bytes of a piece. Those that the disk does not give are zeros: the centre names the file then, and
        its neighbours arrive (B7).
        """
        data = b""
        for root in order.roots:
            path = Path(root) / piece.part.name
            try:
                fd = self._disk.open_reading(path)
            except StorageFault:
                continue
            try:
                data = self._disk.read_at(fd, path, piece.size, piece.offset)
            except StorageFault as fault:
                log.warning("%s", fault)
            finally:
                self._disk.close(fd)
            break
        return data.ljust(piece.size, b"\0")

    def _listed(self, root: Path) -> list[Path]:
        try:
            return [
                path
                for path in sorted(root.iterdir())
                if path.suffix == _ENDING and EXPORT_NAME.match(path.stem) and files.is_regular(path)
            ]
        except OSError:
            return []

    def _read(self, path: Path) -> bytes:
        fd = self._disk.open_reading(path)
        try:
            return self._disk.read_at(fd, path, LIMIT_BYTES, 0)
        finally:
            self._disk.close(fd)
