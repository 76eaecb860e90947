"""A stand-in for ``libtpu.sdk``: duty cycles as ``GREENGEN_FAKE_TPU`` lists them, in percent: ``45.32,47.11``.

    GREENGEN_LIBTPU=greengen.testing.fake_libtpu

As in Google's documentation of the TPU Monitoring Library: `data()` is a list of texts, one for each chip.
"""

from __future__ import annotations

import os


class _Metric:
    def __init__(self, values: list[str]) -> None:
        self._values = values

    def data(self) -> list[str]:
        """The values."""
        return self._values

    def description(self) -> str:
        """What they are."""
        return "The metric provides a list of duty cycle percentages, one for each accelerator."


class _Monitoring:
    """What is used of ``libtpu.sdk.tpumonitoring``."""

    @staticmethod
    def list_supported_metrics() -> list[str]:
        """The names of metrics."""
        return ["duty_cycle_pct"]

    @staticmethod
    def get_metric(name: str) -> _Metric:
        """One metric. Raises RuntimeError for a name that is not known."""
        if name not in _Monitoring.list_supported_metrics():
            msg = f"unsupported metric: {name}"
            raise RuntimeError(msg)
        return _Metric([text for text in os.environ.get("GREENGEN_FAKE_TPU", "").split(",") if text])


tpumonitoring = _Monitoring()
