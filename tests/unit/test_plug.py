"""Smart plugs, over a real HTTP server on loopback that says what their documents say."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from greengen.collector import Collector, Discovery, Event, Host, Sample
from greengen.collectors._digest import authorization
from greengen.collectors._plug_formats import parse_plug
from greengen.collectors.plug import PlugCollector, _Meter
from greengen.testing.http_meters import Answers, Fault, HttpMeter, PlantedPower, shelly1, shelly2, tasmota
from tests.unit.readings import Row, gather, only, opened

KINDS: dict[str, Callable[[PlantedPower], Answers]] = {"shelly1": shelly1, "shelly2": shelly2, "tasmota": tasmota}


def plugs(*urls: str) -> PlugCollector:
    return PlugCollector(Host(environ={"GREENGEN_PLUG": ",".join(urls)}))


def has_event(rows: Sequence[Row]) -> bool:
    return bool(only(rows, Event))


def test_is_a_collector() -> None:
    assert isinstance(PlugCollector(Host()), Collector)


def test_nothing_is_asked_unless_it_is_configured() -> None:
    before = threading.active_count()
    with HttpMeter(shelly2(PlantedPower(60.0))) as meter:
        for environ in ({}, {"GREENGEN_PLUG": " , "}):
            collector = PlugCollector(Host(environ=environ))
            assert collector.discover() == Discovery()
            assert list(collector.read()) == []
        assert threading.active_count() == before + 1
        assert meter.asked == []


@pytest.mark.parametrize("kind", KINDS)
def test_power_at_the_wall(kind: str) -> None:
    with HttpMeter(KINDS[kind](PlantedPower(58.0))) as meter, opened(plugs(f"{kind}://127.0.0.1:{meter.port}")) as made:
        collector, found = made
        [domain] = found.domains
        assert found.unavailable == ()
        assert domain.uid == f"plug:127.0.0.1:{meter.port}/0"
        assert (domain.kind, domain.scope, domain.reading, domain.contains) == ("wall", "host", "power", ("*",))
        assert domain.alternative
        assert domain.grade == "measured"
        assert "sole tenancy" in domain.split_reason
        begun_ns = time.monotonic_ns()
        rows = gather(collector, lambda rows: len(rows) >= 3)
        samples = [row for row in rows if isinstance(row, Sample)]
        assert len(samples) == len(rows)
        assert {(sample.domain, sample.value, sample.kind) for sample in samples} == {(domain.uid, 58.0, "power")}
        times = [sample.t_ns for sample in samples]
        assert times == sorted(set(times))
        # Asked for by the first reading, not half a period later.
        assert 0 < times[0] - begun_ns < 0.25e9


@pytest.mark.parametrize(("kind", "step_j"), [("shelly1", 60), ("shelly2", 3.6), ("tasmota", 3600)])
def test_counter_in_its_unit(kind: str, step_j: float) -> None:
    planted = PlantedPower(58.0, counter_j=7_200_000.0)
    with (
        HttpMeter(KINDS[kind](planted)) as meter,
        opened(plugs(f"{kind}://127.0.0.1:{meter.port}/0?reading=energy")) as (collector, found),
    ):
        [domain] = found.domains
        assert (domain.reading, domain.resolution_j) == ("energy", step_j)
        [first, *_] = gather(collector, bool)
        assert isinstance(first, Sample)
        assert first.kind == "energy"
        assert first.value == pytest.approx(7_200_000.0, abs=step_j)


def test_several_plugs_and_a_meter_without_a_relay() -> None:
    with (
        HttpMeter(shelly2(PlantedPower(200.0))) as a,
        HttpMeter(tasmota(PlantedPower(90.0))) as b,
        opened(plugs(f"shelly2://127.0.0.1:{a.port}/pm1:0", f"tasmota://127.0.0.1:{b.port}")) as (collector, found),
    ):
        uids = {domain.uid for domain in found.domains}
        rows = gather(collector, lambda rows: {row.domain for row in rows if isinstance(row, Sample)} == uids)
        assert a.asked[0] == "/rpc/PM1.GetStatus?id=0"
        assert {row.value for row in rows if isinstance(row, Sample)} == {200.0, 90.0}


def test_passwords_are_sent_and_not_shown() -> None:
    with (
        HttpMeter(shelly1(PlantedPower(50.0))) as a,
        HttpMeter(lambda path: json.dumps({"WARNING": f"Need user=<username>{path[:0]}"})) as b,
        opened(plugs(f"shelly1://me:s%40cret@127.0.0.1:{a.port}", f"tasmota://me:s3cret@127.0.0.1:{b.port}")) as (
            _,
            found,
        ),
    ):
        assert a.authorizations[0] == "Basic bWU6c0BjcmV0"
        assert b.asked[0] == "/cm?user=me&password=s3cret&cmnd=Status%208"
        [domain], [why] = found.domains, found.unavailable
        assert "Need user" in why.reason
        assert "cret" not in repr((domain, why))


DIGEST = 'Digest qop="auth", realm="shellyplus1pm-f00d", nonce="1652179543", algorithm=SHA-256'


def test_digest_is_that_of_the_rfc() -> None:
    """The example of RFC 7616, 3.9.1."""
    challenge = (
        'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    told = authorization(challenge, ("Mufasa", "Circle of Life"), "/dir/index.html", cnonce)
    assert 'response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"' in told
    assert 'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"' in told


def test_a_locked_shelly() -> None:
    with HttpMeter(shelly2(PlantedPower(58.0))) as meter:
        meter.challenge = DIGEST
        with opened(plugs(f"shelly2://admin:secret@127.0.0.1:{meter.port}")) as (collector, found):
            assert len(found.domains) == 1
            gather(collector, bool)
            sent = next(header for header in meter.authorizations if header)
            assert 'username="admin", realm="shellyplus1pm-f00d", nonce="1652179543"' in sent
            assert 'uri="/rpc/Switch.GetStatus?id=0"' in sent
            assert "secret" not in sent
        with opened(plugs(f"shelly2://127.0.0.1:{meter.port}")) as (_, found):
            assert "401 Unauthorized" in found.unavailable[0].reason
            assert "user:password@" in found.unavailable[0].remedy
        meter.challenge = 'Digest qop="auth", realm="x", nonce="y"'
        with opened(plugs(f"shelly2://admin:secret@127.0.0.1:{meter.port}")) as (_, found):
            assert "not known here" in found.unavailable[0].reason


def test_half_a_password_is_not_shown_either() -> None:
    with opened(plugs("shelly1://me:hunter/2@10.0.0.1")) as (_, found):
        assert "hunter" not in repr(found)
        assert "%2F" in found.unavailable[0].reason


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kasa://10.0.0.1", "kasa"),
        ("shelly2:10.0.0.1", "scheme://address"),
        ("shelly2://h/relay:0", "no channel"),
        ("shelly2://h?every=1", "not known"),
        ("tasmota://h?reading=both", "reading=power"),
        ("shelly1://h:port", "scheme://address"),
    ],
)
def test_what_cannot_be_configured_is_told(text: str, words: str) -> None:
    with opened(plugs(text)) as (_, found):
        assert found.domains == ()
        [why] = found.unavailable
        assert words in why.reason
        assert "GREENGEN_PLUG=shelly2://" in why.remedy


# --- faults at the start --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "words"), [("500", "500 Internal Server Error"), ("html", "no JSON"), ("drip", "within 2 s")]
)
def test_a_plug_that_answers_wrongly_is_not_a_domain(fault: Fault, words: str) -> None:
    with HttpMeter(shelly2(PlantedPower(60.0))) as meter:
        meter.fault = fault
        with opened(plugs(f"shelly2://127.0.0.1:{meter.port}")) as (collector, found):
            assert found.domains == ()
            assert words in found.unavailable[0].reason
            assert list(collector.read()) == []


def test_a_plug_that_is_not_there() -> None:
    with HttpMeter(shelly2(PlantedPower(60.0))) as meter:
        port = meter.port
    with opened(plugs(f"shelly2://127.0.0.1:{port}")) as (_, found):
        assert "refused" in found.unavailable[0].reason


def test_one_that_hangs_costs_the_start_some_seconds_and_the_others_nothing() -> None:
    with HttpMeter(shelly2(PlantedPower(60.0))) as well, HttpMeter(shelly2(PlantedPower(60.0))) as ill:
        ill.fault = "hang"
        begun = time.monotonic()
        with opened(plugs(f"shelly2://127.0.0.1:{ill.port}", f"shelly2://127.0.0.1:{well.port}")) as (_, found):
            assert time.monotonic() - begun < 4.5
            assert [domain.uid for domain in found.domains] == [f"plug:127.0.0.1:{well.port}/0"]
            assert "no answer within 2 s" in found.unavailable[0].reason


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ('{"id":0,"apower":0.0,"aenergy":{"total":1.0}}', "says 0 W"),
        ('{"id":0,"apower":-12.0}', "says -12 W"),
        ('{"id":0,"apower":58300}', "more than a plug can carry"),
        ('{"id":0,"apower":null}', "no number"),
        ('{"id":0,"apower":NaN}', "no number"),
        ('{"id":0,"apower":"58.3"}', "no number"),
        ('{"id":0,"apower":true}', "no number"),
        ('{"id":0}', "no number"),
        (f'{{"id":0,"apower":{"9" * 400}}}', "no number"),
        ("[58.3]", "no JSON object"),
        ('{"apower":' * 50_000, "no JSON"),
        ("", "no JSON"),
    ],
)
def test_what_is_no_power_is_never_a_number(told: str, words: str) -> None:
    with HttpMeter(lambda path: told) as meter, opened(plugs(f"shelly2://127.0.0.1:{meter.port}")) as (_, found):
        assert found.domains == ()
        assert words in found.unavailable[0].reason


def test_what_is_no_http_is_shown_as_text() -> None:
    """What a device says is no escape sequence to whoever reads of it in a terminal."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"\x1b[2J\r\n\r\n")

        answering = threading.Thread(target=answer, daemon=True)
        answering.start()
        with opened(plugs(f"shelly2://127.0.0.1:{server.getsockname()[1]}")) as (_, found):
            [why] = found.unavailable
        answering.join()
    assert "no HTTP answer" in why.reason
    assert why.reason.isprintable()


@pytest.mark.parametrize(
    ("kind", "told", "words"),
    [
        ("shelly1", '{"power":58.3,"is_valid":false,"total":1}', "not valid"),
        ("tasmota", '{"StatusSNS":{"Time":"2026-11-20T23:58:01"}}', "does this plug meter"),
        ("tasmota", '{"Command":"Unknown"}', "Unknown"),
        ("tasmota", '{"StatusSNS":{"ENERGY":{"Total":[1.0,2.0],"Power":[57]}}}', ""),
        ("tasmota", '{"StatusPWR":{"Total":0.520,"Power":27}}', ""),
    ],
)
def test_other_answers_of_the_same_kinds(kind: str, told: str, words: str) -> None:
    with HttpMeter(lambda path: told) as meter, opened(plugs(f"{kind}://127.0.0.1:{meter.port}")) as (_, found):
        assert words in "".join(why.reason for why in found.unavailable)
        assert bool(found.domains) == (not words)


# --- faults while it is read ----------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "words"), [("500", "500"), ("html", "no JSON"), ("hang", "no answer within 2 s")])
def test_a_fault_is_one_gap_and_then_readings_again(fault: Fault, words: str) -> None:
    planted = PlantedPower(60.0)
    with (
        HttpMeter(shelly2(planted)) as meter,
        opened(plugs(f"shelly2://127.0.0.1:{meter.port}")) as (collector, found),
    ):
        gather(collector, lambda rows: len(rows) >= 2)
        meter.fault = fault
        events = [row for row in gather(collector, has_event) if isinstance(row, Event)]
        assert [(event.kind, event.subject) for event in events] == [("gap", found.domains[0].uid)]
        assert words in events[0].reason
        meter.fault = ""
        planted.power_w = 75.0
        rows = gather(collector, lambda rows: any(isinstance(row, Sample) for row in rows))
        assert not has_event(rows)


def test_a_reading_never_waits_for_a_plug() -> None:
    with (
        HttpMeter(shelly2(PlantedPower(60.0))) as meter,
        opened(plugs(f"shelly2://127.0.0.1:{meter.port}")) as (collector, _),
    ):
        meter.fault = "hang"
        longest = 0.0
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:
            begun = time.monotonic()
            list(collector.read())
            longest = max(longest, time.monotonic() - begun)
            time.sleep(0.005)
        assert longest < 0.1
        begun = time.monotonic()
        collector.close()
        assert time.monotonic() - begun < 0.5


# --- the counter against the power ----------------------------------------------------------------------


def told(url: str, *answers: tuple[float, float, float]) -> list[Sample | Event]:
    """The rows of a plug that says (seconds, W, J) one after the other."""
    plug = parse_plug(url)
    meter = _Meter(plug)
    rows: list[Sample | Event] = []
    for seconds, power_w, energy_j in answers:
        found = {"apower": power_w, "aenergy": {"total": energy_j / 3600}}
        rows += meter.rows(round(seconds * 1e9), plug.format.parse(found, "0"))
    return rows


def test_a_counter_that_agrees_with_the_power_is_silent() -> None:
    assert not has_event(told("shelly2://h", *((t, 60.0, 1000 + 60.0 * t) for t in range(120))))


@pytest.mark.parametrize("factor", [60, 1 / 3.6, 0.7, 1.4])
def test_a_wrong_unit_is_told_once(factor: float) -> None:
    rows = told("shelly2://h", *((t, 60.0, 1000 + factor * 60.0 * t) for t in range(120)))
    [event] = [row for row in rows if isinstance(row, Event)]
    assert event.kind == "warning"
    assert "another unit" in event.reason
    assert "the power is used" in event.reason
    assert len(rows) == 121


def test_a_reset_of_the_counter_loses_nothing_where_power_is_read() -> None:
    seconds = [(t, 60.0, 5000 + 60.0 * t if t < 30 else 60.0 * (t - 30)) for t in range(60)]
    [event] = [row for row in told("shelly2://h", *seconds) if isinstance(row, Event)]
    assert event.kind == "reset"
    assert "6740 J to 0 J" in event.reason
    # Where the counter is read, its curve tells it.
    assert not has_event(told("shelly2://h?reading=energy", *seconds))


def test_a_power_that_cannot_be_is_a_gap_and_no_sample() -> None:
    seconds = [(t, 60.0 if t < 5 or t > 7 else 0.0, 1000 + 60.0 * t) for t in range(10)]
    rows = told("shelly2://h", *seconds)
    assert [row.kind for row in rows if isinstance(row, Event)] == ["gap"]
    assert [row.value for row in rows if isinstance(row, Sample)] == [60.0] * 7


def test_the_address_is_not_read_from_files(tmp_path: Path) -> None:
    """What names no plug names no file either."""
    with opened(plugs(f"file://{tmp_path}")) as (_, found):
        assert found.domains == ()
