"""One RTP stream as its receiver sees it: RFC 3550 checks, order, loss, timestamps, reports.

`push` is the hot path of the whole recorder (6,000 packets a second for 16 cameras): what is plain (no
padding, no extension, the next sequence number) goes through a few comparisons; all else goes through
`_irregular`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from agent.rtsp import rtcp
from agent.rtsp.errors import RtspError

if TYPE_CHECKING:
    from agent.rtsp.depacketizer import Depacketizer
    from agent.rtsp.media import AccessUnit

_FIXED = struct.Struct(">HHII")  # flags, marker and type; sequence number; timestamp; SSRC
_read = _FIXED.unpack_from
_PAIR = struct.Struct(">II")
_HEAD = struct.Struct(">BBHH")
_DOLLAR = 0x24
_RUN_LEAST = 3  # fewer are as quick one by one
_RUN_MOST = 32
_RUN_BYTES = 256  # a frame that is worth it
NEVER = -1  # equal to no 16-bit word: puts every packet on the irregular path
MAX_DROPOUT = 3000  # a larger step ahead is a jump, not loss (RFC 3550, A.1)
MAX_MISORDER = 100  # a smaller step back is a late packet, not a jump (A.1)
JUMP_AFTER = 2  # packets in a row that make a jump of the sequence believed (A.1, MIN_SEQUENTIAL)
SWITCH_AFTER = 4  # packets in a row that make another source believed when ours is silent,
SWITCH_SURELY = 32  # and when it is not: a stale session that sends into ours comes in bursts (quirk 25)
SILENT_S = 1.0
CNAME = "pasu"


@dataclass(frozen=True, slots=True)
class RtpStats:
    """Counts since the stream began.

    packets        packets taken from the source
    lost           packets that never came, as far as the sequence numbers tell
    bad            packets, payloads and NAL units that could not be used
    reordered      packets that came out of order, in time or too late
    duplicates     packets that came twice
    strays         packets of a foreign source or far out of sequence, left out
    switches       changes of source or jumps of the sequence that were followed
    dropped        access units not given out because too much of them was missing
    bad_rtcp       control packets that could not be read
    bye            the sender said that it ends
    sender_report  (NTP time as 64 bits, RTP timestamp unwrapped, monotonic seconds of arrival) of the last SR
    """

    packets: int
    lost: int
    bad: int
    reordered: int
    duplicates: int
    strays: int
    switches: int
    dropped: int
    bad_rtcp: int
    bye: bool
    sender_report: tuple[int, int, float] | None


@lru_cache(maxsize=64)  # 4 KiB each at most
def _run_struct(count: int, constant: int, content: int) -> struct.Struct:
    """Return what takes `count` frames apart: interleaved header and flags, number, constant part, content."""
    return struct.Struct(">" + f"6sH{constant}s{content}s" * count)


class RtpStream:
    """Checks, orders and unwraps RTP packets and feeds their payloads to a depacketizer."""

    __slots__ = (
        "_bad",
        "_bad_rtcp",
        "_base",
        "_bye",
        "_carried",
        "_clock_rate",
        "_cycles",
        "_depacketizer",
        "_duplicates",
        "_expected",
        "_feed",
        "_jitter",
        "_late",
        "_lost",
        "_marked",
        "_missing",
        "_moved_at",
        "_packets",
        "_payload_type",
        "_plain",
        "_received_before",
        "_reorder",
        "_reordered",
        "_report_expected",
        "_report_received",
        "_rtp",
        "_sender_report",
        "_ssrc",
        "_stray_next",
        "_strays",
        "_strays_held",
        "_switches",
        "_timestamp",
        "_transit",
        "_us",
        "_waiting",
        "channel",
    )

    def __init__(
        self, depacketizer: Depacketizer, payload_type: int, clock_rate: int, *, reorder: int = 0, ssrc: int
    ) -> None:
        """Begin with nothing received.

        payload_type  the one of SDP; packets of others are dropped
        clock_rate    RTP timestamp units per second
        reorder       packets to wait for a late one: 0 for TCP, some tens for UDP
        ssrc          our own, for reports: 32 random bits
        """
        self.channel = 0  # interleaved, that `push_run` expects
        self._depacketizer = depacketizer
        self._feed = depacketizer.push
        self._payload_type = payload_type
        self._clock_rate = clock_rate
        self._reorder = reorder
        self._us = ssrc
        self._plain = self._marked = NEVER  # first words of a regular packet, without and with marker
        self._ssrc: int | None = None
        self._expected = 0  # next sequence number; 65536 until a packet shows that it wrapped
        self._cycles = 0
        self._base = 0  # extended sequence number of the first packet
        self._rtp: int | None = None  # timestamp as it came last
        self._timestamp = 0  # and unwrapped
        self._moved_at = 0.0  # when it last changed
        self._transit: float | None = None
        self._jitter = 0.0
        self._carried = 0  # loss the depacketizer was not told of yet
        self._missing: set[int] = set()  # extended sequence numbers lately given up
        self._waiting: dict[int, tuple[bytes, int, bool, float]] = {}  # came too early
        self._strays_held: list[bytes] = []
        self._stray_next = (0, 0)
        self._packets = self._lost = self._bad = self._reordered = self._duplicates = 0
        self._strays = self._switches = self._bad_rtcp = self._late = 0
        self._bye = False
        self._sender_report: tuple[int, int, float] | None = None
        self._received_before = 0  # packets and late ones before _base
        self._report_expected = self._report_received = 0  # as of the report before

    def push(self, data: bytes, start: int, end: int, now: float) -> None:
        """Take one RTP packet, data[start:end]; never raises for bad bytes.

        data  immutable: parts of it are not copied twice
        now   monotonic seconds of its arrival
        """
        if end - start > 12:
            word, sequence, rtp, ssrc = _read(data, start)
            if (
                sequence == self._expected
                and ssrc == self._ssrc
                and (word == self._plain or word == self._marked)  # noqa: PLR1714 - builds no tuple
            ):
                self._expected = sequence + 1
                self._packets += 1
                if rtp != self._rtp:
                    self._advance(rtp, now)
                self._feed(data, start + 12, end, self._timestamp, word == self._marked, 0, now)
                return
        self._irregular(data, start, end, now)

    def push_run(self, data: bytes, at: int, end: int) -> int:
        """Take interleaved frames that only carry on the NAL unit under construction, many at once.

        Nine of ten packets of a camera are fragments from the middle of a NAL unit, alike but for sequence number and
        content, and of one length. Their headers are compared by columns and by tuples, not one by one: 0.4 us a
        packet instead of 1.1 us. Whatever is not plainly like that is left to `push`.
        data  of the connection; a frame begins at `at`, `end` is where the bytes end
        Returns  the place behind the last frame taken
        """
        run_head = self._depacketizer.run_head
        if not run_head or end - at < _RUN_LEAST * _RUN_BYTES or self._plain < 0 or self._rtp is None:
            return at
        constant = _PAIR.pack(self._rtp, self._ssrc) + run_head  # ssrc is known once _plain is
        if not data.startswith(constant, at + 8):
            return at
        length = data[at + 2] << 8 | data[at + 3]
        size = length + 4
        head = 8 + len(constant)
        count = min((end - at) // size, _RUN_MOST)
        stop = at + count * size
        for place in (at + 3, at + 15, at + head - 1):
            column = data[place:stop:size]
            count = min(count, len(column) - len(column.lstrip(column[:1])))
        if count < _RUN_LEAST or length < head:
            return at
        fields = _run_struct(count, head - 8, size - head).unpack_from(data, at)
        first = self._expected
        if (
            fields[::4].count(_HEAD.pack(_DOLLAR, self.channel, length, self._plain)) != count
            or fields[1::4] != tuple(range(first, first + count))
            or fields[2::4].count(constant) != count
            or not self._depacketizer.extend(fields[3::4], count * (size - head))
        ):
            return at
        self._expected = first + count
        self._packets += count
        return at + count * size

    def pull(self) -> AccessUnit | None:
        """Return the next complete access unit, None when there is none yet."""
        return self._depacketizer.pull()

    def flush(self) -> None:
        """Give up waiting for late packets and end the unit under construction (the session ends)."""
        while self._waiting:
            self._skip_gap()
        self._depacketizer.flush()

    # What is not plain.

    def _irregular(self, data: bytes, start: int, end: int, now: float) -> None:
        """Take any packet: check its header (RFC 3550, 5.1), then its place."""
        if end - start < 12:
            self._bad += 1
            return
        last = end
        word, sequence, rtp, ssrc = _read(data, start)
        body = start + 12 + 4 * (word >> 8 & 15)
        if word >> 14 != 2 or word & 0x7F != self._payload_type:
            self._bad += 1
            return
        if word & 0x1000:  # header extension
            body += 4 + (4 * (data[body + 2] << 8 | data[body + 3]) if body + 4 <= end else end)
        if word & 0x2000 and body < end:  # padding
            padding = data[end - 1]
            end = end - padding if padding else -1
        if body > end:
            self._bad += 1
            return
        if self._ssrc is None:
            self._restart(ssrc, sequence)
        expected = self._expected & 0xFFFF
        self._cycles += self._expected - expected
        self._expected = expected
        ahead = sequence - expected & 0xFFFF
        if ssrc != self._ssrc or MAX_DROPOUT <= ahead < 0x10000 - MAX_MISORDER:
            self._stray(data[start:last], ssrc, sequence, now)
            return
        self._strays_held.clear()
        extended = self._cycles + expected + ahead
        if ahead >= MAX_DROPOUT:
            self._too_late(extended - 0x10000)
        elif ahead and self._reorder:
            self._wait(extended, data[body:end], rtp, bool(word & 0x80), now)
        else:
            if self._waiting:
                self._reordered += 1
            self._accept(extended, data, body, end, rtp, bool(word & 0x80), now)
            self._drain()
        self._settle()

    def _settle(self) -> None:
        """Open the fast path if nothing is pending, else close it."""
        regular = not (self._waiting or self._strays_held or self._carried)
        self._plain = 0x8000 | self._payload_type if regular else NEVER
        self._marked = 0x8080 | self._payload_type if regular else NEVER

    def _accept(  # noqa: PLR0917 - called for each packet that is not plain
        self, extended: int, data: bytes, body: int, end: int, rtp: int, marker: bool, now: float
    ) -> None:
        """Take a packet whose turn has come, with the loss before it."""
        awaited = self._cycles + self._expected
        if extended > awaited:
            self._lost += extended - awaited
            self._carried += extended - awaited
            horizon = extended - MAX_MISORDER
            self._missing = {number for number in self._missing if number >= horizon}
            self._missing.update(range(max(awaited, horizon), extended))
        self._cycles = extended & ~0xFFFF
        self._expected = (extended & 0xFFFF) + 1
        self._packets += 1
        if rtp != self._rtp:
            self._advance(rtp, now)
        if body < end:  # packets of padding alone probe the line, they carry nothing
            lost, self._carried = self._carried, 0
            self._feed(data, body, end, self._timestamp, marker, lost, now)

    def _advance(self, rtp: int, now: float) -> None:
        """Unwrap a new timestamp and update the jitter (RFC 3550, 6.4.1 and A.8).

        Jitter is taken once per picture: the packets of one picture share a timestamp, and their spacing is
        the sender's pacing, not the network's doing.
        """
        self._timestamp = self._unwrap(rtp)
        self._rtp = rtp
        self._moved_at = now
        transit = now * self._clock_rate - self._timestamp
        if self._transit is not None:
            self._jitter += (abs(transit - self._transit) - self._jitter) / 16
        self._transit = transit

    def _unwrap(self, rtp: int) -> int:
        """Return the unwrapped timestamp nearest to the last one; the first one is itself."""
        if self._rtp is None:
            return rtp
        step = rtp - self._rtp & 0xFFFFFFFF
        return self._timestamp + (step if step < 1 << 31 else step - (1 << 32))

    def _too_late(self, extended: int) -> None:
        """Count a packet that was given up or taken before."""
        if extended in self._missing:
            self._missing.remove(extended)
            self._lost -= 1
            self._late += 1
            self._reordered += 1
        else:
            self._duplicates += 1

    def _wait(self, extended: int, payload: bytes, rtp: int, marker: bool, now: float) -> None:
        """Keep a packet that came too early, and give up the missing ones when too many wait."""
        if extended in self._waiting:
            self._duplicates += 1
            return
        self._waiting[extended] = (payload, rtp, marker, now)
        if len(self._waiting) > self._reorder:
            self._skip_gap()

    def _skip_gap(self) -> None:
        """Give up what is missing before the first waiting packet."""
        first = min(self._waiting)
        payload, rtp, marker, now = self._waiting.pop(first)
        self._accept(first, payload, 0, len(payload), rtp, marker, now)
        self._drain()

    def _drain(self) -> None:
        """Take the waiting packets whose turn has come."""
        while self._waiting:
            extended = self._cycles + self._expected
            waiting = self._waiting.pop(extended, None)
            if waiting is None:
                return
            payload, rtp, marker, now = waiting
            self._accept(extended, payload, 0, len(payload), rtp, marker, now)

    def _stray(self, packet: bytes, ssrc: int, sequence: int, now: float) -> None:
        """Hold a packet that does not belong here; follow it when enough come in a row."""
        held = self._strays_held
        if (ssrc, sequence) != self._stray_next:
            held.clear()
        held.append(packet)
        self._strays += 1
        self._stray_next = ssrc, sequence + 1 & 0xFFFF
        if ssrc == self._ssrc:
            needed = JUMP_AFTER
        else:
            needed = SWITCH_AFTER if now - self._moved_at >= SILENT_S else SWITCH_SURELY
        if len(held) >= needed:
            self._follow(ssrc, sequence, now)
        self._settle()

    def _follow(self, ssrc: int, sequence: int, now: float) -> None:
        """Go on with the held packets, of which `sequence` is the last."""
        held, self._strays_held = self._strays_held, []
        self._strays -= len(held)
        while self._waiting:
            self._skip_gap()
        if ssrc != self._ssrc:
            self._sender_report = None
            self._bye = False
        self._switches += 1
        self._restart(ssrc, sequence + 1 - len(held) & 0xFFFF)
        self._carried += 1  # how many are missing in between, no one can tell
        for packet in held:
            self._irregular(packet, 0, len(packet), now)

    def _restart(self, ssrc: int, sequence: int) -> None:
        """Count from this sequence number on."""
        self._ssrc = ssrc
        self._expected = self._base = sequence
        self._cycles = 0
        self._missing.clear()
        self._transit = None
        self._received_before = self._packets + self._late + self._duplicates
        self._report_expected = self._report_received = 0

    # RTCP.

    def push_rtcp(self, data: bytes, start: int, end: int, now: float) -> None:
        """Take one compound RTCP packet, data[start:end]; never raises for bad bytes."""
        try:
            report, gone = rtcp.parse_rtcp(data, start, end)
        except RtspError:
            self._bad_rtcp += 1
            return
        if report is not None and self._ssrc in (None, report.ssrc):
            if self._rtp is None:
                self._rtp = self._timestamp = report.rtp
            self._sender_report = report.ntp, self._unwrap(report.rtp), now
        if self._ssrc in gone:
            self._bye = True

    def receiver_report(self, now: float) -> bytes:
        """Build the compound RTCP packet to send: RR and SDES CNAME (RFC 3550, 6.4.2, A.3)."""
        if self._ssrc is None:
            return rtcp.receiver_report(self._us, None, CNAME)
        after = self._cycles + self._expected
        expected = after - self._base
        received = self._packets + self._late + self._duplicates - self._received_before
        wanted = expected - self._report_expected
        missed = wanted - (received - self._report_received)
        self._report_expected, self._report_received = expected, received
        last_report = delay = 0
        if self._sender_report is not None:
            ntp, _, at = self._sender_report
            last_report = ntp >> 16 & 0xFFFFFFFF
            delay = max(0, int((now - at) * 65536))
        block = rtcp.ReportBlock(
            ssrc=self._ssrc,
            fraction_lost=min(255, missed * 256 // wanted) if missed > 0 and wanted > 0 else 0,
            lost=expected - received,
            highest=after - 1,
            jitter=int(self._jitter),
            last_report=last_report,
            delay=delay,
        )
        return rtcp.receiver_report(self._us, block, CNAME)

    @property
    def source(self) -> int | None:
        """SSRC whose packets are taken; None while none has come."""
        return self._ssrc

    @property
    def packets(self) -> int:
        """Packets taken from the source; cheap, for watching whether any come."""
        return self._packets

    @property
    def stats(self) -> RtpStats:
        """Counts since the stream began."""
        return RtpStats(
            packets=self._packets,
            lost=self._lost,
            bad=self._bad + self._depacketizer.bad,
            reordered=self._reordered,
            duplicates=self._duplicates,
            strays=self._strays,
            switches=self._switches,
            dropped=self._depacketizer.dropped,
            bad_rtcp=self._bad_rtcp,
            bye=self._bye,
            sender_report=self._sender_report,
        )
