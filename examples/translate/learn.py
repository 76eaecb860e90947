"""Training, and how good a model is."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from translate.model import WindowLM
from translate.task import LENGTH, Languages, lesson

BATCH = 128
#: Of the unseen sentences that models are judged by.
EXAM_SEED = 99


def learn(  # noqa: PLR0913 -- one training loop for the model, its students and what is left of it after a cut
    model: nn.Module,
    spoken: Languages,
    steps: int,
    *,
    rate: float = 4e-3,
    only: Iterable[nn.Parameter] | None = None,
    teacher: nn.Module | None = None,
    exits: bool = False,
) -> None:
    """Fit a model to the task, or to what a teacher says of it.

    only   the parameters that may change; all, where it is None
    exits  whether every way out is to be right, rather than the last one
    """
    optimizer = torch.optim.AdamW(model.parameters() if only is None else only, lr=rate)
    warm = max(steps // 20, 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, 1.0) * (1.02 - step / steps)
    )
    dice = random.Random(steps)
    model.train()
    for _ in range(steps):
        windows, following = lesson(spoken, BATCH, dice)
        told = [model(windows)] if not exits else list(model.exits(windows))
        target = following if teacher is None else _opinion(teacher, windows)
        loss = torch.stack([F.cross_entropy(scores, target) for scores in told]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval()


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


def accuracy(model: nn.Module, asked: Tensor, right: Tensor) -> float:
    """The part of the words that are right."""
    return float((translate(model, asked) == right).float().mean())
