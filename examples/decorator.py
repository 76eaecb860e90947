"""One line above a function makes each call of it a request.

greengen profile -- python examples/decorator.py
"""

from __future__ import annotations

import greengen


@greengen.request(model="squares")
def answer(prompt: str) -> str:
    """Stand in for a model: keep one core busy."""
    total = sum(number * number for number in range(2_000_000))
    greengen.current().tokens(input=len(prompt.split()), output=1)
    return str(total)


def main() -> None:
    """Ask three times."""
    for question in ("how many", "how many in all", "and once more"):
        print(f"{question}? {answer(question)}")


if __name__ == "__main__":
    main()
