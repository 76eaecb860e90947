"""Redfish over a real HTTP server on loopback: documents of real machines, and those of DMTF's guide."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from greengen.collector import Collector, Discovery, Event, Host, Sample
from greengen.collectors.redfish import RedfishCollector, power_w
from greengen.testing.http_meters import Fault, HttpMeter
from tests.unit.readings import first, opened

CAPTURED = Path(__file__).parents[3] / "shared/data/traces/telegraf_smi_redfish"
captured = pytest.mark.skipif(not CAPTURED.exists(), reason=f"the captured documents are not at {CAPTURED}")

ENVIRONMENT = {"@odata.type": "#EnvironmentMetrics.v1_5_0.EnvironmentMetrics", "PowerWatts": {"Reading": 374}}
POWER = {"PowerControl": [{"PowerConsumedWatts": 344, "PowerRequestedWatts": 800}, {"PowerConsumedWatts": 120}]}
OUTLET = {"@odata.type": "#Outlet.v1_4_0.Outlet", "PowerWatts": {"Reading": 184.4}, "EnergykWh": {"Reading": 36166}}
ONE = {"Members": [{"@odata.id": "/redfish/v1/Chassis/1"}]}
TWO = {"Members": [{"@odata.id": "/redfish/v1/Chassis/Self"}, {"@odata.id": "/redfish/v1/Chassis/HGX_GPU_0"}]}


def service(documents: Mapping[str, Any]) -> HttpMeter:
    return HttpMeter(lambda path: json.dumps(documents[path]) if path in documents else None)


def asking(url: str) -> RedfishCollector:
    return RedfishCollector(Host(environ={"GREENGEN_REDFISH": url}))


def test_is_a_collector_that_asks_nobody_by_default() -> None:
    collector = RedfishCollector(Host())
    assert isinstance(collector, Collector)
    assert collector.discover() == Discovery()
    assert list(collector.read()) == []


@captured
def test_documents_of_real_machines() -> None:
    expected = json.loads((CAPTURED / "expected.json").read_text())["expected"]
    dell = json.loads((CAPTURED / "redfish/dell/dell_power.json").read_text())
    assert power_w(dell) == expected["dell_power.json"]["PowerConsumedWatts"]
    hp = json.loads((CAPTURED / "redfish/hp/hp_power.json").read_text())
    assert power_w(hp) == expected["hp_power.json"][0]["PowerConsumedWatts"]
    supply = json.loads((CAPTURED / "redfish/hp/power_subsys/hp_power_subsys_psu_1.json").read_text())
    with pytest.raises(ValueError, match="neither PowerWatts nor PowerControl"):
        power_w(supply)


@captured
def test_a_real_document_over_http() -> None:
    dell = json.loads((CAPTURED / "redfish/dell/dell_power.json").read_text())
    chassis = "/redfish/v1/Chassis/System.Embedded.1"
    with (
        service({f"{chassis}/Power": dell}) as bmc,
        opened(asking(f"http://127.0.0.1:{bmc.port}{chassis}")) as (made, found),
    ):
        [domain] = found.domains
        assert domain.uid == f"redfish:127.0.0.1:{bmc.port}/Chassis/System.Embedded.1"
        assert first(made, Sample).value == 429


@pytest.mark.parametrize(
    ("named", "documents", "watts"),
    [
        ("/redfish/v1/Chassis/1", {"/redfish/v1/Chassis/1/EnvironmentMetrics": ENVIRONMENT}, 374),
        ("/redfish/v1/Chassis/1/", {"/redfish/v1/Chassis/1/Power": POWER}, 344),
        ("/redfish/v1/Chassis/1/Power", {"/redfish/v1/Chassis/1/Power": POWER}, 344),
        ("", {"/redfish/v1/Chassis": ONE, "/redfish/v1/Chassis/1/Power": POWER}, 344),
        (
            "/redfish/v1/Chassis/1",
            {
                "/redfish/v1/Chassis/1/EnvironmentMetrics": {"PowerWatts": {"Reading": None}},
                "/redfish/v1/Chassis/1/Power": POWER,
            },
            344,
        ),
        (
            "/redfish/v1/PowerEquipment/RackPDUs/1/Outlets/A1",
            {"/redfish/v1/PowerEquipment/RackPDUs/1/Outlets/A1": OUTLET},
            184.4,
        ),
    ],
)
def test_where_the_power_is(named: str, documents: dict[str, Any], watts: float) -> None:
    with (
        service(documents) as bmc,
        opened(asking(f"http://me:s%2Ccret@127.0.0.1:{bmc.port}{named}")) as (collector, found),
    ):
        [domain] = found.domains
        assert (domain.kind, domain.contains, domain.alternative, domain.scope) == ("wall", ("*",), True, "host")
        assert "cret" not in repr(domain)
        sample = first(collector, Sample)
        assert (sample.domain, sample.value, sample.kind) == (domain.uid, watts, "power")
        assert set(bmc.authorizations) == {"Basic bWU6cyxjcmV0"}
        # Found once, and then asked for directly.
        assert len([path for path in bmc.asked if bmc.answers(path) is None]) <= 2


@pytest.mark.parametrize(
    ("documents", "words"),
    [
        ({}, "404"),
        ({"/redfish/v1/Chassis": TWO}, "name one of its 2 chassis: /redfish/v1/Chassis/Self"),
        ({"/redfish/v1/Chassis": ONE, "/redfish/v1/Chassis/1/Power": {"PowerControl": []}}, "404"),
        (
            {"/redfish/v1/Chassis": ONE, "/redfish/v1/Chassis/1/EnvironmentMetrics": {"PowerWatts": {"Reading": 0}}},
            "says 0 W",
        ),
        (
            {
                "/redfish/v1/Chassis": ONE,
                "/redfish/v1/Chassis/1/EnvironmentMetrics": {"PowerWatts": {"Reading": "N/A"}},
            },
            "no number",
        ),
    ],
)
def test_what_says_no_power_is_no_domain(documents: dict[str, Any], words: str) -> None:
    with service(documents) as bmc, opened(asking(f"http://127.0.0.1:{bmc.port}")) as (_, found):
        assert found.domains == ()
        assert words in found.unavailable[0].reason


@pytest.mark.parametrize("url", ["bmc", "ftp://bmc", "https://", "https://bmc:port"])
def test_what_cannot_be_configured_is_told(url: str) -> None:
    with opened(asking(url)) as (_, found):
        assert "GREENGEN_REDFISH" in found.unavailable[0].reason


def test_certificates_that_cannot_be_read() -> None:
    environ = {"GREENGEN_REDFISH": "https://127.0.0.1:1", "GREENGEN_REDFISH_CA": "/none.pem"}
    [why] = RedfishCollector(Host(environ=environ)).discover().unavailable
    assert "No such file" in why.reason


def test_a_certificate_of_nobody_is_refused() -> None:
    """A server without TLS stands for one: what matters is that nothing is sent before the other side is known."""
    with (
        service({"/redfish/v1/Chassis": ONE}) as bmc,
        opened(asking(f"https://me:secret@127.0.0.1:{bmc.port}")) as (_, found),
    ):
        assert "SSL" in found.unavailable[0].reason
        assert bmc.authorizations == []


@pytest.mark.parametrize(("fault", "words"), [("500", "500"), ("html", "no JSON")])
def test_a_fault_is_a_gap(fault: Fault, words: str) -> None:
    with (
        service({"/redfish/v1/Chassis/1/EnvironmentMetrics": ENVIRONMENT}) as bmc,
        opened(asking(f"http://127.0.0.1:{bmc.port}/redfish/v1/Chassis/1")) as (collector, found),
    ):
        bmc.fault = fault
        event = first(collector, Event)
        assert (event.kind, event.subject) == ("gap", found.domains[0].uid)
        assert words in event.reason
