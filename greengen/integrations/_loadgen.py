"""MLPerf loadgen's detail log: one `:::MLLOG {json}` per line, of which the last value of each key counts."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greengen.errors import LogError
from greengen.integrations._files import shown
from greengen.integrations._logs import Request

_MARK = ":::MLLOG "

#: Rates as the scenarios name them, in the order in which they are looked for.
_SAMPLES_PER_S = ("result_completed_samples_per_sec", "result_samples_per_second")
_TOKENS_PER_S = ("result_completed_tokens_per_second", "result_tokens_per_second")

_BY_COUNT = "the requests that loadgen counted"


@dataclass(frozen=True, slots=True)
class Loadgen:
    """What a detail log says, by key."""

    path: Path
    values: dict[str, Any]

    def text(self, key: str) -> str:
        """A value that must be there as text. Raises LogError."""
        value = self.values.get(key)
        if not isinstance(value, str):
            why = "the run was made without power, or the log is cut off" if value is None else f"it is {shown(value)}"
            msg = f"{self.path} has no {key}: {why}; name the folder of a run with power"
            raise LogError(msg)
        return value

    def number(self, *keys: str) -> float | None:
        """The first of these that is a finite number above 0."""
        for key in keys:
            value = self.values.get(key)
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0:
                return float(value)
        return None

    def queries(self) -> tuple[int, str]:
        """(how many requests, the denominator in words). Offline puts all samples into one query."""
        count, per_query = self.number("result_query_count"), self.number("generated_samples_per_query") or 1.0
        if count is None or count * per_query >= 2**62:
            msg = f"{self.path} has no result_query_count: the run did not end, or the log is cut off"
            raise LogError(msg)
        if per_query > 1:
            return int(count * per_query), f"result_query_count x generated_samples_per_query = {count * per_query:.0f}"
        return int(count), f"result_query_count = {count:.0f}"

    def model(self) -> str | None:
        """The model as the system under test calls itself: `llama2-70b-Server-SUT` is llama2-70b."""
        name = self.values.get("sut_name")
        if not isinstance(name, str) or not name.strip():
            return None
        scenario = str(self.values.get("effective_scenario", ""))
        for ending in (f"-{scenario}-SUT", f"_{scenario}_SUT", "-SUT", "_SUT"):
            if name.endswith(ending) and len(name) > len(ending):
                return name.removesuffix(ending)
        return name

    def tokens(self, duration_s: float) -> int | None:
        """Output tokens such that energy over tokens is the published power over rate."""
        rate = self.number(*_TOKENS_PER_S)
        return None if rate is None or rate * duration_s >= 2**62 else round(rate * duration_s)

    def request(self, begin: int, end: int, model: str | None) -> Request:
        """All requests of the window as one span: their own times are not in these logs."""
        return Request(
            t0_ns=begin,
            t1_ns=end,
            line=0,
            model=model or self.model(),
            name=f"{self.values.get('effective_scenario', 'loadgen')} run",
            output_tokens=self.tokens((end - begin) / 1e9),
            requests=self.queries()[0],
        )

    def facts(self, mean_w: float, energy_j: float, duration_s: float) -> dict[str, Any]:
        """What the report lists: published results, J per query and per token with their denominators, concurrency."""
        count, denominator = self.queries()
        samples, tokens = self.number(*_SAMPLES_PER_S), self.number(*_TOKENS_PER_S)
        latency_ns = self.number("result_mean_latency_ns")
        per_query = [{"energy_j": energy_j / count, "numerator": "energy of the window", "denominator": denominator}]
        per_token = []
        if samples:
            told = f"{samples:g} completed samples/s, as published"
            per_query.append({"energy_j": mean_w / samples, "numerator": "mean power", "denominator": told})
        if tokens:
            told = f"{tokens:g} completed tokens/s, as published"
            per_token.append({"energy_j": mean_w / tokens, "numerator": "mean power", "denominator": told})
            if samples:
                # The published rates end with the last completion, the window with the log's last entry.
                by_count = tokens * count / samples
                told = f"{by_count:.0f} tokens: the published rate over the time in which the requests were completed"
                per_token.append(
                    {"energy_j": energy_j / by_count, "numerator": "energy of the window", "denominator": told}
                )
        return {
            "scenario": self.values.get("effective_scenario"),
            "validity": self.values.get("result_validity"),
            "query_count": count,
            "energy_per_query": per_query,
            "energy_per_output_token": per_token,
            "mean_latency_s": None if latency_ns is None else latency_ns / 1e9,
            "mean_concurrency": None if latency_ns is None else latency_ns / 1e9 * count / duration_s,
            "mean_concurrency_rule": "mean latency x requests / window (Little's law)",
            "published": {key: value for key, value in self.values.items() if key.startswith("result_")},
        }

    def notes(self) -> list[str]:
        """What a reader must know."""
        notes = []
        if self.number(*_TOKENS_PER_S):
            notes.append(
                "Output tokens are the published tokens per second times the window, so that J per output token has "
                "the published denominator; the log does not count them."
            )
        validity = self.values.get("result_validity")
        if validity != "VALID":
            notes.append(f"The log calls its own result {shown(validity)}.")
        return notes

    def summary(self, facts: dict[str, Any]) -> list[tuple[str, str]]:
        """The same in lines."""
        lines = [
            ("J per request", f"{row['energy_j']:.4g} J: {row['numerator']} / {row['denominator']}")
            for row in facts["energy_per_query"]
        ]
        lines += [
            ("J per output token", f"{row['energy_j']:.4g} J: {row['numerator']} / {row['denominator']}")
            for row in facts["energy_per_output_token"]
        ]
        if facts["mean_concurrency"] is not None:
            lines.append(("mean concurrency", f"{facts['mean_concurrency']:,.0f}: {facts['mean_concurrency_rule']}"))
        return lines


def loadgen(path: Path, text: str) -> Loadgen:
    """Read a detail log. Raises LogError where it is none."""
    values: dict[str, Any] = {}
    found = False
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith(_MARK):
            continue
        found = True
        try:
            entry = json.loads(line.removeprefix(_MARK))
            values[str(entry["key"])] = entry["value"]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            msg = f"{path} line {number} is cut off or damaged: {shown(line)}; copy the log again"
            raise LogError(msg) from error
    if not found:
        msg = f"{path} is not a loadgen log: no line begins {_MARK!r}"
        raise LogError(msg)
    return Loadgen(path, values)
