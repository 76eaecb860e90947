"""A server tier: takes requests from many connections, and answers those that wait together in one batch."""

from __future__ import annotations

import queue
import socket
import threading
from concurrent.futures import Future
from multiprocessing.connection import Connection as Pipe

import torch

import greengen

from tiers.wire import Connection, listening
from translate.learn import translate
from translate.model import WindowLM
from translate.task import LENGTH

Waiting = tuple[greengen.Span, list[int], Future[list[int]]]


def serve(pipe: Pipe, tier: str, model: WindowLM, batch: int) -> None:
    """Be a tier: tell the own port, then record into each file that the pipe names until it says so."""
    torch.set_num_threads(1)
    waiting: queue.SimpleQueue[Waiting] = queue.SimpleQueue()
    listener = listening()
    threading.Thread(target=_compute, args=(model, batch, waiting), daemon=True).start()
    threading.Thread(target=_accept, args=(listener, waiting), daemon=True).start()
    pipe.send(listener.getsockname()[1])
    while (path := pipe.recv()) is not None:
        with greengen.profile(path, tier=tier, force=True):
            pipe.send("recording")
            pipe.recv()
        pipe.send("recorded")


def _accept(listener: socket.socket, waiting: queue.SimpleQueue[Waiting]) -> None:
    while True:
        stream, _ = listener.accept()
        threading.Thread(target=_answer, args=(Connection(stream), waiting), daemon=True).start()


def _answer(connection: Connection, waiting: queue.SimpleQueue[Waiting]) -> None:
    """Answer one connection, request by request."""
    while (message := connection.receive()) is not None:
        with greengen.request(model="translator", traceparent=message["traceparent"]) as req:
            answer: Future[list[int]] = Future()
            req.phase("queue")
            waiting.put((req, message["sentence"], answer))
            words = answer.result()
            req.tokens(input=LENGTH, output=LENGTH)
        connection.send({"words": words})
    connection.close()


def _compute(model: WindowLM, batch: int, waiting: queue.SimpleQueue[Waiting]) -> None:
    """Take all that waits, up to a full batch, and translate it at once."""
    while True:
        taken = [waiting.get()]
        while len(taken) < batch and not waiting.empty():
            taken.append(waiting.get())
        for req, _, _ in taken:
            req.phase("decode")
        answers = translate(model, torch.tensor([sentence for _, sentence, _ in taken])).tolist()
        for (_, _, answer), words in zip(taken, answers, strict=True):
            answer.set_result(words)
