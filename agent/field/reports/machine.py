"""What the machine is that a report is made on. Edge."""

from __future__ import annotations

import platform


def told() -> dict[str, str]:
    """Say what the box is: model where the firmware tells one, system, processor."""
    model = ""
    for file in (
        "/sys/firmware/devicetree/base/model",
        "/sys/class/dmi/id/product_name",
    ):
        try:
            with open(file, "rb") as told:  # noqa: PTH123 - a file of the kernel
                model = told.read(200).decode("utf-8", "replace").strip("\0 \n")
        except OSError:
            continue
        break
    try:
        system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        system = platform.system()
    return {"model": model, "system": f"{system}, {platform.release()}", "machine": platform.machine()}
