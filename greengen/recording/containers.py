"""In which container and pod a process runs, by its cgroup's path, what is mounted in it, and its environment.

Facts: the path that a kubelet gives to a pod, pkg/kubelet/cm/cgroup_manager_linux.go of kubernetes/kubernetes
(with systemd's driver ``kubepods-burstable-pod<uid>.slice``, the uid's dashes as underscores; with cgroupfs
``kubepods/burstable/pod<uid>``); the paths of Docker, containerd, CRI-O and Podman as captured in
internal/resource/container_test.go of sustainable-computing-io/kepler. A container mostly has a cgroup
namespace of its own, which hides the path: then what its runtime mounts tells (open-telemetry's detector of
containers; captured lines in Graylog2/graylog2-server, where a kubelet's termination log names the container).
The name of a pod is its host name (Kubernetes documentation, "Container Environment"), but for one on its
node's network: there ``POD_NAME`` or OpenTelemetry's ``OTEL_RESOURCE_ATTRIBUTES`` has to say it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

_ID = "[0-9a-f]{64}"
#: What stands before a container's id in the last parts of its path; a `conmon` only watches over one.
_RUNTIMES = {
    "docker": "docker",
    "cri-containerd": "containerd",
    "containerd": "containerd",
    "crio": "cri-o",
    "libpod": "podman",
    "libpod-payload": "podman",
}
_NAMED = re.compile(rf"(?:^|[/:])({'|'.join(_RUNTIMES)})[-:/]({_ID})(?=\.scope|/|$)")
_POD = re.compile(r"(?:^|[/-])pod([0-9a-f]{8}(?:[-_]?[0-9a-f]{4}){3}[-_]?[0-9a-f]{12})(?:\.slice)?(?=[/:]|$)")
_BARE = re.compile(rf"/({_ID})(?=/|$)")
#: Fields of a line of mountinfo: what of its file system is mounted, and where.
_ROOT, _WHERE = 3, 4
_OF_RUNTIME = {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"}
_MOUNTED = re.compile(rf"/(containers|overlay-containers)/({_ID})/")
_KUBELET = re.compile(r"/pods/([0-9a-f-]{32,36})/(?:etc-hosts$|containers/([^/]+)/)")
_NAMESPACE = "var/run/secrets/kubernetes.io/serviceaccount/namespace"
#: By the label that it becomes: the attribute as OpenTelemetry names it, and the usual variable.
_SAID = {
    "pod": ("k8s.pod.name", "POD_NAME"),
    "namespace": ("k8s.namespace.name", "POD_NAMESPACE"),
    "pod_uid": ("k8s.pod.uid", "POD_UID"),
    "container": ("k8s.container.name", "CONTAINER_NAME"),
}
#: Those that spans are labelled with.
LABELS = ("pod", "namespace", "container")


def labels() -> dict[str, str]:
    """What the spans of this process are labelled with, where they say nothing else."""
    found = of_process(Path(os.environ.get("GREENGEN_PROCFS") or "/proc"), os.environ)
    return {label: found[label] for label in LABELS if label in found}


def of_process(procfs: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """What is known of this process's container; {} outside of one.

    pod, namespace, pod_uid   as Kubernetes has them
    container, container_id   its name within the pod, else the beginning of its id; and the whole id
    runtime                   docker, containerd, cri-o, podman
    """
    found = of_paths(_lines(procfs / "self/cgroup"))
    mounted = _of_mounts(_lines(procfs / "self/mountinfo"))
    found = mounted | found | ({"container": mounted["container"]} if "container" in mounted else {})
    in_pod = "KUBERNETES_SERVICE_HOST" in environ or "pod_uid" in found
    if in_pod and environ.get("HOSTNAME"):
        found["pod"] = environ["HOSTNAME"]
    if in_pod and (namespace := "".join(_lines(procfs / "self/root" / _NAMESPACE)).strip()):
        found["namespace"] = namespace
    attributes = dict(_attributes(environ.get("OTEL_RESOURCE_ATTRIBUTES", "")))
    for label, (attribute, variable) in _SAID.items():
        said = attributes.get(attribute) or (environ.get(variable) if in_pod else None)
        if said:
            found[label] = said
    return _named(found)


def of_paths(lines: list[str]) -> dict[str, str]:
    """What the lines of a ``/proc/<pid>/cgroup`` say of its container; of nested ones, the innermost."""
    for line in lines:
        path = line.split(":", 2)[-1]
        found = {}
        pods = list(_POD.finditer(path))
        if pods:
            found["pod_uid"] = _dashed(pods[-1][1])
        named = list(_NAMED.finditer(path))
        bare = list(_BARE.finditer(path, pods[-1].end())) if pods else []
        if named and (not pods or named[-1].start() >= pods[-1].start()):
            found |= {"runtime": _RUNTIMES[named[-1][1]], "container_id": named[-1][2]}
        elif bare:
            found["container_id"] = bare[-1][1]
        if found:
            return _named(found)
    return {}


def _of_mounts(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        fields = line.split()
        if len(fields) <= _WHERE:
            continue
        of_kubelet, of_runtime = _KUBELET.search(fields[_ROOT]), _MOUNTED.search(fields[_ROOT])
        if of_kubelet and fields[_WHERE] in ("/etc/hosts", "/dev/termination-log"):
            found["pod_uid"] = of_kubelet[1]
            if of_kubelet[2]:
                found["container"] = of_kubelet[2]
        elif of_runtime and fields[_WHERE] in _OF_RUNTIME:
            found["container_id"] = of_runtime[2]
    # In a pod these files are its sandbox's, which is another container.
    if "pod_uid" in found:
        found.pop("container_id", None)
    return found


def _named(found: dict[str, str]) -> dict[str, str]:
    """With a name for the container: where nothing gives one, the beginning of its id, as the runtimes print it."""
    if "container_id" in found:
        found.setdefault("container", found["container_id"][:12])
    return found


def _dashed(uid: str) -> str:
    """A pod's uid as Kubernetes shows it; that of a static pod is a hash, without dashes."""
    return uid.replace("_", "-")


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    for pair in text.split(","):
        key, _, value = pair.partition("=")
        yield key.strip(), value.strip()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
