"""Requests that one engine serves together, in steps: what each costs, under every way to share a step.

A Llama with random weights answers chats, long documents and stories through transformers' continuous
batching, as its users come and go. What a step costs, and each token in it, is fitted from the
recording itself. Nothing is downloaded. In a virtual machine the joules are modelled, and their split
is not: it follows what each step was made of. It takes half a minute or a minute, and more while the
machine does other work.

    pip install 'greengen[transformers]'
    python examples/continuous_batching.py
    python examples/continuous_batching.py --device cuda
"""

from __future__ import annotations

import math
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import torch
from transformers import ContinuousBatchingConfig, GenerationConfig, LlamaConfig, LlamaForCausalLM

import greengen
from greengen.accounting.ledger import Ledger
from greengen.accounting.policies import Choice
from greengen.errors import PolicyError
from greengen.integrations.transformers import continuous_batching
from greengen.quantity import Z95
from greengen.rows import SpanRow

#: (prompt tokens, output tokens): turns of a chat, documents with short answers, stories from short questions.
CHAT = [(24, 32), (48, 24), (12, 40), (80, 16)]
DOCUMENT = [(160, 4), (240, 8), (120, 4), (200, 6)]
STORY = [(8, 64), (16, 80), (12, 56), (24, 72)]

#: (users at once, what they ask): stretches that read, stretches that write, and both together.
STRETCHES = [
    (2, CHAT),
    (6, DOCUMENT),
    (12, CHAT * 3),
    (1, STORY[:1]),
    (8, STORY),
    (3, DOCUMENT),
    (4, CHAT),
    (10, [request for both in zip(DOCUMENT, STORY, strict=True) for request in both]),
    (12, CHAT),
    (2, STORY[1:]),
]

VOCABULARY = 8192
POLICIES = ("affine", "phase", "equal")
COEFFICIENTS = ("the step itself", "a token read", "a token written", "a token cached")


def small_llama(device: str = "cpu") -> LlamaForCausalLM:
    """A Llama of 62 million parameters, as it is before training."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=1024,
        intermediate_size=2816,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        eos_token_id=None,
    )
    return LlamaForCausalLM(config).eval().to(device)


def serve(model: LlamaForCausalLM, most: int) -> None:
    """Put `most` requests to the engine, each user one after the other. It takes 64 tokens a step."""
    draw = random.Random(0)
    options = {
        "generation_config": GenerationConfig(do_sample=False, eos_token_id=-1),
        "continuous_batching_config": ContinuousBatchingConfig(num_blocks=256, page_size=16, max_batch_tokens=64),
        "block": True,
    }
    asked = [(users, *request) for users, requests in STRETCHES for request in requests][:most]
    with model.continuous_batching_context_manager(**options) as manager:
        live = 0
        for number, (users, prompt, output) in enumerate(asked):
            live -= answered(manager, live - users + 1)
            tokens = [draw.randrange(VOCABULARY) for _ in range(prompt)]
            manager.add_request(tokens, request_id=f"request {number:2}", max_new_tokens=output)
            live += 1
        answered(manager, live)


def answered(manager: Any, least: int) -> int:  # noqa: ANN401 -- a manager of transformers, which has no types
    """Wait until so many requests are answered. Returns how many that were."""
    count = 0
    while count < least and manager.is_running():
        count += manager.get_result(timeout=1) is not None
    return count


def ledgers(run: greengen.Run) -> dict[str, Ledger]:
    """The run's books under every policy that this version of greengen has."""
    found = {}
    for policy in POLICIES:
        try:
            found[policy] = run.ledger(policy=policy)
        except PolicyError as error:
            print(f"without {policy}: {error}")
    return found


def row(request: SpanRow, books: dict[str, Ledger]) -> str:
    """One request: its tokens, and its joules with their interval under each policy."""
    joules = (ledger[request.uid] for ledger in books.values())
    cells = (f"{f'{q.value:.2f} [{q.low:.2f}, {q.high:.2f}]' if q.known else 'not measured':<27}" for q in joules)
    return f"{request.name:<12}{request.input_tokens:>8}{request.output_tokens:>8}  " + "".join(cells)


def engine(ledger: Ledger) -> Choice:
    """How the engine's steps were shared."""
    return next(choice for choice in ledger.choices if choice.group.startswith("engine"))


def fitted(choice: Choice) -> Iterator[str]:
    """What a step costs, with 95 % intervals."""
    if choice.coefficients is None or choice.sigma is None:
        return
    origin = f"fitted from {choice.details['windows']:.0f} windows, which leaves a request's share unsure"
    yield f"What a step costs, {origin} by {100 * choice.sigma:.1f} %:"
    for i, (name, value) in enumerate(zip(COEFFICIENTS, choice.coefficients.as_tuple(), strict=True)):
        reach = 1000 * Z95 * math.sqrt(choice.covariance[i][i])
        value_mj = 1000 * value
        yield f"  {name:<16}{value_mj:9.3f} mJ  [{max(value_mj - reach, 0.0):.3f}, {value_mj + reach:.3f}]"
    yield "The meter's own error comes on top, and is one for all four."


def usable(context: click.Context, parameter: click.Parameter, device: str) -> str:
    """The device, where torch has it."""
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:
        told = str(error).splitlines()[0]
        raise click.BadParameter(told, context, parameter) from error
    return device


@click.command()
@click.option("--requests", type=click.IntRange(min=1), default=48, show_default=True, help="Serve the first so many.")
@click.option(
    "--device", default="cpu", show_default=True, callback=usable, help="Where the model computes: cpu, cuda, cuda:1."
)
def main(requests: int, device: str) -> None:
    """Serve, then print the table and check the books."""
    path = Path(tempfile.mkdtemp()) / "run.greengen"
    # What a step costs is then what it computes, and not how long two threads wait for one another.
    torch.set_num_threads(1)
    model = small_llama(device)
    with greengen.profile(path, interval_s=0.02) as run, continuous_batching(model, name="small-llama"):
        serve(model, requests)

    [timeline] = run.rows().timelines
    print(f"{len(timeline.steps)} steps, recorded in {path}\n")
    books = ledgers(run)
    print(f"{'':<12}{'prompt':>8}{'output':>8}  " + "".join(f"{f'J, {policy}':<27}" for policy in books))
    for request in (span for span in timeline.spans if span.kind == "request"):
        print(row(request, books))
    print()
    for policy, ledger in books.items():
        print(f"{policy:<8}{balance(ledger)}")
        if engine(ledger).fallback:
            print(f"        shared by {engine(ledger).policy}, for {engine(ledger).fallback}")
    first = next(iter(books.values()))
    print("", *fitted(engine(first)), sep="\n")
    print("\nThe rest was not spent on requests:")
    print(first.by("account")[["energy_j", "grade"]])


def balance(ledger: Ledger) -> str:
    """Whether all accounts add up to what the meters, or the model of them, counted."""
    booked, counted = float(ledger.by("account").energy_j.sum()), ledger.total().value or 0.0
    verdict = "balanced" if math.isclose(booked, counted, rel_tol=1e-9) else "NOT BALANCED"
    return f"accounts {booked:.6f} J, domains {counted:.6f} J: {verdict}"


if __name__ == "__main__":
    main()
