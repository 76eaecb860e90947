"""Engine steps: which requests an iteration served, and how many tokens of each.

A serving engine works on many requests at once. What a step is made of says how its energy divides;
a request that does the same in many steps in a row is written as one row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import count
from typing import Any, Self

from greengen.recording.active import STATE, start
from greengen.recording.columns import text, texts
from greengen.recording.spans import Span
from greengen.recording.writer import FLUSH_S, Writer

#: (request: a span or its uid, prefill tokens, decode tokens, context tokens) as scheduled in one step.
Item = tuple[Span | str, int, int, int]

_next_number = count(1).__next__
_ENGINE = "INSERT OR IGNORE INTO engine(uid, boot, process, model, devices) VALUES(?,?,?,?,?)"
_STEP = "INSERT OR REPLACE INTO step VALUES((SELECT id FROM engine WHERE uid=?),?,?,?,?)"
_STINT = "INSERT OR REPLACE INTO stint VALUES((SELECT id FROM engine WHERE uid=?),?,?,?,?,?,?,?)"

#: A stint that is older is written and begun anew: kill -9 loses no more than of spans.
_LONGEST_NS = int(FLUSH_S * 1e9)


class Engine:
    """Tells the recording what each iteration of a serving engine was made of. Not for two threads at once.

    model    whose engine it is, where its requests do not say
    devices  uids of the domains it runs on (all ranks of one model), or of MIG slices of them,
             ``nvml:MIG-<UUID>`` as nvidia-smi -L prints it; none: all
    """

    def __init__(self, model: str | None = None, *, devices: Iterable[str] | str = ()) -> None:
        self.model, self.devices = model, devices
        self._writer: Writer | None = None
        self._uid = ""
        self._seq = 0
        # span uid → [first, last, prefill, decode, context, growth, since_ns]
        self._stints: dict[str, list[int]] = {}

    def step(self, items: Iterable[Item], t0_ns: int, t1_ns: int, *, padding: int = 0) -> None:
        """One iteration, from `t0_ns` to `t1_ns` (monotonic). Without a recording it does nothing.

        items    the requests that it served, with their tokens as scheduled: a prompt's that were
                 computed (not those found in a cache), those written (drafted ones too), and those
                 in the cache before it; what a request's sequences did in a step adds up
        padding  tokens that were computed for nobody
        """
        writer = self._join()
        if writer is None:
            return
        self._seq += 1
        seq = self._seq
        writer.put(_STEP, self._uid, seq, int(t0_ns), int(t1_ns), int(padding))
        stints = self._stints
        if not stints:
            writer.at_close.add(self.close)
        for uid, prefill, decode, context in _by_request(items):
            stint = stints.get(uid)
            if stint is not None:
                first, last, had_prefill, had_decode, had_context, growth, since_ns = stint
                same = last == seq - 1 and had_prefill == prefill and had_decode == decode
                # A request that was interrupted and begins anew holds less than before: that is another stint.
                same = same and context >= had_context
                if same and first == last:
                    growth = stint[5] = context - had_context
                if same and context == had_context + growth * (seq - first) and t0_ns - since_ns < _LONGEST_NS:
                    stint[1] = seq
                    continue
                self._write(writer, uid, stint)
            stints[uid] = [seq, seq, int(prefill), int(decode), int(context), 0, int(t0_ns)]
        over = [uid for uid, stint in stints.items() if stint[1] < seq]
        for uid in over:
            self._write(writer, uid, stints.pop(uid))

    def close(self) -> None:
        """Write what still goes on."""
        writer, stints = self._writer, self._stints
        self._stints = {}
        if writer is not None:
            writer.at_close.discard(self.close)
            for uid, stint in list(stints.items()):
                self._write(writer, uid, stint)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _join(self) -> Writer | None:
        """The recording's writer; in another recording or process this is another engine."""
        writer = STATE.writer
        if writer is not self._writer:
            self._writer, self._stints, self._seq = writer, {}, 0
            if writer is not None:
                if not writer.running:
                    start(writer)
                self._uid = f"{writer.uid}/engine-{_next_number()}"
                devices = json.dumps(texts(self.devices))
                writer.put(_ENGINE, self._uid, writer.boot, writer.uid, text(self.model), devices)
        return writer

    def _write(self, writer: Writer, uid: str, stint: list[int]) -> None:
        first, last, *work = stint[:6]
        values: list[Any] = [self._uid, first, uid, last, *work]
        writer.put(_STINT, *values)


def _by_request(items: Iterable[Item]) -> Iterable[tuple[str, int, int, int]]:
    """Each request of a step once."""
    found: dict[str, tuple[str, int, int, int]] = {}
    for request, prefill, decode, context in items:
        uid = request if isinstance(request, str) else request.uid
        if uid is None:
            continue
        _, *more = found.get(uid, (uid, 0, 0, 0))
        found[uid] = (uid, prefill + more[0], decode + more[1], context + more[2])
    return found.values()
