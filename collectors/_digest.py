"""HTTP Digest authentication with SHA-256 (RFC 7616), as Shelly devices from Gen 2 on ask for it."""

from __future__ import annotations

import hashlib
import re

_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


def authorization(challenge: str, login: tuple[str, str], path: str, cnonce: str) -> str:
    """The Authorization header of a GET of `path` that answers a WWW-Authenticate header.

    login  user and password
    Raises ValueError where the challenge is not of this kind.
    """
    scheme, _, text = challenge.partition(" ")
    asked = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(text)}
    offered = [name.strip() for name in asked.get("qop", "").split(",")]
    if scheme.lower() != "digest" or asked.get("algorithm", "").upper() != "SHA-256" or "auth" not in offered:
        msg = f"401: it asks for {scheme or 'no known'} authentication of a kind that is not known here"
        raise ValueError(msg)
    user, password = login
    realm, nonce = asked.get("realm", ""), asked.get("nonce", "")
    secret = _hash(user, realm, password)
    response = _hash(secret, nonce, "00000001", cnonce, "auth", _hash("GET", path))
    fields = {"username": user, "realm": realm, "nonce": nonce, "uri": path, "response": response, "cnonce": cnonce}
    if "opaque" in asked:
        fields["opaque"] = asked["opaque"]
    told = ", ".join(f'{name}="{value}"' for name, value in fields.items())
    return f"Digest {told}, algorithm=SHA-256, qop=auth, nc=00000001"


def _hash(*parts: str) -> str:
    return hashlib.sha256(":".join(parts).encode()).hexdigest()
