"""How the envelope says that sealed bytes are not what was written."""

from __future__ import annotations

from agent.errors import IntegrityFault

NOT_AGE_FILE = "NOT_AGE_FILE"
HEADER_DAMAGED = "HEADER_DAMAGED"
NO_MATCHING_IDENTITY = "NO_MATCHING_IDENTITY"
CHUNK_DAMAGED = "CHUNK_DAMAGED"
CHUNK_AFTER_END = "CHUNK_AFTER_END"
TRUNCATED = "TRUNCATED"


def header_damaged(reason: str, **context: object) -> IntegrityFault:
    """Make the fault for a header that breaks a rule of the format."""
    return IntegrityFault(
        HEADER_DAMAGED,
        f"the age header is damaged: {reason}",
        hint="keep the file; open another copy of it if there is one",
        **context,
    )


def no_match() -> IntegrityFault:
    """Make the fault for a header in which no identity finds a stanza that it can open."""
    return IntegrityFault(
        NO_MATCHING_IDENTITY,
        "none of the identities opens this file: it was sealed to other keys, or its key stanzas are damaged",
        hint="compare the public keys of the identities with the recipients that the box was set up with",
    )
