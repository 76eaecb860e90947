"""Requests that one engine serves together, in steps: what each costs, under every way to share a step.

A small Llama with random weights answers prompts of different lengths through transformers' continuous
batching. Nothing is downloaded. In a virtual machine the joules are modelled, and their split is not:
it follows what each step was made of.

    pip install 'greengen[transformers]'
"""

from __future__ import annotations

import math
import random
import tempfile
from pathlib import Path

import torch
from transformers import ContinuousBatchingConfig, GenerationConfig, LlamaConfig, LlamaForCausalLM

import greengen
from greengen.accounting.ledger import Ledger
from greengen.errors import PolicyError
from greengen.integrations.transformers import continuous_batching
from greengen.rows import SpanRow

#: (prompt tokens, output tokens): chat turns, long documents with short answers, short questions with long ones.
REQUESTS = [(24, 40), (400, 4), (12, 96), (150, 24), (8, 8), (320, 48), (64, 64), (16, 120)] * 6
POLICIES = ("affine", "phase", "equal")


def tiny_llama() -> LlamaForCausalLM:
    """A Llama of 6 million parameters, as it is before training."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=2048,
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        eos_token_id=None,
    )
    return LlamaForCausalLM(config).eval()


def serve(model: LlamaForCausalLM) -> None:
    """Put all requests to the engine at once. It takes 128 tokens a step, so long prompts come in chunks."""
    config = ContinuousBatchingConfig(num_blocks=256, page_size=32, max_batch_tokens=128)
    generation = GenerationConfig(do_sample=False, eos_token_id=-1)
    draw = random.Random(0)
    options = {"generation_config": generation, "continuous_batching_config": config, "block": True}
    with model.continuous_batching_context_manager(**options) as manager:
        for number, (prompt, output) in enumerate(REQUESTS):
            tokens = [draw.randrange(2048) for _ in range(prompt)]
            manager.add_request(tokens, request_id=f"request {number:2}", max_new_tokens=output)
        for _ in REQUESTS:
            while manager.get_result(timeout=1) is None and manager.is_running():
                pass


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
    cells = (f"{f'{q.value:.2f} [{q.low:.2f}, {q.high:.2f}]':<27}" for q in joules)
    return f"{request.name:<12}{request.input_tokens:>8}{request.output_tokens:>8}  " + "".join(cells)


def main() -> None:
    """Serve, then print the table and check the books."""
    path = Path(tempfile.mkdtemp()) / "run.greengen"
    model = tiny_llama()
    with greengen.profile(path, interval_s=0.02) as run, continuous_batching(model, name="tiny-llama"):
        serve(model)

    [timeline] = run.rows().timelines
    print(f"{len(timeline.steps)} steps, recorded in {path}\n")
    books = ledgers(run)
    print(f"{'':<12}{'prompt':>8}{'output':>8}  " + "".join(f"{f'J, {policy}':<27}" for policy in books))
    for request in (span for span in timeline.spans if span.kind == "request"):
        print(row(request, books))
    print()
    for policy, ledger in books.items():
        print(f"{policy:<8}{balance(ledger)}")
        for choice in ledger.choices:
            if choice.group.startswith("engine") and choice.fallback:
                print(f"        shared by {choice.policy}, for {choice.fallback}")
    print("\nThe rest was not spent on requests:")
    print(next(iter(books.values())).by("account")[["energy_j", "grade"]])


def balance(ledger: Ledger) -> str:
    """Whether all accounts add up to what the meters, or the model of them, counted."""
    booked, counted = float(ledger.by("account").energy_j.sum()), ledger.total().value or 0.0
    verdict = "balanced" if math.isclose(booked, counted, rel_tol=1e-9) else "NOT BALANCED"
    return f"accounts {booked:.6f} J, domains {counted:.6f} J: {verdict}"


if __name__ == "__main__":
    main()
