"""The cloud region of this machine, from the metadata service that its provider runs beside it. Asked only on request.

All three listen at one link-local address, which leaves the machine for nobody but its own host:
AWS    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html (version 2)
Azure  https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service
GCP    https://cloud.google.com/compute/docs/metadata/querying-metadata
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from greengen.errors import UsageError
from greengen.integrations._grid import TIMEOUT, GridError, Web

#: It answers at once, or there is none.
_TIMEOUT_S = "1"

#: What a region's name looks like; anything else is some other service's answer.
_REGION = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def region(environ: Mapping[str, str]) -> str:
    """``provider:region`` of the machine that this runs on. Raises UsageError where no provider answers."""
    web = Web("metadata", "http://169.254.169.254", {TIMEOUT: _TIMEOUT_S, **environ})
    for provider, ask in _PROVIDERS.items():
        try:
            found = ask(web).decode("ascii", "replace").strip()
        except GridError:
            continue
        if _REGION.fullmatch(found):
            return f"{provider}:{found}"
    msg = "no cloud provider's metadata service answers on this machine: name the region, such as --cloud aws:eu-west-3"
    raise UsageError(msg)


def _aws(web: Web) -> bytes:
    token = web.get("/latest/api/token", {}, {"X-aws-ec2-metadata-token-ttl-seconds": "60"}, method="PUT")
    headers = {"X-aws-ec2-metadata-token": token.decode("ascii", "replace").strip()}
    return web.get("/latest/meta-data/placement/region", {}, headers)


def _azure(web: Web) -> bytes:
    query = {"api-version": "2021-02-01", "format": "text"}
    return web.get("/metadata/instance/compute/location", query, {"Metadata": "true"})


def _gcp(web: Web) -> bytes:
    """Its zone is projects/NUMBER/zones/REGION-LETTER."""
    zone = web.get("/computeMetadata/v1/instance/zone", {}, {"Metadata-Flavor": "Google"})
    return zone.rpartition(b"/")[2].rpartition(b"-")[0]


_PROVIDERS: Mapping[str, Callable[[Web], bytes]] = MappingProxyType({"gcp": _gcp, "azure": _azure, "aws": _aws})
