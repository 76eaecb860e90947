"""What both pages are made with: templates that escape, a policy that forbids the rest, and the data in them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from greengen.reports import format as fmt
from greengen.reports import json as json_report
from greengen.reports import words

if TYPE_CHECKING:
    from jinja2 import Environment

#: Characters that could end a script element or a JavaScript line: as JSON escapes in the page.
_ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}
#: A table with more rows gets a box that scrolls; with more still, the rest shows on request.
SCROLL_ROWS, PAGED_ROWS = 25, 200


class Footnotes:
    """Notes and reasons, numbered in the order in which one page meets them."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        """The number of a text: the same one for the same words."""
        return self._numbers.setdefault(text, len(self._numbers) + 1)

    def texts(self) -> list[str]:
        """The texts met so far, by number."""
        return list(self._numbers)


def environment() -> Environment:
    """The templates of this package, with the filters that show a quantity. What they show is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 -- heavy

    made = Environment(
        loader=PackageLoader("greengen.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "text": fmt.printable,
        "value": fmt.value,
        "interval": fmt.interval,
        "interval_unit": lambda quantity: f"{fmt.interval(quantity)} {fmt.unit(quantity)}",
        "quantity": fmt.quantity,
        "count": fmt.count,
        "seconds": fmt.seconds,
        "percent": fmt.percent,
        "number": fmt.number,
        "joules": fmt.joules,
        "wh": lambda quantity: fmt.in_unit(quantity, "Wh"),
        "grades": words.grades,
        "nested": lambda rows: any(row["energy_j"] != row["energy_j_inclusive"] for row in rows),
    }
    return made


def data(document: Mapping[str, Any]) -> str:
    """The document as JSON that cannot leave its script element; `greengen.pages` reads it back."""
    return escaped(json_report.render(document))


def escaped(json: str) -> str:
    """JSON with all that a page could act on as JSON escapes."""
    return json.translate(_ESCAPES)


def script(source: str) -> str:
    """A script as the parser of the page reads it: the hash in the policy is of that."""
    return source.replace("\r\n", "\n").replace("\r", "\n")


def policy(scripts: Sequence[str]) -> str:
    """A Content-Security-Policy that lets these scripts run and nothing else, and no request go out."""
    hashes = (base64.b64encode(hashlib.sha256(source.encode()).digest()).decode() for source in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
