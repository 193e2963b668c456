"""Compare sealing speed: Pasu's Sealer, fed as the recorder feeds it, against the pyrage binding.

Run: python benchmarks/seal.py [MiB]
"""

from __future__ import annotations

import io
import os
import sys
import time

import pyrage

from agent.storage.envelope import Opened, Sealer, X25519Identity

PIECE_BYTES = 16_384  # a fragment of a 4 Mbit/s camera at 30 ms polling is of this order


def main() -> None:
    total = int(sys.argv[1]) << 20 if len(sys.argv) > 1 else 256 << 20
    identity = X25519Identity.generate()
    piece = os.urandom(PIECE_BYTES)
    count = total // PIECE_BYTES

    begin = time.process_time()
    sealer = Sealer([identity.recipient()])
    written = len(sealer.header)
    for _ in range(count):
        written += len(sealer.seal(piece))
    written += len(sealer.finish())
    ours = time.process_time() - begin

    big = os.urandom(1 << 20)
    begin = time.process_time()
    sealer = Sealer([identity.recipient()])
    parts = [sealer.header] + [sealer.seal(big) for _ in range(total >> 20)] + [sealer.finish()]
    large = time.process_time() - begin

    file = io.BytesIO(b"".join(parts))
    begin = time.process_time()
    reader = Opened(file, [identity])
    while reader.read(1 << 20):
        pass
    reading = time.process_time() - begin

    data = piece * count
    public = pyrage.x25519.Recipient.from_str(str(identity.recipient()))
    begin = time.process_time()
    pyrage.encrypt(data, [public])
    theirs = time.process_time() - begin

    begin = time.process_time()
    for _ in range(1000):
        Sealer([identity.recipient()])
    header = (time.process_time() - begin) / 1000

    megabytes = total / 1e6
    print(f"Sealer, pieces of 16 KiB  {megabytes / ours:8.0f} MB/s of processor time")
    print(f"Sealer, pieces of 1 MiB   {megabytes / large:8.0f} MB/s")
    print(f"Opened.read               {megabytes / reading:8.0f} MB/s")
    print(f"pyrage.encrypt            {megabytes / theirs:8.0f} MB/s")
    print(f"a new Sealer (1 recipient){header * 1e6:8.0f} us")


if __name__ == "__main__":
    main()
