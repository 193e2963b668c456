"""The code of a request: it fits, and what is photographed can be read."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from agent.enrolment import base45, form, qr
from tests.unit.enrolment.papers import request

TEXT = form.request_json(request())


def test_the_text_of_a_code_is_what_a_qr_code_packs_tightest():
    packed = qr.pack(TEXT)
    assert set(packed) <= set(base45.ALPHABET)
    assert qr.unpack(packed) == TEXT.encode()


def test_the_code_fits_a_terminal_of_80_columns():
    drawn, columns = qr.terminal(TEXT)
    assert columns <= 80
    lines = drawn.strip("\n").split("\n")
    assert len(lines) <= 40


def test_the_longest_request_fits():
    long = request(site="가" * 200, operator="나" * 200)
    assert qr.code(form.request_json(long), "m").version <= 40


@pytest.mark.parametrize("name", ["request.png", "request.svg"])
def test_the_code_is_written_as_a_picture(tmp_path, name):
    qr.save(TEXT, tmp_path / name)
    assert (tmp_path / name).stat().st_size > 1000


def test_a_picture_is_read(tmp_path):
    qr.save(TEXT, tmp_path / "request.png")
    assert qr.read_image(tmp_path / "request.png") == TEXT.encode()


def test_no_code_of_the_folder_that_one_stands_in_is_run(tmp_path, monkeypatch):
    """Pictures come from outside, into folders where other things lie."""
    qr.save(TEXT, tmp_path / "request.png")
    (tmp_path / "cv2.py").write_text(f"open({str(tmp_path / 'was run')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    assert qr.read_image(tmp_path / "request.png") == TEXT.encode()
    assert not (tmp_path / "was run").exists()


def test_a_picture_from_a_telephone_is_read(tmp_path):
    """Tilted, unevenly lit, noisy, on a grey desk, as a JPEG."""
    qr.save(TEXT, tmp_path / "request.png")
    code = cv2.imread(str(tmp_path / "request.png"), cv2.IMREAD_GRAYSCALE)
    side = code.shape[0]
    desk = np.full((side + 400, side + 500), 120, np.uint8)
    desk[200 : 200 + side, 250 : 250 + side] = code
    turned = cv2.warpAffine(
        desk,
        cv2.getRotationMatrix2D((desk.shape[1] / 2, desk.shape[0] / 2), 6, 1.0),
        desk.shape[::-1],
        borderValue=120,
    )
    light = np.linspace(0.7, 1.0, turned.shape[1])[None, :]
    noise = np.random.default_rng(7).normal(0, 6, turned.shape)
    photo = np.clip(cv2.GaussianBlur(turned, (3, 3), 0) * light + noise, 0, 255).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "photo.jpg"), photo, [cv2.IMWRITE_JPEG_QUALITY, 80])
    assert qr.read_image(tmp_path / "photo.jpg") == TEXT.encode()


def test_a_picture_without_a_request_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((200, 200), 128, np.uint8))
    (tmp_path / "text.png").write_text("x")
    import segno

    segno.make_qr("https://example.org").save(str(tmp_path / "other.png"), scale=8)
    for name in ("grey.png", "text.png", "other.png", "missing.png"):
        with pytest.raises(ValueError, match="no enrolment request"):
            qr.read_image(tmp_path / name)


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org",
        "PASU1:",
        "PASU1:!!",
        "PASU1:" + base45.encode(b"nothing"),
        qr.pack("x" * (qr.MOST_BYTES + 1)),
        qr.pack(TEXT)[:-30],
    ],
    ids=range(6),
)
def test_other_codes_are_refused(text):
    with pytest.raises(ValueError):
        qr.unpack(text)
