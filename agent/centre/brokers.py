"""Configurations of the brokers: who may connect, and what each may write and read. Pure.

A box may write its own topics and read its own commands; its name is that of its certificate, whatever it says it is.
The centre reads everything and writes commands.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

WRITES = ("birth", "state", "health", "facts", "checkpoint", "reply", "export")
"""What a box publishes below pasu/v1/<box>/; export has further levels."""
COMMAND = "command"
RECEIPT = "receipt"
"""On which the centre says how far an export has come."""
CENTRE = "centre"

FILES = ("ca.pem", "crl.pem", "broker.pem", "broker.key")
"""What every broker needs beside its configuration."""
MOST_BYTES = 512 << 10
"""Of a message: a batch of facts has 256 KiB at most, an export's chunk 256 KiB and a header."""
QUEUED = 20_000
QUEUED_BYTES = 512 << 20
"""Kept for the centre while it is away, some ten minutes of 2,000 boxes: what does not fit is asked for again."""
IN_FLIGHT = 1000
"""Unacknowledged messages to one client: the centre acknowledges what it has on its disk, twice a second."""


def mosquitto(folder: str, broker: str, inside: str) -> dict[str, str]:
    """Return the files of a mosquitto 2, by name.

    folder  where they and FILES will lie, as the broker sees it
    broker  HOST:PORT of the boxes' listener, which takes every address; inside HOST:PORT of the centre's
    """
    port, (host, inside_port) = _split(broker)[1], _split(inside)
    common = f"""cafile {folder}/ca.pem
crlfile {folder}/crl.pem
certfile {folder}/broker.pem
keyfile {folder}/broker.key
require_certificate true
use_identity_as_username true
allow_anonymous false
"""
    configuration = f"""# Written by `pasu centre broker mosquitto`.
# SIGHUP makes mosquitto read access lists, certificates and crl.pem anew.
per_listener_settings true
persistence true
persistence_location {folder}/store
autosave_interval 60
max_packet_size {MOST_BYTES}
max_queued_messages {QUEUED}
max_queued_bytes {QUEUED_BYTES}
max_inflight_messages {IN_FLIGHT}
persistent_client_expiration 7d

# Boxes. The client id is the certificate's name too: nobody takes over another's session.
listener {port}
{common}use_username_as_clientid true
acl_file {folder}/boxes.acl

# The centre's programs, several at a time: a listener of their own, on an address that no box reaches.
listener {inside_port} {host}
{common}acl_file {folder}/centre.acl
"""
    boxes = "".join(f"pattern write pasu/v1/%u/{name}\n" for name in WRITES if name != "export")
    boxes += f"pattern write pasu/v1/%u/export/#\npattern read pasu/v1/%u/{COMMAND}\n"
    boxes += f"pattern read pasu/v1/%u/{RECEIPT}\n"
    centre = f"user {CENTRE}\ntopic read pasu/v1/#\ntopic write pasu/v1/+/{COMMAND}\n"
    centre += f"topic write pasu/v1/+/{RECEIPT}\n"
    return {"mosquitto.conf": configuration, "boxes.acl": boxes, "centre.acl": centre}


def rabbitmq(folder: str, broker: str, boxes: Iterable[str], peers: Iterable[str] = ()) -> dict[str, str]:
    """Return the files of a RabbitMQ with its MQTT plug-in, by name.

    folder, broker  as for mosquitto
    boxes  ids of those that are enrolled: RabbitMQ asks for a user for each certificate
    peers  names of the cluster's nodes, as rabbit@HOST
    """
    port = _split(broker)[1]
    configuration = f"""# Written by `pasu centre broker rabbitmq`.
listeners.tcp = none
mqtt.listeners.tcp = none
mqtt.listeners.ssl.default = {port}
mqtt.allow_anonymous = false
mqtt.ssl_cert_login = true
ssl_cert_login_from = common_name
mqtt.vhost = /
mqtt.exchange = amq.topic
mqtt.prefetch = {IN_FLIGHT}
mqtt.subscription_ttl = 86400000
ssl_options.cacertfile = {folder}/ca.pem
ssl_options.certfile = {folder}/broker.pem
ssl_options.keyfile = {folder}/broker.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
ssl_options.versions.1 = tlsv1.3
ssl_options.versions.2 = tlsv1.2
load_definitions = {folder}/definitions.json
"""
    peers = list(peers)
    if peers:
        configuration += "cluster_partition_handling = pause_minority\nmqtt.durable_queue_type = quorum\n"
        configuration += "cluster_formation.peer_discovery_backend = classic_config\n"
        configuration += "".join(
            f"cluster_formation.classic_config.nodes.{number} = {peer}\n"
            for number, peer in enumerate(peers, 1)
        )
    return {
        "rabbitmq.conf": configuration,
        "enabled_plugins": "[rabbitmq_mqtt].\n",
        "definitions.json": json.dumps(_definitions(sorted(boxes)), indent=1) + "\n",
    }


def _definitions(boxes: list[str]) -> dict[str, Any]:
    """Return users, what each may do with queues and exchanges, and with topics.

    The plug-in turns the levels of a topic into words of a routing key, with dots between. `{username}` stands for the
    certificate's name.
    """
    names = "|".join(name for name in WRITES if name != "export")
    own = r"^pasu\.v1\.{username}\."
    return {
        "users": [
            {
                "name": name,
                "password_hash": "",
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": [],
            }
            for name in [CENTRE, *boxes]
        ],
        "vhosts": [{"name": "/"}],
        "permissions": [
            *(_permission(name, rf"^mqtt-subscription-{name}qos[01]$") for name in boxes),
            _permission(CENTRE, r"^mqtt-subscription-centre-.*qos[01]$"),
        ],
        "topic_permissions": [
            *(
                {
                    "user": name,
                    "vhost": "/",
                    "exchange": "amq.topic",
                    "write": rf"{own}({names}|export\..+)$",
                    "read": rf"{own}({COMMAND}|{RECEIPT})$",
                }
                for name in boxes
            ),
            {
                "user": CENTRE,
                "vhost": "/",
                "exchange": "amq.topic",
                "write": rf"^pasu\.v1\.[a-z0-9-]+\.({COMMAND}|{RECEIPT})$",
                "read": r"^pasu\.v1\..*$",
            },
        ],
        "policies": [
            {
                # A subscription is a queue; this is its bound, and the oldest goes first.
                "vhost": "/",
                "name": "pasu-subscriptions",
                "pattern": "^mqtt-subscription-",
                "apply-to": "queues",
                "priority": 0,
                "definition": {
                    "max-length": QUEUED,
                    "max-length-bytes": QUEUED_BYTES,
                    "overflow": "drop-head",
                },
            }
        ],
    }


def _permission(name: str, queues: str) -> dict[str, str]:
    exchange = r"^amq\.topic$"
    return {
        "user": name,
        "vhost": "/",
        "configure": queues,
        "write": f"{queues}|{exchange}",
        "read": f"{queues}|{exchange}",
    }


def _split(address: str) -> tuple[str, str]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), port
