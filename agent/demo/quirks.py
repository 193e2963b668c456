"""What real cameras do wrong, by name, so that a virtual camera can do it on purpose.

Written as text: ``"no_marker, timestamp_jump=3600@5"`` plays two quirks at once, the second with value 3600
and from the fifth second on. Each number is the row of the project's table of camera quirks, where the public
reports stand; a quirk without a row has number 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Kind:
    """One quirk that can be played.

    number   row in the table of camera quirks
    meaning  what the camera does; `value` and `after` in it are the numbers of ``name=value@after``
    value    used when none is given; None when the quirk takes no value
    after    seconds from the beginning of play until it sets in; None when that has no meaning for it
    """

    number: int
    meaning: str
    value: float | None = None
    after: float | None = None


KINDS: dict[str, Kind] = {
    # time stamps
    "bad_first_timestamp": Kind(1, "the first packet's timestamp is `value` seconds off", 40_000.0),
    "bursts": Kind(2, "sends `value` frames at once, then nothing until the next lot", 10),
    "equal_timestamps": Kind(3, "one frame in `value` repeats the timestamp before it", 7),
    "backward_timestamp": Kind(3, "one frame in `value` steps back by two frames", 11),
    "timestamp_jump": Kind(4, "timestamps step by `value` seconds, once, `after` seconds in", 3600.0, 3.0),
    "b_frames": Kind(5, "`value` pictures between references, out of order", 2),
    "clock_x10": Kind(7, "the media clock runs `value` times as fast as the SDP says", 10),
    "last_delta_huge": Kind(
        8, "every timestamp after `after` seconds is `value` seconds later", 30_000.0, 3.0
    ),
    "no_sender_reports": Kind(10, "never sends an RTCP sender report"),
    "clock_drift": Kind(11, "the media clock is off by `value` parts in a million", 300.0),
    "clock_step": Kind(
        11, "the wall clock in sender reports steps by `value` s, `after` seconds in", 60.0, 3.0
    ),
    "burst_on_connect": Kind(12, "begins with the last `value` seconds at once", 3.0),
    # pictures
    "sps_change": Kind(
        15, "size and parameter sets change `after` seconds in, and back as long after", None, 3.0
    ),
    "long_gop": Kind(16, "keyframes `value` seconds apart", 20.0),
    "no_keyframes": Kind(16, "one keyframe when the camera starts, none afterwards"),
    "parameter_sets_in_band_only": Kind(17, "SDP names no parameter sets"),
    "parameter_sets_in_sdp_only": Kind(17, "the stream itself carries no parameter sets"),
    "wrong_profile_in_sdp": Kind(19, "profile-level-id in SDP is not the stream's"),
    "broken_sprop": Kind(46, "the parameter sets in SDP are damaged; those in band are right"),
    "frozen_picture": Kind(42, "the picture stands still from `after` seconds on", None, 3.0),
    "grey_filler": Kind(42, "an even grey in place of the picture from `after` seconds on", None, 3.0),
    # packets
    "marker_on_sps": Kind(20, "marker bit on every packet of parameter sets"),
    "no_marker": Kind(22, "never sets the marker bit"),
    "garbage_between_frames": Kind(
        25, "`value` bytes of rubbish between interleaved frames, twice a second", 60
    ),
    "stale_session_packets": Kind(25, "packets of another session (own SSRC) between ours"),
    "start_codes_in_payload": Kind(0, "each NAL unit is sent with a start code before it"),
    "udp_loss": Kind(27, "one packet in `value` is lost", 50),
    "udp_reorder": Kind(27, "one packet in `value` is overtaken by the next two", 20),
    "udp_duplicates": Kind(27, "one packet in `value` comes twice", 20),
    "oversized_packets": Kind(27, "packets of up to `value` bytes", 60_000),
    # protocol
    "keepalive_options_only": Kind(29, "ends a session after `value` seconds without OPTIONS", 60.0),
    "ignores_get_parameter": Kind(29, "never answers GET_PARAMETER"),
    "refuses_get_parameter": Kind(29, "answers GET_PARAMETER with 405, and does not offer it"),
    "session_timeout": Kind(29, "says timeout=`value`, and ends sessions that are silent for as long", 60.0),
    "basic": Kind(31, "asks for Basic"),
    "digest_md5": Kind(31, "asks for Digest with MD5 and qop (a camera with a password does this anyway)"),
    "digest_sha256": Kind(31, "asks for Digest with SHA-256 only"),
    "digest_no_qop": Kind(31, "asks for Digest without qop, as RFC 2069 had it"),
    "digest_both": Kind(31, "offers SHA-256, MD5 and Basic side by side"),
    "stale_nonce": Kind(31, "a nonce is good for `value` requests", 2),
    "needs_user_agent": Kind(32, "401 unless a User-Agent is sent"),
    "redirect_same_host": Kind(35, "answers DESCRIBE with a redirect to /moved behind its own path"),
    "redirect_other_host": Kind(35, "answers DESCRIBE with a redirect to another host"),
    "setup_then_silence": Kind(37, "accepts SETUP and PLAY, never sends"),
    "one_session_only": Kind(38, "refuses a second session with 453"),
    "audio_pushed": Kind(39, "sends audio on interleaved channel `value`, which nobody negotiated", 6),
    "foreign_channels": Kind(0, "answers SETUP with other interleaved channels than were asked for"),
    "absolute_control": Kind(0, "track controls in SDP are absolute URLs"),
    "stall": Kind(45, "sends nothing for `value` seconds, `after` seconds in; no close", 15.0, 3.0),
    "reboot": Kind(
        14, "`after` s in, closes everything in the middle of a GOP; refuses for `value` s", 5.0, 3.0
    ),
}


@dataclass(frozen=True, slots=True)
class Quirks:
    """The quirks of one camera: name -> (value, after)."""

    played: dict[str, tuple[float, float]] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        if name not in KINDS:
            raise KeyError(name)
        return name in self.played

    def value(self, name: str) -> float:
        """Return the value of a quirk that is played, 0.0 otherwise."""
        return self.played[name][0] if name in self else 0.0

    def after(self, name: str) -> float:
        """Return the seconds after which a quirk sets in; infinity when it is not played."""
        return self.played[name][1] if name in self else float("inf")

    def __str__(self) -> str:
        parts = []
        for name, (value, after) in self.played.items():
            kind = KINDS[name]
            text = name
            if kind.value is not None:
                text += f"={value:g}"
            if kind.after is not None:
                text += f"@{after:g}"
            parts.append(text)
        return ", ".join(parts)


def parse(text: str) -> Quirks:
    """Read a list of quirks: names divided by commas, each with an optional ``=value`` and ``@after``.

    Raises ValueError for unknown names, and for numbers where the quirk takes none or that are no number.
    """
    played: dict[str, tuple[float, float]] = {}
    for part in text.split(","):
        item = part.strip()
        if not item:
            continue
        head, at, after_text = item.partition("@")
        name, equals, value_text = head.partition("=")
        kind = KINDS.get(name.strip())
        if kind is None:
            raise ValueError(f"no such quirk: {name.strip()!r}; there are {', '.join(sorted(KINDS))}")
        if equals and kind.value is None:
            raise ValueError(f"{name.strip()} takes no value: {item!r}")
        if at and kind.after is None:
            raise ValueError(f"{name.strip()} takes no time: {item!r}")
        value = _number(value_text, item) if equals else kind.value or 0.0
        after = _number(after_text, item) if at else kind.after or 0.0
        played[name.strip()] = (value, after)
    return Quirks(played)


def _number(text: str, item: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"not a number in {item!r}") from None
    if not abs(number) < 1e9:
        raise ValueError(f"out of bounds in {item!r}")
    return number


def describe() -> str:
    """List every quirk for a person: row, name with its numbers, meaning."""
    lines = []
    for name, kind in sorted(KINDS.items(), key=lambda item: (item[1].number, item[0])):
        text = name
        if kind.value is not None:
            text += f"={kind.value:g}"
        if kind.after is not None:
            text += f"@{kind.after:g}"
        lines.append(f"{kind.number or '-':>3}  {text:<32} {kind.meaning}")
    return "\n".join(lines)
