"""Configurations, rules and units: what is written, and that nothing of it is a secret or a default route."""

from __future__ import annotations

import configparser
import copy
import json
import subprocess
from pathlib import Path

import pytest

from agent.tunnel import conf, ruleset, units
from agent.tunnel.ruleset import Guard
from tests.peer import need
from tests.unit.tunnel.samples import KEY, PEER, terms
from tests.unit.tunnel.test_terms import V6

SHIPPED = Path(__file__).parents[3] / "systemd" / "pasu-egress.nft"
PRIVATE = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
GUARDS = [
    Guard("pasu0", 4242, ("10.77.1.7",), ("10.77.0.1/32",), "203.0.113.5:51820"),
    Guard("pasu0", 4242, ("10.77.1.7",), ("10.77.0.0/24", "10.78.0.1/32"), "203.0.113.5:51820", "eth1"),
    Guard.of(terms(**V6), "pasu0", 4242, "eth1.5", figures=9464),
]


def sections(text: str) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(strict=True, delimiters=("=",), interpolation=None)
    parser.optionxform = str
    parser.read_string(text)
    return {name: dict(parser[name]) for name in parser.sections()}


def test_a_boxs_configuration():
    """F3, F10: the endpoint is an address, the centre's addresses alone are allowed, and there is no resolver."""
    text = conf.box(terms(), "/var/lib/pasu/state/tunnel/0.key")
    found = sections(text)
    assert found["Interface"] == {
        "Address": "10.77.1.7/32",
        "MTU": "1200",
        "PostUp": "wg set %i private-key /var/lib/pasu/state/tunnel/0.key",
    }
    assert found["Peer"] == {
        "PublicKey": PEER,
        "Endpoint": "203.0.113.5:51820",
        "AllowedIPs": "10.77.0.1/32",
        "PersistentKeepalive": "25",
    }
    assert "DNS" not in text


def test_what_the_interface_is_set_to():
    found = sections(conf.settings(terms(), PRIVATE))
    assert found["Interface"] == {"PrivateKey": PRIVATE}
    assert found["Peer"]["AllowedIPs"] == "10.77.0.1/32"


def test_the_hubs_configuration():
    """F10: each key has its own address, one host's."""
    text = conf.hub(
        [("gn-0007", KEY, ["10.77.1.7/32"]), ("gn-0008", PEER, ["10.77.1.8/32"])],
        addresses=["10.77.0.1/16"],
        port=51820,
        mtu=1200,
        private=PRIVATE,
        rules_file="/etc/wireguard/hub.nft",
    )
    assert text.count("[Peer]") == text.count("/32") == 2
    assert "PreUp = nft -f /etc/wireguard/hub.nft" in text
    spaced = conf.hub(
        [], addresses=["10.77.0.1/16"], port=1, mtu=1200, private=PRIVATE, rules_file="/srv/강릉 관제/x"
    )
    assert "PreUp = nft -f '/srv/강릉 관제/x'" in spaced  # wg-quick has a shell read it


def test_f10_what_the_hub_lets_a_box_reach():
    """F10: whatever a box that was taken over asks for, it is the plan's addresses that it gets to."""
    text = conf.hub_rules("pasuhub", ("10.77.0.1/32", "10.77.0.64/28", "2001:db8:9::1/128"))
    for chain, way in (("forward", 'iifname "pasuhub" oifname != "pasuhub"'), ("input", 'iifname "pasuhub"')):
        rules = text.partition(f"chain {chain} ")[2].partition("}")[0].split("\n")[2:-1]
        assert [rule.strip() for rule in rules] == [
            f"{way} ip daddr 10.77.0.1/32 accept",
            f"{way} ip daddr 10.77.0.64/28 accept",
            f"{way} ip6 daddr 2001:db8:9::1/128 accept",
            'iifname "pasuhub" counter drop',
        ]
    loads(text)


def loads(text: str) -> None:
    need("nft")
    need("unshare")
    done = subprocess.run(
        ["unshare", "-n", "nft", "-f", "-"], input=text, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def listed(text: str) -> dict:
    """Load rules in a network namespace of their own, and list them."""
    need("nft")
    need("unshare")
    script = f"nft -f - && nft -f - <<'E' && nft -j list table inet {ruleset.TABLE}\n{text}E\n"
    done = subprocess.run(
        ["unshare", "-n", "bash", "-c", script], input=text, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("guard", GUARDS)
def test_the_kernel_lists_the_guard_as_it_was_written(guard):
    """Loaded twice, in one transaction each; what nft then lists is what is looked for."""
    found = listed(ruleset.text(guard))
    assert ruleset.lacks(found, guard) == []
    for other in GUARDS:
        assert (ruleset.lacks(found, other) == []) == (other == guard)


@pytest.mark.parametrize("guard", GUARDS)
def test_every_change_of_a_rule_is_seen(guard):
    found = listed(ruleset.text(guard))
    entries = found["nftables"]
    rules = [number for number, entry in enumerate(entries) if "rule" in entry]
    chains = [number for number, entry in enumerate(entries) if "chain" in entry]
    assert len(rules) > 12
    for number in rules + chains:
        without = {"nftables": [entry for place, entry in enumerate(entries) if place != number]}
        assert ruleset.lacks(without, guard)
    for number in rules:
        changed = copy.deepcopy(found)
        changed["nftables"][number]["rule"]["expr"][-1] = {"accept": None}
        more = copy.deepcopy(found)
        more["nftables"].append(copy.deepcopy(entries[number]))
        assert ruleset.lacks(more, guard)
        if entries[number]["rule"]["expr"][-1] != {"accept": None}:
            assert ruleset.lacks(changed, guard)
    for number in chains:
        if "hook" in entries[number]["chain"]:
            for key, value in (("policy", "drop"), ("prio", 100), ("hook", "prerouting")):
                changed = copy.deepcopy(found)
                changed["nftables"][number]["chain"][key] = value
                assert ruleset.lacks(changed, guard)
    off = copy.deepcopy(found)
    next(entry["table"] for entry in off["nftables"] if "table" in entry)["flags"] = ["dormant"]
    assert ruleset.lacks(off, guard) == ["the table is switched off"]


@pytest.mark.parametrize("listing", [None, [], {}, {"nftables": 7}, {"nftables": []}])
def test_no_listing_is_no_guard(listing):
    assert ruleset.lacks(listing, GUARDS[0])


def test_what_is_shipped_is_what_is_made():
    """F2, F4: an example of the rules, for whoever wants to read them."""
    assert SHIPPED.read_text(encoding="utf-8") == ruleset.example()


def test_what_systemd_and_the_kernel_are_told():
    """F2, F4: by the tunnel's interface alone, to the centre alone; no IPv6 on a line that needs none."""
    found = units.files(GUARDS[1], "rules", "pasu-uplink")
    assert found[units.RULES] == "rules"
    drop_in = found[units.DROP_IN].splitlines()
    for line in (
        "Requires=pasu-egress.service",
        "Group=pasu-uplink",
        "RestrictNetworkInterfaces=pasu0 lo",
        "IPAddressDeny=any",
        "IPAddressAllow=localhost 10.77.0.0/24 10.78.0.1/32",
    ):
        assert line in drop_in
    # E7: what the watch says of the guard, and what others say of themselves, the uplink cannot write.
    assert not any("Paths=" in line or "Directory=" in line for line in drop_in)
    assert "net.ipv6.conf.eth1.disable_ipv6 = 1" in found[units.SYSCTL]
    assert "disable_ipv6" not in units.sysctl(GUARDS[0])
    assert "disable_ipv6" not in units.sysctl(GUARDS[2])
    assert "net.ipv6.conf.eth1/5.disable_ipv6 = 1" in units.sysctl(
        Guard("pasu0", 1, (), (), "203.0.113.5:1", "eth1.5")
    )
