"""One box of the demo: its configuration as an installer writes it, its enrolment, and `pasu run`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from agent.config import load
from agent.demo.child import Child
from agent.health import read_health
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from agent.config import Config
    from agent.demo.spec import CameraSpec

SEGMENT_S = 10  # short, so that a short demo has some


class Site:
    """A box with some of the virtual cameras, in a folder of its own."""

    def __init__(self, folder: Path, box: str, specs: Sequence[CameraSpec]) -> None:
        """Make its folder."""
        (folder / "state").mkdir(mode=0o700, parents=True)  # which systemd makes on a real box
        self.box = box
        self.folder = folder
        self.specs = list(specs)
        self._child = Child(
            (sys.executable, "-P", "-m", "agent.cli.main", "run", "--config", str(self._config)),
            folder / "run.log",
        )

    @property
    def _config(self) -> Path:
        return self.folder / "agent.toml"

    @property
    def vault(self) -> Path:
        """Where the segments are."""
        return self.folder / "vault"

    @property
    def state(self) -> Path:
        """Where catalogue and ledger are."""
        return self.folder / "state"

    def configure(self, urls: Mapping[int, str], recipients: Sequence[str], broker: str) -> Config:
        """Write agent.toml and secrets.toml.

        urls    of cameras, by their numbers
        broker  HOST:PORT
        """
        keys = ", ".join(f'"{recipient}"' for recipient in recipients)
        lines = [
            "[box]",
            f'id = "{self.box}"',
            f'site = "{say("경포해변 시연", "Gyeongpo beach")} {self.box[-1]}"',
            f'operator = "{say("시연", "demonstration")}"',
            'contact = "033-000-0000"',
            "[storage]",
            f'vault = "{self.vault}"',
            f'state = "{self.state}"',
            f'run = "{self.folder / "run"}"',
            f"segment_s = {SEGMENT_S}",
            f"recipients = [{keys}]",
            "[uplink]",
            f'broker = "mqtts://{broker}"',
        ]
        secrets = []
        for spec in self.specs:
            lines += [
                "[[camera]]",
                f'id = "{spec.name}"',
                f'name = "{say("가상 카메라", "virtual camera")} {spec.number}"',
                f'url = "{urls[spec.number]}"',
                'purpose = "crime-prevention"',
                f'legal_basis = "{say("시연용", "demonstration")}"',
            ]
            if spec.username:
                secrets += [
                    f"[camera.{spec.name}]",
                    f'username = "{spec.username}"',
                    f'password = "{spec.password}"',
                ]
        self._config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        if secrets:
            hidden = self.folder / "secrets.toml"
            hidden.touch(mode=0o600)
            hidden.write_text("\n".join(secrets) + "\n", encoding="utf-8")
        return load(self._config)

    def start(self) -> None:
        """Start recording, keeping and reporting."""
        self._child.start()

    def cameras(self) -> dict[str, dict[str, Any]]:
        """Return what the recorder says of its cameras now.

        Raises  RuntimeError when the box has ended, with its last words
        """
        if self._child.has_ended:
            raise RuntimeError(f"pasu run ended on {self.box}: {self._child.last_words}")
        found: dict[str, dict[str, Any]] = (read_health(self.folder / "run", "record") or {}).get(
            "cameras", {}
        )
        return found

    @property
    def is_recording(self) -> bool:
        """Whether every camera is recorded now."""
        cameras = self.cameras()
        return len(cameras) == len(self.specs) and all(
            each["state"] == "recording" for each in cameras.values()
        )

    def tell_to_stop(self) -> None:
        """Tell it to end; `stop` waits for that."""
        self._child.tell_to_stop()

    def stop(self) -> None:
        """End it in order."""
        self._child.stop()
