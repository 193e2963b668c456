import struct
from itertools import pairwise

import pytest

from agent.demo.quirks import parse
from agent.demo.sender import NTP_EPOCH_S, VideoSender
from agent.demo.sound import AudioSender
from agent.demo.stamp import AUDIO_MARKER
from agent.demo.units import join_sample

IDR = join_sample([b"\x67abc", b"\x68d", b"\x65" + b"x" * 3000])
SLICE = join_sample([b"\x41" + b"y" * 200])
BASE = 1000


def sender(quirks="", codec="h264"):
    return VideoSender(codec, parse(quirks), ssrc=0xABCD, sequence=65530, base=BASE, payload_type=96)


def head(packet):
    first, second, sequence, timestamp, ssrc = struct.unpack_from(">BBHII", packet)
    assert first == 0x80
    return bool(second & 0x80), second & 0x7F, sequence, timestamp, ssrc


def stamps(quirks, count=30, fps=10):
    made = sender(quirks)
    return [head(made.packets(SLICE, n / fps, n / fps)[0])[3] for n in range(count)]


def right(count=30, fps=10):
    return [BASE + n * 90_000 // fps for n in range(count)]


def test_plain_packets_number_on_and_end_with_the_marker():
    made = sender()
    packets = made.packets(IDR, 0.0, 0.0) + made.packets(SLICE, 0.1, 0.1)
    heads = [head(packet) for packet in packets]
    assert [h[2] for h in heads] == [(65530 + n) % 65536 for n in range(len(packets))]
    assert [h[0] for h in heads] == [False] * (len(packets) - 2) + [True, True]
    assert {h[1:2] + h[4:] for h in heads} == {(96, 0xABCD)}
    assert made.packets_sent == len(packets)
    assert made.octets_sent == sum(len(packet) - 12 for packet in packets)
    assert stamps("") == right()


def test_timestamp_quirks():
    count = 30
    assert stamps("clock_x10") == [BASE + n * 90_000 for n in range(count)]
    assert stamps("clock_drift=100000") == [BASE + round(n * 9900) for n in range(count)]
    first = stamps("bad_first_timestamp=100")
    assert first[0] == BASE + 9_000_000
    assert first[1:] == right()[1:]
    jumped = stamps("timestamp_jump=50@1")
    assert jumped[:10] == right()[:10]
    assert [b - a for a, b in zip(right(), jumped, strict=True)][10:] == [50 * 90_000] * 20
    back = stamps("timestamp_jump=-3600@1")
    assert back[10] == (BASE + 90_000 - 3600 * 90_000) % 2**32
    equal = stamps("equal_timestamps=7")
    assert [n for n in range(1, count) if equal[n] == equal[n - 1]] == [7, 14, 21, 28]
    backward = stamps("backward_timestamp=11")
    assert [n for n in range(1, count) if backward[n] < backward[n - 1]] == [11, 22]
    huge = stamps("last_delta_huge=1000@2")
    assert huge[:20] == right()[:20]
    assert all(b - a == 9000 + 90_000_000 for a, b in pairwise(huge[19:]))


def test_marker_quirks():
    assert not any(head(packet)[0] for packet in sender("no_marker").packets(IDR, 0, 0))
    heads = [head(packet)[0] for packet in sender("marker_on_sps").packets(IDR, 0, 0)]
    assert heads[0]
    assert heads[-1]
    assert not any(heads[1:-1])
    hevc = join_sample([b"\x40\x01v", b"\x42\x01s", b"\x44\x01p", b"\x26\x01" + b"x" * 3000])
    assert head(sender("marker_on_sps", "h265").packets(hevc, 0, 0)[0])[0]
    assert not head(sender("", "h265").packets(hevc, 0, 0)[0])[0]


def test_start_codes_put_all_before_the_slice_into_one_unit():
    packets = sender("start_codes_in_payload").packets(IDR, 0, 0)
    assert packets[0][12:] == b"\x67abc\0\0\0\1\x68d"
    assert sender("start_codes_in_payload").packets(SLICE, 0, 0)[0][12:] == SLICE[4:]


def test_oversized_packets():
    assert len(sender("oversized_packets=60000").packets(IDR, 0, 0)[-1]) > 3000
    assert max(map(len, sender("oversized_packets=10").packets(IDR, 0, 0))) <= 200
    big = join_sample([b"\x65" + b"z" * 200_000])
    assert max(map(len, sender("oversized_packets=999999").packets(big, 0, 0))) < 65_536


def run(quirks, udp, count=2000):
    made = sender(quirks)
    return [head(p)[2] for n in range(count) for p in made.packets(SLICE, n / 10, n / 10, udp=udp)]


def test_loss_order_and_copies_on_the_way():
    plain = [(65530 + n) % 65536 for n in range(2000)]
    lost = run("udp_loss=20", udp=False)
    assert len(plain) * 0.9 < len(lost) < len(plain)
    assert lost == sorted(lost, key=plain.index)
    copied = run("udp_duplicates=20", udp=True)
    assert sorted(set(copied), key=plain.index) == plain
    assert 2000 < len(copied) < 2200
    mixed = run("udp_reorder=20", udp=True)
    assert mixed != plain
    assert sorted(mixed, key=plain.index) == plain[: len(mixed)] or len(plain) - len(mixed) <= 2
    assert max(abs(plain.index(s) - n) for n, s in enumerate(mixed)) <= 2
    assert run("udp_reorder=20, udp_duplicates=20", udp=False) == plain


def test_stale_packets_have_their_own_source():
    made = sender("stale_session_packets")
    heads = [head(p) for n in range(20) for p in made.packets(SLICE, n / 10, n / 10)]
    assert sum(h[4] != 0xABCD for h in heads) == 4
    assert [h[2] for h in heads if h[4] == 0xABCD] == [(65530 + n) % 65536 for n in range(20)]


def test_sender_report_pairs_the_clocks():
    made = sender("clock_step=60@5")
    made.packets(IDR, 2.0, 0.0)
    for elapsed, step in ((0.0, 0), (5.0, 60)):
        sr = made.sender_report(1_700_000_000.25, 2.0, elapsed)
        kind, length, ssrc, seconds, fraction, rtp, packets, octets = struct.unpack_from(">xBHIIIIII", sr)
        assert (kind, length, ssrc) == (200, 6, 0xABCD)
        assert seconds == 1_700_000_000 + NTP_EPOCH_S + step
        assert fraction == 2**30
        assert rtp == BASE + 180_000
        assert (packets, octets) == (made.packets_sent, made.octets_sent)
        assert sr[28:30] == b"\x81\xca"
        assert len(sr) == 28 + 4 * (int.from_bytes(sr[30:32], "big") + 1)
    assert made.bye()[8:] == b"\x81\xcb\0\1\0\0\xab\xcd"


@pytest.mark.parametrize(("encoding", "per_second", "ticks"), [("pcmu", 50, 160), ("aac", 15, 1024)])
def test_audio_comes_in_time_and_is_marked(encoding, per_second, ticks):
    made = AudioSender(encoding, ssrc=5, payload_type=97)
    packets = made.packets(1.0)
    assert len(packets) == per_second
    assert made.packets(1.0) == []
    assert len(made.packets(100.0)) == per_second  # a late call does not flood
    assert all(AUDIO_MARKER in packet for packet in packets)
    heads = [head(packet) for packet in packets]
    assert [h[2] for h in heads] == list(range(per_second))
    assert [h[3] for h in heads] == [n * ticks for n in range(per_second)]
    assert heads[0][0]
    assert heads[1][0] == (encoding == "aac")
