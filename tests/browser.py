"""Headless Chromium, told what to do over a pipe (DevTools protocol): no driver and no library between."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import subprocess
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

PHONE, DESKTOP = (360, 780), (1280, 900)


class Browser:
    """One tab."""

    def __init__(self, profile: Path) -> None:
        from tests.peer import need

        to_it, self._write = os.pipe()
        self._read, from_it = os.pipe()
        command = [
            need("chromium"), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
            "--ignore-certificate-errors", "--disable-background-networking", "--disable-component-update",
            "--hide-scrollbars", f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank",
        ]  # fmt: skip

        def arrange() -> None:
            os.dup2(to_it, 30)
            os.dup2(from_it, 31)
            os.dup2(30, 3)
            os.dup2(31, 4)

        self._process = subprocess.Popen(
            command, preexec_fn=arrange, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_it)
        os.close(from_it)
        self._number = 0
        self._rest = b""
        self.events: list[dict[str, Any]] = []
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method, and wait for its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + 90
        while b"\0" not in self._rest:
            assert select.select([self._read], [], [], max(0, until - time.monotonic()))[0], "no answer"
            part = os.read(self._read, 1 << 20)
            assert part, "the browser ended"
            self._rest += part
        one, self._rest = self._rest.split(b"\0", 1)
        return json.loads(one)

    def screen(self, size: tuple[int, int], *, accepts: str, dark: bool = False) -> None:
        """Be a device: so many pixels of CSS, a language, dark or light."""
        phone = size == PHONE
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=size[0],
            height=size[1],
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        value = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": value}])
        agent = self.call("Browser.getVersion")["userAgent"]
        self.call("Network.setUserAgentOverride", userAgent=agent, acceptLanguage=accepts)

    def go(self, url: str) -> None:
        """Open an address, and wait until it is there."""
        self.events.clear()
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState == 'complete' && location.href != 'about:blank'")

    def run(self, script: str) -> Any:
        """Return what a script comes to, with the rights of the person at the screen."""
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def wait_for(self, script: str, seconds: float = 60) -> None:
        """Wait until a script comes to something true."""
        until = time.monotonic() + seconds
        while True:
            with contextlib.suppress(AssertionError):  # the page is just being exchanged
                if self.run(script):
                    return
            assert time.monotonic() < until, (script, self.run("document.documentElement.outerHTML"))
            time.sleep(0.05)

    @property
    def text(self) -> str:
        """Return what can be read."""
        return self.run("document.body.innerText")

    def picture(self) -> bytes:
        """Return the whole page, as PNG."""
        got = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, optimizeForSpeed=False,
                        clip=self._whole())  # fmt: skip
        return base64.b64decode(got["data"])

    def _whole(self) -> dict[str, Any]:
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        return {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}

    def complaints(self) -> list[str]:
        """Return what the browser has complained of: a policy that forbids something, say."""
        self.run("1")
        return [
            each["params"]["entry"]["text"]
            for each in self.events
            if each.get("method") == "Log.entryAdded" and each["params"]["entry"]["level"] == "error"
        ]

    def close(self) -> None:
        """End it."""
        self._session = None
        with contextlib.suppress(AssertionError, OSError):
            self.call("Browser.close")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        self._process.kill()
        self._process.wait()
        os.close(self._write)
        os.close(self._read)
