"""The task: translate sentences of one made-up language into another. Nothing is stored or downloaded.

Every third word or so has two meanings, and the word after it says which: a model has to learn the
lexicon, which words are of which gender, and to look ahead. There are 10¹⁶ sentences, so that none of
those it is asked was in its lessons.

The model sees a window of as many tokens as a sentence has, with its full stop. It begins with the
word to be translated now: each word that is written pushes the window on by one.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: Words of a sentence, and tokens of the window.
LENGTH = 8
WINDOW = LENGTH + 1

WORDS, AMBIGUOUS = 120, 40


@dataclass(frozen=True, slots=True)
class Languages:
    """Two vocabularies in one list of tokens, and what translates into what."""

    tokens: tuple[str, ...]
    gender: tuple[int, ...]
    #: Token of each word's meaning before a word of either gender, shape (WORDS, 2).
    meaning: tuple[tuple[int, int], ...]

    @property
    def stop(self) -> int:
        """The full stop, which is of gender 0."""
        return WORDS

    def sentence(self, dice: random.Random) -> list[int]:
        """Any words, with the full stop."""
        return [*(dice.randrange(WORDS) for _ in range(LENGTH)), self.stop]

    def translation(self, sentence: Sequence[int]) -> list[int]:
        """What is right."""
        return [self.meaning[word][self.gender[after]] for word, after in itertools.pairwise(sentence)]

    def text(self, tokens: Sequence[int]) -> str:
        """Tokens as people read them."""
        return " ".join(self.tokens[token] for token in tokens)


def languages(seed: int = 7) -> Languages:
    """Two languages that nobody speaks, always the same of one seed."""
    dice = random.Random(seed)
    north = ["".join(pair) for pair in itertools.product(_syllables("ptkmnsl", "aiu"), repeat=2)]
    south = ["".join(pair) for pair in itertools.product(_syllables("bdgvzrh", "eo"), repeat=2)]
    source, target = dice.sample(north, WORDS), dice.sample(south, WORDS + AMBIGUOUS)
    first = WORDS + 1
    second = {word: first + WORDS + number for number, word in enumerate(dice.sample(range(WORDS), AMBIGUOUS))}
    return Languages(
        tokens=(*source, ".", *target),
        gender=(*(dice.randrange(2) for _ in range(WORDS)), 0),
        meaning=tuple((first + word, second.get(word, first + word)) for word in range(WORDS)),
    )


def _syllables(consonants: str, vowels: str) -> list[str]:
    return ["".join(pair) for pair in itertools.product(consonants, vowels)]


def lesson(spoken: Languages, count: int, dice: random.Random) -> tuple[Tensor, Tensor]:
    """Windows somewhere in a translation, and the word that follows: shapes (count, WINDOW) and (count,)."""
    windows, following = [], []
    for _ in range(count):
        sentence = spoken.sentence(dice)
        right = spoken.translation(sentence)
        written = dice.randrange(LENGTH)
        windows.append((sentence + right[:written])[written:])
        following.append(right[written])
    return torch.tensor(windows), torch.tensor(following)
