"""greengen: the joules and grams of CO2e of each request, model and training run, in books that balance.

with greengen.profile("chat.greengen") as run:
    with greengen.request(model="llama-3.2-1b-int8") as req:
        text = generate(prompt)
        req.tokens(input=128, output=64)

run.ledger().by("model")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from greengen.comparison import Comparison as Comparison
    from greengen.comparison import compare as compare
    from greengen.deployments import Deployment as Deployment
    from greengen.quantity import Quantity as Quantity
    from greengen.recording.engine import Engine as Engine
    from greengen.recording.spans import Request as request  # noqa: N813 -- the class is called like a function
    from greengen.recording.spans import Span as Span
    from greengen.recording.spans import current as current
    from greengen.recording.spans import span as span
    from greengen.run import Run as Run
    from greengen.run import profile as profile

#: name → (module, attribute): imported when first asked for.
_PUBLIC = {
    "Comparison": ("greengen.comparison", "Comparison"),
    "Deployment": ("greengen.deployments", "Deployment"),
    "Engine": ("greengen.recording.engine", "Engine"),
    "Quantity": ("greengen.quantity", "Quantity"),
    "Run": ("greengen.run", "Run"),
    "Span": ("greengen.recording.spans", "Span"),
    "compare": ("greengen.comparison", "compare"),
    "current": ("greengen.recording.spans", "current"),
    "profile": ("greengen.run", "profile"),
    "request": ("greengen.recording.spans", "Request"),
    "span": ("greengen.recording.spans", "span"),
}

__all__ = ["Comparison", "Deployment", "Engine", "Quantity", "Run", "Span"]
__all__ += ["compare", "current", "profile", "request", "span"]


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        msg = f"module 'greengen' has no attribute {name!r}"
        raise AttributeError(msg)
    module, attribute = _PUBLIC[name]
    # Kept, so that the next look-up is a plain one: a request span costs a microsecond or two.
    value = globals()[name] = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
