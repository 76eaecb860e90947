"""Training, and how good a model is."""

from __future__ import annotations

import random
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from translate.model import WindowLM
from translate.task import LENGTH, Languages, lesson

BATCH = 128
#: Of the unseen sentences that models are judged by.
EXAM_SEED = 99


def learn(
    model: WindowLM, spoken: Languages, steps: int, *, rate: float = 4e-3, teacher: nn.Module | None = None
) -> None:
    """Fit what may change of a model to the task, or to what a teacher says of it."""
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=rate)
    warm = max(steps // 20, 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, 1.0) * (1.02 - step / steps)
    )
    dice = random.Random(steps)
    model.train()
    for _ in range(steps):
        windows, following = lesson(spoken, BATCH, dice)
        loss = F.cross_entropy(model(windows), following if teacher is None else _opinion(teacher, windows))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval()


def learn_exits(model: WindowLM, spoken: Languages, steps: int) -> None:
    """Fit the ways out of a model, and nothing else of it."""
    optimizer = torch.optim.AdamW(model.heads.parameters(), lr=8e-3)
    dice = random.Random(steps)
    for _ in range(steps):
        windows, following = lesson(spoken, BATCH, dice)
        with torch.no_grad():
            after = list(model.after_blocks(windows))
        told = [head(x) for head, x in zip(model.heads, after, strict=True)]
        loss = torch.stack([F.cross_entropy(scores, following) for scores in told]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.no_grad()
def _opinion(teacher: nn.Module, windows: Tensor) -> Tensor:
    """The teacher's chances of every token, shape (n, vocabulary)."""
    return teacher(windows).softmax(-1)


def taught(spoken: Languages, steps: int) -> WindowLM:
    """The model that all others are made of: 3.8 million numbers."""
    torch.manual_seed(0)
    model = WindowLM(len(spoken.tokens), width=768, inside=(768, 768, 768))
    learn(model, spoken, steps)
    return model


@torch.inference_mode()
def translate(model: nn.Module, sentences: Tensor) -> Tensor:
    """Translate word by word, shapes (n, WINDOW) to (n, LENGTH): each word written pushes the window on."""
    windows = sentences
    for _ in range(LENGTH):
        windows = torch.cat((windows[:, 1:], model(windows).argmax(-1, keepdim=True)), dim=1)
    return windows[:, 1:]


def exam(spoken: Languages, count: int) -> tuple[Tensor, Tensor]:
    """Sentences nobody was taught, and their translations: shapes (count, WINDOW) and (count, LENGTH)."""
    dice = random.Random(EXAM_SEED)
    sentences = list(islice(iter(lambda: spoken.sentence(dice), None), count))
    return torch.tensor(sentences), torch.tensor([spoken.translation(sentence) for sentence in sentences])


def accuracy(model: nn.Module, asked: Tensor, right: Tensor) -> list[float]:
    """The part of the words that are right, of each sentence."""
    return parts(translate(model, asked), right)


def parts(answered: Tensor, right: Tensor) -> list[float]:
    """The part of each sentence that is right: words of one sentence are right and wrong together."""
    return [round(part, 4) for part in (answered == right).double().mean(-1).tolist()]


def figure(of: list[float]) -> dict[str, object]:
    """An accuracy as a comparison takes it: the sentences are what it scatters over."""
    return {"values": of, "each": "unseen sentence", "source": "the exam of this example"}
