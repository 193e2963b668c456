"""Terms of a tunnel that are right, to be spoilt by the tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from agent.centre import authority
from agent.tunnel.terms import Terms, signed

KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
PEER = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw="
CA_KEY = authority.new_key()
CA = authority.pem(authority.make_authority(CA_KEY, "gangneung", datetime.now(UTC))).decode()


def terms(**more) -> Terms:
    return replace(
        Terms("gn-0007", KEY, ("10.77.1.7/32",), PEER, "203.0.113.5:51820", ("10.77.0.1/32",), 1200, 25, 1_800_000_000_000),
        **more,
    )  # fmt: skip


def signed_terms(**more) -> Terms:
    return signed(terms(**more), CA_KEY)
