"""Read a page that greengen wrote back into the document that it shows.

A stranger's page is data: nothing in it is run, and what is not one of our documents is refused.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from greengen.errors import UsageError

#: Documents that a page may hold, and what each must have to be shown.
SCHEMAS = {
    "greengen.report/1": ("run", "boundary", "totals", "accounts", "domains", "models", "requests", "events"),
    "greengen.comparison/1": ("unit", "baseline", "boundary", "verdict", "options", "environment"),
}
ENDINGS = frozenset({".html", ".htm"})

_ELEMENT = re.compile(r'<script[^>]*\bid="greengen-document"[^>]*>(.*?)</script>', re.DOTALL | re.IGNORECASE)


def is_page(path: Path) -> bool:
    """Whether a file is a page, by its name."""
    return path.suffix.lower() in ENDINGS


def read(path: Path) -> dict[str, Any]:
    """The document of a page. Raises UsageError where there is none, saying what to do."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror}"
        raise UsageError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path} is no page of greengen: it is not UTF-8"
        raise UsageError(msg) from error
    found = _ELEMENT.search(text)
    if found is None:
        msg = f"{path} holds no greengen document: write the page anew from its run files"
        raise UsageError(msg)
    try:
        document = json.loads(found[1])
    except (ValueError, RecursionError) as error:
        msg = f"{path} holds a greengen document that is damaged: {error}"
        raise UsageError(msg) from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema not in SCHEMAS:
        known = ", ".join(SCHEMAS)
        msg = f"{path} holds a document of schema {schema!r}, and this greengen reads {known}"
        raise UsageError(msg)
    lacking = [key for key in SCHEMAS[schema] if key not in document]
    if lacking:
        msg = f"{path} holds a damaged document: it lacks {', '.join(lacking)}"
        raise UsageError(msg)
    return dict(document)
