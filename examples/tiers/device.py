"""The device tier: people who ask, each on a device that answers itself, asks a server, or decides between the two."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection as Pipe

import torch

import greengen

from tiers.wire import Connection, connected
from translate.learn import translate
from translate.model import WindowLM
from translate.smaller import first_exit
from translate.task import LENGTH

#: A device keeps an answer of its first block to itself where it is so sure of every word.
SURE = 0.8


@dataclass(frozen=True, slots=True)
class Load:
    """What the devices do: how many people ask at once, for how long, and who answers.

    here  nothing: a server answers; "first": the first block answers, where it is sure; "all": the whole model
    port  of the link to a server; None where there is none
    """

    path: str
    people: int
    seconds: float
    here: str
    port: int | None


@dataclass(frozen=True, slots=True)
class Done:
    """Requests answered, and how many of them by a server."""

    requests: int
    sent_on: int


def use(pipe: Pipe, model: WindowLM, asked: list[list[int]]) -> None:
    """Be the devices: do each load that the pipe names, and tell what was done."""
    torch.set_num_threads(1)
    while (load := pipe.recv()) is not None:
        with greengen.profile(load.path, tier="device", force=True):
            done = _Devices(model, load, asked).run()
        pipe.send(done)


class _Devices:
    """All devices of one load. They compute in turn: each has a processor of its own, and we have one for all."""

    def __init__(self, model: WindowLM, load: Load, asked: Sequence[list[int]]) -> None:
        self._model, self._load, self._asked = model, load, asked
        self._processor, self._next = threading.Lock(), count()
        self._end = time.monotonic() + load.seconds

    def run(self) -> Done:
        with ThreadPoolExecutor(self._load.people) as people:
            told = [future.result() for future in [people.submit(self._person) for _ in range(self._load.people)]]
        return Done(sum(done.requests for done in told), sum(done.sent_on for done in told))

    def _person(self) -> Done:
        """Ask one question after another."""
        requests = sent_on = 0
        with ExitStack() as stack:
            server = stack.enter_context(connected(self._load.port)) if self._load.port is not None else None
            while time.monotonic() < self._end:
                question = next(self._next) % len(self._asked)
                _, was_sent = self._ask(self._asked[question], server)
                requests, sent_on = requests + 1, sent_on + was_sent
        return Done(requests, sent_on)

    def _ask(self, sentence: list[int], server: Connection | None) -> tuple[list[int], bool]:
        """One request: the answer, and whether a server gave it."""
        answer: list[int] | None = None
        with ExitStack() as processor:
            if self._load.here:
                # Waiting for our one processor is no part of a request: each device would have its own.
                processor.enter_context(self._processor)
            req = greengen.request(model="translator").start()
            if self._load.here:
                answer = self._compute(sentence)
        if answer is not None or server is None:
            req.tokens(input=LENGTH, output=LENGTH).end()
            return answer or [], False
        before = server.moved_bytes
        server.send({"traceparent": req.traceparent, "sentence": sentence})
        req.phase("queue")  # it waits, and all joules of that time are others'
        reply = server.receive()
        req.phase("transfer")
        req.tokens(input=LENGTH, output=LENGTH).label(network_bytes=server.moved_bytes - before).end()
        return (reply or {})["words"], True

    def _compute(self, sentence: list[int]) -> list[int] | None:
        """The device's own answer; None where its first block is not sure of every word."""
        question = torch.tensor([sentence])
        if self._load.here == "all":
            return translate(self._model, question)[0].tolist()
        words, sure = first_exit(self._model, question)
        return words[0].tolist() if float(sure[0]) >= SURE else None
