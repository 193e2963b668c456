"""Commands and rings as another implementation of JOSE writes and reads them."""

import json

from joserfc import jws as peer
from joserfc.jwk import OKPKey

from agent.command import jws, keyring
from tests.city import City

ALGORITHMS = ["EdDSA"]


def test_another_reads_what_we_sign() -> None:
    city = City()
    city.staff()
    signer = city.signers["officer 1"]
    text = city.order(signer, "inspect", {})
    raw = signer.key.public_key().public_bytes_raw()
    key = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": jws.strict.base64url(raw)})
    found = peer.deserialize_compact(text, key, algorithms=ALGORITHMS)
    assert found.headers() == {"alg": "EdDSA", "kid": signer.kid, "typ": "pasu-command+jws"}
    assert json.loads(found.payload)["command"] == "inspect"


def test_we_read_what_another_signs() -> None:
    city = City()
    city.staff()
    root = OKPKey.import_key(
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": jws.strict.base64url(city.root.public),
            "d": jws.strict.base64url(city.root_key.private_bytes_raw()),
        }
    )
    header = {"typ": "pasu-ring+jws", "alg": "EdDSA", "kid": city.root.kid}
    # As any JSON writer may put it: with spaces, escapes and another order of members.
    body = json.dumps(dict(reversed(city.ring_body().items())), indent=2)
    text = peer.serialize_compact(header, body.encode(), root, algorithms=ALGORITHMS)
    assert keyring.parse(text, city.root) == keyring.parse(city.ring(), city.root)
