"""ipycam, a virtual ONVIF camera that nobody here wrote, as a program: run it whole and print where it is.

Arguments: ONVIF port, user, password (empty for none). It ends when standard input does.
"""

from __future__ import annotations

import json
import os
import sys
import threading

import numpy as np
from ipycam import CameraConfig, IPCamera


def main() -> None:
    port, username, password = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    config = CameraConfig()
    config.local_ip = "127.0.0.1"
    config.onvif_port = port
    config.main_width, config.main_height, config.main_fps = 640, 360, 15
    config.sub_width, config.sub_height, config.sub_fps = 320, 240, 15
    config.username, config.password = username, password
    camera = IPCamera(config)
    started = camera.start()
    threading.Thread(target=_end_with_input, daemon=True).start()
    print(json.dumps({"started": bool(started), "service": config.onvif_url}), flush=True)
    picture = np.zeros((360, 640, 3), np.uint8)
    while True:
        picture[:] = (picture[0, 0, 0] + 1) % 255
        camera.stream(picture)


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
