"""The model: reads a window of tokens and says which comes next. Residual blocks, each with a way out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from translate.task import WINDOW

#: Features of a token.
FEATURES = 48


class Block(nn.Module):
    """One residual layer: into a wide space and back."""

    def __init__(self, width: int, inside: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.widen, self.narrow = nn.Linear(width, inside), nn.Linear(inside, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map activations (batch, width) to activations of the same shape."""
        return x + self.narrow(F.relu(self.widen(self.norm(x))))


class WindowLM(nn.Module):
    """A language model over a window. `inside`: how wide each of its blocks is within."""

    def __init__(self, vocabulary: int, width: int, inside: Sequence[int]) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, FEATURES)
        self.enter = nn.Linear(WINDOW * FEATURES, width)
        self.blocks = nn.ModuleList(Block(width, size) for size in inside)
        self.heads = nn.ModuleList(nn.Sequential(nn.LayerNorm(width), nn.Linear(width, vocabulary)) for _ in inside)

    def after_blocks(self, windows: Tensor) -> Iterator[Tensor]:
        """Activations after each block, shape (batch, width); computed when asked for."""
        x = self.enter(self.embed(windows).flatten(1))
        for block in self.blocks:
            x = block(x)
            yield x

    def exits(self, windows: Tensor) -> Iterator[Tensor]:
        """Scores of the next token after each block, shape (batch, vocabulary); computed when asked for."""
        for head, x in zip(self.heads, self.after_blocks(windows), strict=True):
            yield head(x)

    def forward(self, windows: Tensor) -> Tensor:
        """Scores of the next token after the last block, shape (batch, vocabulary)."""
        *_, x = self.after_blocks(windows)
        return self.heads[-1](x)
