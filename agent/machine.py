"""What is sealed to this machine by `systemd-creds`: its TPM opens it where it has one, else a key on its system disk.

Texts go through pipes alone: never through an argument, an environment or a file of their own.
"""

from __future__ import annotations

import base64
import binascii
import os
import shutil
import subprocess
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from agent.errors import ConfigError
from agent.language import say

PROGRAM = "systemd-creds"
NAME = "secrets.toml"
"""What is sealed bears a name, and opens under it alone: that of the credential which recording is handed."""
PCRS = "16"
"""The register of a TPM that nothing measures into: firmware that is brought up to date, or another setting of Secure
Boot, must not cost a site its log-ins. None at all would be the same, but what systemd 252 seals so it cannot open."""
TPM = Path("/dev/tpmrm0")
"""There where the kernel has a TPM, also where nothing is sealed to it."""
LIMIT_S = 60
"""A TPM on a slow bus takes seconds."""
_TOOLS = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
_ITS_OWN = ("SYSTEMD_CREDENTIAL_SECRET", "SYSTEMD_TPM2_DEVICE")
"""By which systemd's programs are told of another key file, or of another TPM."""


class Key(StrEnum):
    """What opens a sealed text."""

    TPM = "tpm"
    HOST = "host"
    """A file of the system disk, /var/lib/systemd/credential.secret."""
    NONE = "none"
    """Nothing is needed: it is not sealed at all."""
    UNKNOWN = "unknown"


_KEYS = {
    "5a1c6a86df9d4096b1d5a65e0862f19a": Key.HOST,
    "0c7cc07b117645919c4b0bea08bc20fe": Key.TPM,
    "faf7eb9341e3412ca1a436f95a29362f": Key.TPM,
    "93a894094874449090caf2fc93cab553": Key.TPM,
    "af4950a849134eb1a73846304ff30c05": Key.TPM,
    "058469daf6f54324800549da0f8ea2fb": Key.NONE,
}
"""The first 16 bytes of what is sealed. Source: systemd's creds-util.h, names CRED_AES256_GCM_BY_…"""


def key_of(sealed: bytes) -> Key:
    """Return what a sealed text needs to be opened, as it says itself."""
    try:
        start = base64.b64decode(b"".join(sealed.split()))[:16]
    except binascii.Error:
        return Key.UNKNOWN
    return _KEYS.get(start.hex(), Key.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine that this runs on.

    key  as in `systemd-creds --with-key=`; auto is the TPM and the system disk's key together, or the latter alone
    """

    key: str = "auto"

    def can_seal(self) -> bool:
        """Tell whether texts can be sealed here, by this user."""
        return os.geteuid() == 0 and shutil.which(PROGRAM, path=_TOOLS["PATH"]) is not None

    def seal(self, text: bytes) -> bytes:
        """Seal a text of at most 1 MiB, and make sure that it opens again. Raises ConfigError MACHINE_SEAL."""
        try:
            sealed = self._run(text, "encrypt", f"--with-key={self.key}", f"--tpm2-pcrs={PCRS}")
            again = self._run(sealed, "decrypt")
        except _Refused as why:
            raise _unsealed(str(why)) from None
        if key_of(sealed) is Key.NONE:
            raise _unsealed("no key")
        if again != text:
            raise _unsealed("it opens as another text")
        return sealed

    def opened(self, sealed: bytes) -> bytes:
        """Open what was sealed to this machine. Raises ConfigError MACHINE_OPEN."""
        try:
            return self._run(sealed, "decrypt")
        except _Refused as why:
            raise ConfigError(
                "MACHINE_OPEN",
                say("이 기계에서 열리지 않습니다", "this machine does not open it"),
                hint=say(
                    "봉인한 기계와 그 TPM에서만 열립니다", "the machine that sealed it opens it, with its TPM"
                ),
                reason=str(why),
            ) from None

    def _run(self, given: bytes, verb: str, *options: str) -> bytes:
        command = [PROGRAM, verb, *options, f"--name={NAME}", "-", "-"]
        try:
            done = subprocess.run(
                command,
                input=given,
                capture_output=True,
                check=False,
                timeout=LIMIT_S,
                env={**_TOOLS, **{name: os.environ[name] for name in _ITS_OWN if name in os.environ}},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _Refused(error.strerror if isinstance(error, OSError) else f"{LIMIT_S} s") from None
        if done.returncode:
            raise _Refused(done.stderr.decode(errors="replace").strip()[-300:])
        return done.stdout


class _Refused(Exception):
    """What the program said."""


def _unsealed(why: str) -> ConfigError:
    return ConfigError(
        "MACHINE_SEAL",
        say("이 기계에 봉인할 수 없습니다", "nothing can be sealed to this machine"),
        hint=say(
            "까닭을 보십시오. 비밀번호는 secrets.toml(0600)에 둘 수 있습니다",
            "look at the reason; passwords may stay in secrets.toml (0600)",
        ),
        reason=why,
    )
