"""The machine's own cloud region, from a metadata service on loopback that answers as each provider's does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greengen.errors import UsageError
from greengen.grid import located
from greengen.integrations import instance_metadata
from greengen.integrations._grid import TIMEOUT
from tests.unit.grid_replies import GridServer, Reply, always

NOTHING = Reply(status=404)

Answer = Callable[[str, dict[str, str]], Reply]


@pytest.fixture(scope="module")
def running() -> Iterator[GridServer]:
    with GridServer(always(NOTHING)) as found:
        yield found


@pytest.fixture
def server(running: GridServer) -> GridServer:
    running.asked.clear()
    return running


def service(server: GridServer, path: str, body: str, header: tuple[str, str]) -> Answer:
    """Answers one path, and only to who sends its header."""

    def answer(asked: str, query: dict[str, str]) -> Reply:
        sent = {name.casefold(): value for name, value in server.asked[-1][2].items()}
        if asked == "/latest/api/token" and path.startswith("/latest"):
            return Reply("TOKEN==") if sent.get("x-aws-ec2-metadata-token-ttl-seconds") == "60" else NOTHING
        return Reply(body) if asked == path and sent.get(header[0].casefold()) == header[1] else NOTHING

    return answer


@pytest.mark.parametrize(
    ("path", "body", "header", "region"),
    [
        ("/latest/meta-data/placement/region", "eu-west-3", ("X-aws-ec2-metadata-token", "TOKEN=="), "aws:eu-west-3"),
        ("/metadata/instance/compute/location", "westeurope", ("Metadata", "true"), "azure:westeurope"),
        (
            "/computeMetadata/v1/instance/zone",
            "projects/123456/zones/europe-west9-b",
            ("Metadata-Flavor", "Google"),
            "gcp:europe-west9",
        ),
    ],
)
def test_each_provider(
    server: GridServer, tmp_path: Path, path: str, body: str, header: tuple[str, str], region: str
) -> None:
    server.answer = service(server, path, body, header)
    assert instance_metadata.region(server.environ(tmp_path)) == region


@pytest.mark.parametrize("reply", [NOTHING, Reply("<html>sign in</html>"), Reply("")])
def test_what_is_no_region_is_none(server: GridServer, tmp_path: Path, reply: Reply) -> None:
    server.answer = always(reply)
    with pytest.raises(UsageError, match="--cloud aws:eu-west-3"):
        instance_metadata.region(server.environ(tmp_path))


def test_one_that_does_not_answer_is_not_waited_for(server: GridServer, tmp_path: Path) -> None:
    server.answer = always(Reply(hang=True))
    with pytest.raises(UsageError, match="no cloud provider"):
        instance_metadata.region(server.environ(tmp_path) | {TIMEOUT: "0.1"})


def test_it_is_asked_only_on_request(server: GridServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answer = service(server, "/metadata/instance/compute/location", "francecentral", ("Metadata", "true"))
    for name, value in server.environ(tmp_path).items():
        monkeypatch.setenv(name, value)
    located({"cloud": "aws:eu-west-3"})
    located({"zone": "FRA"})
    located({})
    assert server.asked == []
    assert located({"cloud": "auto"}).zone == "FRA"
