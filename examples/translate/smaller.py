"""Six forms of one model. What each saves is for the meter to say."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from translate.learn import learn, learn_exits
from translate.model import Block, WindowLM
from translate.task import LENGTH, Languages

#: The part of the numbers that pruning takes away.
PRUNED = 0.5
#: How sure an early exit has to be.
SURE = 0.9


def forms(model: WindowLM, spoken: Languages, steps: int) -> Iterator[tuple[str, nn.Module]]:
    """Every form by its name, the model itself first.

    steps  of the model's own training: what is made of it learns on for some part of that
    """
    yield "fp32", model
    makers: dict[str, Callable[[WindowLM, Languages, int], nn.Module]] = {
        "int8": quantised,
        "structured": structured,
        "unstructured": unstructured,
        "distilled": distilled,
        "early exit": early_exit,
    }
    for name, make in makers.items():
        yield name, make(model, spoken, steps).eval()


def quantised(model: WindowLM, _spoken: Languages, _steps: int) -> nn.Module:
    """Weights of 8 bits; activations are quantised as they come."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces that this API will move to torchao
        return torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)


def structured(model: WindowLM, spoken: Languages, steps: int) -> nn.Module:
    """Half of every block's inner features less: its matrices are really smaller."""
    smaller = copy.deepcopy(model)
    for block in smaller.blocks:
        _cut(cast("Block", block))
    learn(smaller, spoken, steps // 6, rate=1e-3)
    return smaller


@torch.no_grad()
def _cut(block: Block) -> None:
    """Leave the inner features whose numbers are largest, in and out."""
    weight = block.widen.weight.norm(dim=1) * block.narrow.weight.norm(dim=0)
    kept = weight.topk(round(len(weight) * (1 - PRUNED))).indices.sort().values
    widen, narrow = nn.Linear(block.widen.in_features, len(kept)), nn.Linear(len(kept), block.narrow.out_features)
    widen.weight.copy_(block.widen.weight[kept])
    widen.bias.copy_(block.widen.bias[kept])
    narrow.weight.copy_(block.narrow.weight[:, kept])
    narrow.bias.copy_(block.narrow.bias)
    block.widen, block.narrow = widen, narrow


def unstructured(model: WindowLM, spoken: Languages, steps: int) -> nn.Module:
    """The smaller half of all weights set to zero, where they are: a dense kernel multiplies zeros as well."""
    sparse = copy.deepcopy(model)
    layers = [(layer, "weight") for layer in sparse.modules() if isinstance(layer, nn.Linear)]
    prune.global_unstructured(layers, prune.L1Unstructured, amount=PRUNED)
    learn(sparse, spoken, steps // 6, rate=1e-3)
    for layer, name in layers:
        prune.remove(layer, name)
    return sparse


def distilled(model: WindowLM, spoken: Languages, steps: int) -> nn.Module:
    """A student of one narrow block, taught what the model says rather than what is right."""
    torch.manual_seed(1)
    student = WindowLM(model.embed.num_embeddings, width=160, inside=(320,))
    learn(student, spoken, steps, teacher=model, rate=8e-3)
    return student


def early_exit(model: WindowLM, spoken: Languages, steps: int) -> nn.Module:
    """The model, stopping after the first block that is sure. Only its ways out learn."""
    leaving = copy.deepcopy(model)
    learn_exits(leaving, spoken, steps // 6)
    return EarlyExit(leaving)


class EarlyExit(nn.Module):
    """Asks block after block for the next token, until every row has one that is sure enough."""

    def __init__(self, model: WindowLM, sure: float = SURE) -> None:
        super().__init__()
        self.model, self.sure = model, sure

    def forward(self, windows: Tensor) -> Tensor:
        """Scores of the next token, shape (batch, vocabulary): of each row's first sure way out, else of the last."""
        settled = torch.zeros(len(windows), dtype=torch.bool)
        answer = torch.empty(0)
        for scores in self.model.exits(windows):
            answer = scores if not answer.numel() else torch.where(settled[:, None], answer, scores)
            settled |= scores.softmax(-1).amax(-1) >= self.sure
            if bool(settled.all()):
                break
        return answer


def weights(form: nn.Module) -> tuple[int, int]:
    """How many numbers its matrices have, and how many of them are 0."""
    matrices = [
        layer.weight().dequantize() if callable(layer.weight) else layer.weight.detach()
        for layer in form.modules()
        if isinstance(layer, nn.Linear | torch.ao.nn.quantized.dynamic.Linear)
    ]
    return sum(one.numel() for one in matrices), sum(int((one == 0).sum()) for one in matrices)


@torch.inference_mode()
def first_exit(model: WindowLM, sentences: Tensor) -> tuple[Tensor, Tensor]:
    """What the first block alone would answer, and how sure it is of its least sure word: (n, LENGTH) and (n,)."""
    windows, sure = sentences, torch.ones(len(sentences))
    for _ in range(LENGTH):
        chance, token = next(model.exits(windows)).softmax(-1).max(-1)
        sure = torch.minimum(sure, chance)
        windows = torch.cat((windows[:, 1:], token[:, None]), dim=1)
    return windows[:, 1:], sure
