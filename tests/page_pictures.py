"""Take the pictures of the page that the documents show: `python -m tests.page_pictures [DIR]`, docs/images without one."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from agent.health import Raised
from agent.storage import passbook
from agent.storage.files import Disk
from tests.browser import DESKTOP, PHONE, Browser
from tests.page_lab import ROOT, serving, site


def small(png: bytes) -> bytes:
    """Return a picture of flat colours in a quarter of its bytes: fewer shades."""
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    step = 256 // 32
    flat = np.clip((picture.astype(np.int16) + step // 2) // step * step, 0, 255).astype(np.uint8)
    return cv2.imencode(".png", flat, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()


def main(folder: Path) -> None:
    """Write them."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        box = site(root)
        passbook.make(box.folder, Disk())
        now_ms = time.time_ns() // 1_000_000
        visits = [
            {"at_ms": now_ms - 600_000, "what": "visited", "name": "김정비", "company": "한빛보안", "why": "", "count": 1,
             "source": "192.168.77.20"},
            {"at_ms": now_ms - 900_000, "what": "refused", "name": "", "company": "", "why": "unknown", "count": 3,
             "source": "192.168.77.31"},
        ]  # fmt: skip
        passbook.write_seen(box.folder, visits, Disk())
        with serving(box, env=os.environ | {"TZ": "Asia/Seoul"}):
            browser = Browser(root / "profile")
            try:
                for name, size in (("phone", PHONE), ("desktop", DESKTOP)):
                    for language in ("ko", "en"):
                        box.is_well(
                            Raised("box.hot", detail="cpu: 90 C"),
                            Raised("hold.review_soon", "h20261121T101500"),
                        )
                        browser.screen(size, accepts=language, dark=(name, language) == ("phone", "en"))
                        browser.call("Network.clearBrowserCookies")
                        _, code = box.issue()
                        browser.go(f"https://127.0.0.1:{box.config.page.port}/enter#{code}")
                        browser.wait_for(f"document.getElementById('code').value == '{code}'")
                        if (name, language) == ("phone", "ko"):
                            (folder / "page-entrance.png").write_bytes(small(browser.picture()))
                        browser.run("document.querySelector('button').click()")
                        browser.wait_for("document.querySelector('.banner') != null")
                        (folder / f"page-{name}-{language}.png").write_bytes(small(browser.picture()))
            finally:
                browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images")
