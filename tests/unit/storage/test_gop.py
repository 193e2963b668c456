from __future__ import annotations

import pytest

from agent.mp4.errors import Mp4Error
from agent.mp4.fragment import Sample, fragment
from agent.storage.gop import keyframe_at_ms


def made(*keyframes: bool, utc_ms: int | None = 1_800_000_000_000) -> bytes:
    return fragment(1, 0, [Sample(b"picture", 3600, 0, keyframe) for keyframe in keyframes], utc_ms)


def test_the_first_keyframe_is_found() -> None:
    assert keyframe_at_ms(made(True, False), 90_000) == 0
    assert keyframe_at_ms(made(False, False, True, True), 90_000) == 80
    assert keyframe_at_ms(made(False, True, utc_ms=None), 90_000) == 40
    assert keyframe_at_ms(made(False, False), 90_000) is None


@pytest.mark.parametrize("data", [b"", b"x" * 100, made(True)[:60], made(True)[:32]])
def test_what_is_no_fragment_is_said_to_be_none(data) -> None:
    with pytest.raises(Mp4Error):
        keyframe_at_ms(data, 90_000)
