"""Meters that answer over HTTP, on loopback: a real server with a planted power, and the faults that real ones have.

with HttpMeter(shelly2(lambda t: 60.0)) as meter:
    ...  # GREENGEN_PLUG=shelly2://127.0.0.1:<meter.port>
    meter.fault = "hang"
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, Self

Fault = Literal["", "hang", "500", "html", "drip"]

#: Asked path → the body, or None for 404.
Answers = Callable[[str], str | None]


class PlantedPower:
    """A power, W, and the joules that it adds up to; both as they are when asked.

    counter_j  where the counter began; setting it again is a reset
    """

    def __init__(self, power_w: float, counter_j: float = 0.0, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._power_w, self._clock = power_w, clock
        self._counter_j, self._since_ns = counter_j, clock()

    @property
    def power_w(self) -> float:
        """What is drawn now."""
        return self._power_w

    @power_w.setter
    def power_w(self, power_w: float) -> None:
        self.counter_j = self.counter_j
        self._power_w = power_w

    @property
    def counter_j(self) -> float:
        """What the counter would show without steps."""
        return self._counter_j + self._power_w * (self._clock() - self._since_ns) / 1e9

    @counter_j.setter
    def counter_j(self, counter_j: float) -> None:
        self._counter_j, self._since_ns = counter_j, self._clock()


def shelly1(planted: PlantedPower) -> Answers:
    """A Shelly Plug S and its like: watt-minutes, whole ones."""

    def answer(path: str) -> str | None:
        if path != "/meter/0":
            return None
        told = {"power": round(planted.power_w, 2), "overpower": 0.0, "is_valid": True, "timestamp": 1763682060}
        return json.dumps(told | {"counters": [58.3, 58.1, 58.4], "total": math.floor(planted.counter_j / 60)})

    return answer


def shelly2(planted: PlantedPower) -> Answers:
    """A Shelly Plus Plug S and its like: Wh with three decimals."""

    def answer(path: str) -> str | None:
        if path not in ("/rpc/Switch.GetStatus?id=0", "/rpc/PM1.GetStatus?id=0"):
            return None
        counted = {"total": math.floor(planted.counter_j / 3.6) / 1000, "by_minute": [971.2, 968.0, 972.9]}
        told = {"id": 0, "source": "init", "output": True, "apower": round(planted.power_w, 1), "voltage": 231.4}
        return json.dumps(told | {"current": 0.29, "aenergy": counted | {"minute_ts": 1763682060}})

    return answer


def tasmota(planted: PlantedPower) -> Answers:
    """A plug with Tasmota: whole watts, kWh with three decimals."""

    def answer(path: str) -> str | None:
        if path != "/cm?cmnd=Status%208":
            return None
        energy = {"TotalStartTime": "2026-01-01T00:00:00", "Total": math.floor(planted.counter_j / 3600) / 1000}
        energy |= {"Yesterday": 0.412, "Today": 0.377, "Power": round(planted.power_w), "Factor": 0.8, "Voltage": 231}
        return json.dumps({"StatusSNS": {"Time": "2026-11-20T23:58:01", "ENERGY": energy}})

    return answer


def dcgm(boards: Sequence[tuple[str, PlantedPower]], pods: Sequence[str] = ()) -> Answers:
    """A dcgm-exporter: (UUID, power) of each GPU, and the pods that they were given to."""

    def answer(path: str) -> str | None:
        if path != "/metrics":
            return None
        lines = ["# HELP DCGM_FI_DEV_POWER_USAGE Power draw (in W).", "# TYPE DCGM_FI_DEV_POWER_USAGE gauge"]
        labels = [
            f'gpu="{index}",UUID="{uuid}",pci_bus_id="00000000:0{index}:00.0",device="nvidia{index}",'
            f'modelName="NVIDIA L40S",Hostname="node",DCGM_FI_DRIVER_VERSION="595.58.03"'
            + (f',container="c",namespace="n",pod="{pods[index]}"' if pods else "")
            for index, (uuid, _) in enumerate(boards)
        ]
        told = list(zip(labels, (planted for _, planted in boards), strict=True))
        lines += [f"DCGM_FI_DEV_POWER_USAGE{{{label}}} {planted.power_w:.6f}" for label, planted in told]
        lines += ["# TYPE DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION counter"]
        lines += [
            f"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{{{label}}} {math.floor(planted.counter_j * 1000)}"
            for label, planted in told
        ]
        return "\n".join(lines) + "\n"

    return answer


class HttpMeter:
    """A server on loopback that gives `answers` to GET. `fault` may change at any time, `asked` lists what came.

    challenge  what a request without an Authorization header is answered, with 401; "": nothing is asked for
    """

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.fault: Fault = ""
        self.asked: list[str] = []
        self.authorizations: list[str] = []
        self.challenge = ""
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="http-meter")

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        meter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                meter.asked.append(self.path)
                meter.authorizations.append(self.headers.get("Authorization", ""))
                if meter.fault == "hang":
                    meter._released.wait(60)
                    return
                body = "<html>busy</html>" if meter.fault == "html" else meter.answers(self.path)
                status = 500 if meter.fault == "500" else 404 if body is None else 200
                locked = bool(meter.challenge) and not self.headers.get("Authorization")
                if locked:
                    status, body = 401, ""
                data = ("" if body is None else body).encode()
                try:
                    self.send_response(status)
                    if locked:
                        self.send_header("WWW-Authenticate", meter.challenge)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    for at in range(0, len(data), 1 if meter.fault == "drip" else len(data) or 1):
                        self.wfile.write(data[at : at + 1] if meter.fault == "drip" else data)
                        if meter.fault == "drip" and meter._released.wait(0.3):
                            return
                except OSError:
                    return  # the other side has gone

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name in http.server
                """Say nothing."""

        return Handler
