"""A server on loopback that answers as the sources of grid intensity do, and what each of them says.

The shapes are those of the sources' own pages:
Electricity Maps  https://app.electricitymaps.com/docs (carbon-intensity/past-range)
WattTime          https://docs.watttime.org (login, v3/historical)
UK                https://carbon-intensity.github.io/api-definitions/ (intensity/{from}/{to}), and its 400
ENTSO-E           https://transparency.entsoe.eu/content/static_content/Static%20content/web%20api/Guide.html (A75)
                  with the acknowledgement as restated in https://gist.github.com/jstaffans/798360bd82aafbfbd5ab362e7f76e23a
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qsl, urlsplit

HOUR = "2026-11-20T10:00:00.000Z"

DEFAULT: Mapping[str, str] = {
    "ELECTRICITYMAPS_TOKEN": "em-secret",
    "WATTTIME_USER": "someone",
    "WATTTIME_PASSWORD": "wt-secret",
    "ENTSOE_TOKEN": "entsoe-secret",
}


@dataclass
class Reply:
    """One answer: `hang` gives none until the server ends."""

    body: str = "{}"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False


class GridServer:
    """Asked path and query → an answer. `asked` lists (path, query, headers) in order."""

    def __init__(self, answer: Callable[[str, dict[str, str]], Reply]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self._end = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="grid-server")

    def environ(self, cache: object) -> dict[str, str]:
        """An environment in which every source is this server, with keys, and an empty cache."""
        url = f"http://127.0.0.1:{self._server.server_address[1]}"
        urls = {f"GREENGEN_{name}_URL": url for name in ("ELECTRICITYMAPS", "WATTTIME", "UK", "ENTSOE", "METADATA")}
        return {**DEFAULT, **urls, "XDG_CACHE_HOME": str(cache)}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = dict(parse_qsl(parts.query))
                server.asked.append((parts.path, query, dict(self.headers)))
                reply = server.answer(parts.path, query)
                if reply.hang:
                    server._end.wait(60)
                    return
                data = reply.body.encode()
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(data)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name in http.server
                """Say nothing."""

        return Handler


def always(reply: Reply) -> Callable[[str, dict[str, str]], Reply]:
    return lambda path, query: reply


def electricity_maps(figures: Mapping[str, float | None], zone: str = "DE", **row: object) -> str:
    """past-range: figures by time."""
    rows = [
        {
            "zone": zone,
            "carbonIntensity": figure,
            "datetime": at,
            "updatedAt": "2026-11-20T18:52:00.000Z",
            "createdAt": "2026-11-17T10:51:00.000Z",
            "emissionFactorType": "lifecycle",
            "isEstimated": False,
            "estimationMethod": None,
        }
        | row
        for at, figure in figures.items()
    ]
    return json.dumps({"zone": zone, "data": rows})


def watttime(values: Mapping[str, float | None], **meta: object) -> Callable[[str, dict[str, str]], Reply]:
    told = {
        "data_point_period_seconds": 300,
        "region": "CAISO_NORTH",
        "warnings": [],
        "signal_type": "co2_moer",
        "model": {"date": "2026-03-01"},
        "units": "lbs_co2_per_mwh",
        "generated_at_period_seconds": 300,
    } | meta
    rows = [{"point_time": at, "value": value} for at, value in values.items()]

    def answer(path: str, query: dict[str, str]) -> Reply:
        if path == "/login":
            return Reply(json.dumps({"token": "bearer-secret"}))
        return Reply(json.dumps({"data": rows, "meta": told}))

    return answer


def uk(rows: Sequence[tuple[str, str, float | None, float | None]]) -> str:
    """(from, to, forecast, actual)."""
    told = [
        {"from": a, "to": b, "intensity": {"forecast": forecast, "actual": actual, "index": "moderate"}}
        for a, b, forecast, actual in rows
    ]
    return json.dumps({"data": told})


UK_400 = json.dumps(
    {"error": {"code": "400 Bad Request", "message": "Please enter a valid date in ISO8601 format YYYY-MM-DDThh:mmZ"}}
)


def entsoe(*series: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<GL_MarketDocument xmlns="urn:iec62325.351:tc57wg16:451-6:generationloaddocument:3:0">'
        "<mRID>731ff11ed02a40a88d8e35c6daec9254</mRID><type>A75</type><process.processType>A16</process.processType>"
        f"{''.join(series)}</GL_MarketDocument>"
    )


def entsoe_series(
    plant: str,
    points: Mapping[int, float],
    *,
    area: str = "10YFR-RTE------C",
    resolution: str = "PT60M",
    curve: str = "A01",
    span: tuple[str, str] = ("2026-11-20T10:00Z", "2026-11-20T12:00Z"),
    into: str = "inBiddingZone",
) -> str:
    told = "".join(f"<Point><position>{at}</position><quantity>{mw}</quantity></Point>" for at, mw in points.items())
    return (
        "<TimeSeries><mRID>1</mRID><businessType>A01</businessType><objectAggregation>A08</objectAggregation>"
        f'<{into}_Domain.mRID codingScheme="A01">{area}</{into}_Domain.mRID>'
        f"<quantity_Measure_Unit.name>MAW</quantity_Measure_Unit.name><curveType>{curve}</curveType>"
        f"<MktPSRType><psrType>{plant}</psrType></MktPSRType>"
        f"<Period><timeInterval><start>{span[0]}</start><end>{span[1]}</end></timeInterval>"
        f"<resolution>{resolution}</resolution>{told}</Period></TimeSeries>"
    )


ENTSOE_NOTHING = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<Acknowledgement_MarketDocument xmlns="urn:iec62325.351:tc57wg16:451-1:acknowledgementdocument:7:0">'
    "<mRID>bad7ffa5-1a1b-4</mRID><createdDateTime>2026-11-20T20:14:35Z</createdDateTime><Reason><code>999</code>"
    "<text>No matching data found for Data item AGGREGATED_GENERATION_PER_TYPE_R3 [16.1.B&amp;C]</text></Reason>"
    "</Acknowledgement_MarketDocument>"
)
