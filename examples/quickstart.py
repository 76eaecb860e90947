"""Train a small language model, quantise it, and serve both: what does each request cost?

    greengen profile --html quickstart.html -- python examples/quickstart.py

The only lines about energy are the `greengen.span` and `greengen.request` ones. Started on its own
(`python examples/quickstart.py`) the program does the same work and they cost next to nothing.
"""

from __future__ import annotations

import random
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import greengen

CONTEXT, WIDTH, HEADS, LAYERS = 64, 384, 6, 2
STEPS, BATCH = 200, 4
REQUESTS, PROMPT = 40, 32


class Block(nn.Module):
    """One transformer layer: causal self-attention, then a feed-forward network."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.feed = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """Map activations (batch, time, width) to activations of the same shape."""
        batch, length, _ = x.shape
        query, key, value = self.qkv(self.norm1(x)).view(batch, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, WIDTH))
        return x + self.feed(self.norm2(x))


class CharLM(nn.Module):
    """A character-level language model."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.embed, self.position = nn.Embedding(vocabulary, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.head = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, vocabulary))

    def forward(self, ids: Tensor) -> Tensor:
        """Map character ids (batch, time) to next-character scores (batch, time, vocabulary)."""
        return self.head(self.blocks(self.embed(ids) + self.position.weight[: ids.shape[1]]))


def batch_of(data: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random windows of the text, and the same windows one character later."""
    starts = torch.randint(len(data) - CONTEXT, (BATCH,), generator=generator)
    windows = torch.stack([data[start : start + CONTEXT + 1] for start in starts.tolist()])
    return windows[:, :-1], windows[:, 1:]


def loss_of(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Mean cross-entropy of a batch, in nats per character."""
    inputs, targets = batch
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


def train(model: nn.Module, data: Tensor) -> None:
    """Fit the model to the text."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    generator = torch.Generator().manual_seed(1)
    with greengen.span(kind="train", model="charlm-fp32"):
        for step in range(1, STEPS + 1):
            loss = loss_of(model, batch_of(data, generator))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % 25 == 0:
                print(f"  step {step:3d} of {STEPS}: loss {loss.item():.2f}", flush=True)


def quantise(model: nn.Module) -> nn.Module:
    """Return a twin of the model whose linear layers hold 8-bit integers."""
    with greengen.span(kind="quantise", model="charlm-int8"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces that this API will move to torchao
        return torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)


@torch.inference_mode()
def generate(model: nn.Module, prompt: Tensor, length: int, seed: int) -> Tensor:
    """Sample `length` more characters, one at a time."""
    generator = torch.Generator().manual_seed(seed)
    ids = prompt[None]
    for _ in range(length):
        chances = model(ids[:, -CONTEXT:])[:, -1].softmax(-1)
        ids = torch.cat((ids, torch.multinomial(chances, 1, generator=generator)), dim=1)
    return ids[0, len(prompt) :]


def serve(name: str, model: nn.Module, data: Tensor) -> list[Tensor]:
    """Answer all requests at once, one thread each, as a small server under load does."""
    print(f"serving {REQUESTS} requests at once with {name}", flush=True)
    dice = random.Random(2)
    jobs = [(dice.randrange(len(data) - PROMPT), dice.randrange(16, 49)) for _ in range(REQUESTS)]
    start_together = threading.Barrier(REQUESTS)

    def answer(number: int) -> Tensor:
        offset, length = jobs[number]
        start_together.wait()
        with greengen.request(model=name) as req:
            text = generate(model, data[offset : offset + PROMPT], length, seed=number)
            req.tokens(input=PROMPT, output=len(text))
        return text

    began = time.perf_counter()
    with ThreadPoolExecutor(REQUESTS) as pool:
        answers = list(pool.map(answer, range(REQUESTS)))
    print(f"  {sum(map(len, answers))} tokens in {time.perf_counter() - began:.1f} s", flush=True)
    return answers


def main() -> None:
    """Train, quantise, serve."""
    torch.manual_seed(0)
    torch.set_num_threads(1)  # the requests are the parallelism
    with greengen.span(kind="load", model="charlm-fp32"):
        text = Path(__file__).with_name("mill.txt").read_text(encoding="utf-8")
        alphabet = sorted(set(text))
        data = torch.tensor([alphabet.index(character) for character in text])
        fp32 = CharLM(len(alphabet))
    print(f"training on {len(text)} characters", flush=True)
    train(fp32, data)
    models = {"charlm-fp32": fp32.eval(), "charlm-int8": quantise(fp32)}
    sample = batch_of(data, torch.Generator().manual_seed(3))
    for name, model in models.items():
        with greengen.span(kind="eval", model=name), torch.inference_mode():
            print(f"{name}: loss {loss_of(model, sample).item():.3f}", flush=True)
    for name, model in models.items():
        longest = max(serve(name, model, data), key=len)
        print("  " + repr("".join(alphabet[i] for i in longest.tolist())), flush=True)


if __name__ == "__main__":
    main()
