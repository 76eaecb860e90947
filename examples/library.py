"""Record from inside a program, and ask the ledger: no command line needed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import greengen


def generate(words: int) -> str:
    """Stand in for a model: keep one core busy."""
    return " ".join(str(sum(range(20_000)) % (n + 1)) for n in range(words))


def main() -> None:
    """Two models, a few requests each, one table."""
    path = Path(tempfile.mkdtemp()) / "run.greengen"
    with greengen.profile(path) as run:
        for model, words in {"small": 200, "large": 1_000}.items():
            for _ in range(3):
                with greengen.request(model=model) as req:
                    text = generate(words)
                    req.tokens(input=8, output=len(text.split()))
    print(run.ledger().by("model"))
    print(f"recorded in {path}")


if __name__ == "__main__":
    main()
