import av
import cv2
import numpy as np
import pytest

from agent.demo.encoder import (
    Coding,
    Composer,
    LiveEncoder,
    PreparedEncoder,
    encode_jpeg,
)
from agent.demo.pictures import Painter
from agent.demo.stamp import Stamp, read_stamp, stamps_in
from agent.demo.units import PARAMETER_SETS, from_annexb, join_sample, kind, split_sample, split_unit

UTC_MS = 1_795_255_123_000
SIZE = (320, 240)
FPS = 10


def encode(codec, frames, *, b_frames=0, bitrate=0, gop=8, prepared=False):
    painter = Painter(5, "cam05", *SIZE)
    coding = Coding(codec, *SIZE, FPS, gop, b_frames)
    encoder = (PreparedEncoder if prepared else LiveEncoder)(painter, coding)
    composer = Composer(codec, 5, fps=FPS, bitrate=bitrate)
    pictures = []
    for frame in range(frames):
        pictures += encoder.encode(frame, UTC_MS + frame * 100, frame / FPS)
    pictures += encoder.flush()
    samples = [composer.compose(p, encoder.parameter_sets if p.keyframe else ()) for p in pictures]
    return encoder, pictures, samples


def decode(codec, samples):
    if codec == "mjpeg":
        return [cv2.imdecode(np.frombuffer(sample, np.uint8), cv2.IMREAD_COLOR) for sample in samples]
    context = av.CodecContext.create({"h265": "hevc"}.get(codec, codec), "r")
    context.thread_count = 1
    images = []
    for sample in samples:
        data = sample if codec == "mpeg4" else annexb(sample)
        # libav reads past the end of a packet, and wants zeros there; PyAV does not add them to borrowed bytes.
        packet = av.Packet(memoryview(data + bytes(64))[: len(data)])
        images += [frame.to_ndarray(format="bgr24") for frame in context.decode(packet)]
    return images + [frame.to_ndarray(format="bgr24") for frame in context.decode(None)]


def annexb(sample):
    return b"".join(b"\0\0\0\1" + unit for unit in split_sample(sample))


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("codec", ["h264", "h265", "mpeg4"])
def test_every_frame_comes_once_with_both_stamps(codec, b_frames):
    encoder, pictures, samples = encode(codec, 20, b_frames=b_frames)
    expected = {frame: Stamp(5, frame, UTC_MS + frame * 100) for frame in range(20)}
    assert {p.frame: stamps_in(codec, s) for p, s in zip(pictures, samples, strict=True)} == expected
    numbers = [p.frame for p in pictures]
    assert (numbers != sorted(numbers)) == bool(b_frames)
    assert pictures[0].keyframe
    assert [read_stamp(image) for image in decode(codec, samples)] == list(expected.values())
    assert encoder.parameter_sets


def test_jpeg_pictures_carry_the_bar_code():
    encoder, pictures, samples = encode("mjpeg", 5, bitrate=2_000_000)
    assert all(picture.keyframe for picture in pictures)
    assert [read_stamp(image).frame for image in decode("mjpeg", samples)] == [0, 1, 2, 3, 4]
    assert encoder.parameter_sets == ()


@pytest.mark.parametrize("codec", ["h264", "h265", "mpeg4", "mjpeg"])
def test_filler_reaches_the_bitrate_and_decodes(codec):
    bitrate = 4_000_000
    _, _, samples = encode(codec, 30, bitrate=bitrate)
    total = sum(map(len, samples))
    assert total == pytest.approx(bitrate / 8 * 3, rel=0.01)
    assert [read_stamp(image).frame for image in decode(codec, samples)] == list(range(30))


def test_a_bitrate_below_the_picture_adds_nothing():
    assert encode("h264", 8, bitrate=1000)[2] == encode("h264", 8)[2]


@pytest.mark.parametrize("codec", ["h264", "h265", "mpeg4", "mjpeg"])
def test_prepared_repeats_its_pictures_under_new_stamps(codec):
    _, pictures, samples = encode(codec, 20, gop=5, prepared=True)
    assert [p.frame for p in pictures] == list(range(20))
    images = decode(codec, samples)
    assert len(images) == 20
    assert np.array_equal(images[0], images[5])
    assert not np.array_equal(images[0], images[1])
    if codec != "mjpeg":
        assert [p.keyframe for p in pictures] == [frame % 5 == 0 for frame in range(20)]
        assert [stamps_in(codec, s).frame for s in samples] == list(range(20))


@pytest.mark.parametrize("prepared", [False, True])
def test_no_gop_means_one_keyframe(prepared):
    _, pictures, _ = encode("h264", 45, gop=0, prepared=prepared)
    assert [p.frame for p in pictures if p.keyframe] == [0]


def test_prepared_refuses_b_frames():
    with pytest.raises(ValueError, match="B-frames"):
        encode("h264", 1, b_frames=2, prepared=True)


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_parameter_sets_are_apart_from_the_pictures(codec):
    encoder, pictures, samples = encode(codec, 10)

    assert [kind(codec, unit) for unit in encoder.parameter_sets] == list(PARAMETER_SETS[codec])
    assert not [unit for p in pictures for unit in p.units if kind(codec, unit) in PARAMETER_SETS[codec]]
    assert split_sample(samples[0])[: len(encoder.parameter_sets)] == list(encoder.parameter_sets)


@pytest.mark.parametrize("codec", ["h264", "mjpeg"])
def test_frozen_and_grey_show_while_stamps_go_on(codec):
    encoder = LiveEncoder(Painter(5, "cam05", *SIZE), Coding(codec, *SIZE, FPS, 4))
    composer = Composer(codec, 5, fps=FPS)
    samples = []
    for frame in range(12):
        if frame in (2, 6, 10):
            encoder.show({2: "frozen", 6: "grey", 10: "scene"}[frame])
        for picture in encoder.encode(frame, UTC_MS + frame, frame / FPS):
            samples.append(composer.compose(picture, encoder.parameter_sets))
    shown = [read_stamp(image) for image in decode(codec, samples)]
    assert [stamp and stamp.frame for stamp in shown] == [0, 1, 2, 2, 2, 2, None, None, None, None, 10, 11]
    if codec == "h264":
        assert [stamps_in(codec, sample).frame for sample in samples] == list(range(12))


def test_prepared_frozen_repeats_one_picture():
    encoder = PreparedEncoder(Painter(5, "cam05", *SIZE), Coding("h264", *SIZE, FPS, 4))
    encoder.show("frozen")
    stuck = [encoder.encode(frame, 0, 0.0)[0] for frame in range(3)]
    assert len({picture.units for picture in stuck}) == 1
    encoder.show("scene")
    assert len({encoder.encode(frame, 0, 0.0)[0].units for frame in range(3)}) == 3


def test_mpeg4_headers_alone_are_no_picture():
    assert split_unit("mpeg4", b"\0\0\1\xb0\xf5") == ([b"\0\0\1\xb0\xf5"], [])
    assert split_unit("mpeg4", b"\0\0\1\xb6\x50") == ([], [b"\0\0\1\xb6\x50"])


def test_jpeg_is_baseline_420():
    data = encode_jpeg(np.zeros((64, 64, 3), np.uint8))
    at = data.index(b"\xff\xc0")
    assert data[at + 9 : at + 19] == bytes([3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1])


@pytest.mark.parametrize("bad", [b"\0\0\0", b"\0\0\0\0", b"\0\0\0\5ab", b"\xff" * 8])
def test_lengths_that_do_not_fit_are_refused(bad):
    with pytest.raises(ValueError, match="does not fit"):
        split_sample(bad)


def test_sample_and_start_codes():
    nals = [b"\x67ab", b"\x68c", b"\x65" + b"x" * 300]
    assert split_sample(join_sample(nals)) == nals
    assert from_annexb(b"\0\0\1".join([b"\0", *nals])) == join_sample(nals)
    assert from_annexb(b"\0\0\0\1".join([b"", *nals])) == join_sample(nals)
