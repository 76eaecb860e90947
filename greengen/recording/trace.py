"""W3C trace context: how one request is known as the same on every tier it crosses.

The header `traceparent` is ``00-<trace id>-<parent id>-<flags>``, in lower-case hexadecimal
(w3.org/TR/trace-context). One that is not of that form is ignored, as the standard asks.
"""

from __future__ import annotations

import os
import re

_HEADER = re.compile(r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$")
_NOBODY = "0" * 32


def trace_id(header: object) -> str | None:
    """The trace id in a `traceparent`, or None where there is none."""
    match = _HEADER.match(header.strip()) if isinstance(header, str) else None
    valid = match is not None and match[1] != _NOBODY and match[2] != _NOBODY[:16] and not match[0].startswith("ff")
    # Version 00 has four fields, and later ones may have more.
    return match[1] if match is not None and valid and (not match[4] or not match[0].startswith("00")) else None


def new_trace_id() -> str:
    """A random trace id."""
    # As `secrets` does it, which takes 10 ms to import; and a child forked meanwhile would wait for that for ever.
    return os.urandom(16).hex()


def traceparent(trace: str, span: str, received: object = None) -> str:
    """The header to send on; `span`: the uid of the span that sends, `received`: the header that came in."""
    import hashlib  # noqa: PLC0415 -- milliseconds, and most spans ask nobody else

    match = _HEADER.match(received.strip()) if isinstance(received, str) else None
    parent = hashlib.blake2b(span.encode(), digest_size=8).hexdigest()
    return f"00-{trace}-{parent}-{match[3] if match else '00'}"
