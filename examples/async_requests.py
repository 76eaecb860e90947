"""Requests that overlap in one thread: each asyncio task has a span of its own.

greengen profile -- python examples/async_requests.py
"""

from __future__ import annotations

import asyncio

import greengen


async def answer(number: int) -> int:
    """Stand in for a server's handler: work in small pieces, and let the others work in between."""
    async with greengen.request(model="squares", name=f"request {number}") as req:
        total = 0
        for piece in range(10 * number):
            total += sum(n * n for n in range(50_000)) % (piece + 1)
            await asyncio.sleep(0)
        req.tokens(input=1, output=10 * number)
        return total


async def main() -> None:
    """Answer five requests at once; each is longer than the one before."""
    print(await asyncio.gather(*(answer(number) for number in range(1, 6))))


if __name__ == "__main__":
    asyncio.run(main())
