"""Containers and pods by cgroup path, by what is mounted, and by the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from greengen.recording import containers

A, B = "99f3a16ea25b7724cb56a4f0c0df1113ad9474fbf5545bead97fd5c7f61c13f4", "7" * 64
UID = "eab5a334-93fe-48a8-b139-9e8079c1f163"
SLICE = f"kubepods-besteffort-pod{UID.replace('-', '_')}.slice"
STATIC = "3f05ee050f82c0145f1d88c94269c39d"


@pytest.mark.parametrize(
    ("path", "runtime", "container", "pod"),
    [
        (f"/system.slice/docker-{A}.scope", "docker", A, None),
        (f"/docker/{A}", "docker", A, None),
        (f"/docker-{A}", "docker", A, None),
        (f"/machine.slice/libpod-{A}.scope/container", "podman", A, None),
        (f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{A}.scope", "podman", A, None),
        (f"/system.slice/kepler.service/libpod-payload-{A}", "podman", A, None),
        (f"/kubepods.slice/kubepods-besteffort.slice/{SLICE}/cri-containerd-{A}.scope", "containerd", A, UID),
        (f"/kubepods.slice/kubepods-besteffort.slice/{SLICE}/crio-{A}.scope", "cri-o", A, UID),
        (f"/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/cri-containerd-{A}.scope", "containerd", A, UID),
        (f"/system.slice/containerd.service/{SLICE}:cri-containerd:{A}", "containerd", A, UID),
        (f"/kubepods/burstable/pod{UID}/{A}", None, A, UID),
        (f"/kubepods/pod{UID}/{A}", None, A, UID),
        (f"/kubepods/burstable/pod{STATIC}/{A}", None, A, STATIC),
        # A cluster in a container (kind): the innermost is where it runs.
        (
            f"/system.slice/docker-{B}.scope/kubelet.slice/kubelet-{SLICE}/cri-containerd-{A}.scope",
            "containerd",
            A,
            UID,
        ),
        (f"/system.slice/docker-{B}.scope/kubelet/kubepods/burstable/pod{UID}/{A}", None, A, UID),
        # What watches over a container is not in it.
        (f"/machine.slice/libpod-conmon-{A}.scope", None, None, None),
        (f"/kubepods.slice/{SLICE}/crio-conmon-{A}.scope", None, None, UID),
        ("/user.slice/user-1000.slice/session-3.scope", None, None, None),
        ("/system.slice/podman.service", None, None, None),
        ("/", None, None, None),
    ],
)
@pytest.mark.parametrize("line", ["0::{}", "13:hugetlb:{}"])
def test_paths(line: str, path: str, runtime: str | None, container: str | None, pod: str | None) -> None:
    found = containers.of_paths(["12:cpuset:/", line.format(path)])
    expected = {
        "runtime": runtime,
        "container_id": container,
        "pod_uid": pod,
        "container": container and container[:12],
    }
    assert found == {key: value for key, value in expected.items() if value}


def container(procfs: Path, mounts: str = "", cgroup: str = "0::/\n", namespace: str = "") -> Path:
    (procfs / "self").mkdir(parents=True)
    (procfs / "self/cgroup").write_text(cgroup)
    (procfs / "self/mountinfo").write_text(mounts)
    if namespace:
        file = procfs / "self/root/var/run/secrets/kubernetes.io/serviceaccount/namespace"
        file.parent.mkdir(parents=True)
        file.write_text(namespace)
    return procfs


def mount(root: str, where: str) -> str:
    return f"4443 4434 259:1 {root} {where} rw,noatime - xfs /dev/nvme0n1p1 rw,seclabel\n"


def test_docker_hides_its_path_and_mounts_its_files(tmp_path: Path) -> None:
    mounts = mount("/", "/") + mount(f"/var/lib/docker/containers/{A}/hostname", "/etc/hostname")
    assert containers.of_process(container(tmp_path, mounts), {"HOSTNAME": A[:12]}) == {
        "container_id": A,
        "container": A[:12],
    }


def test_podman(tmp_path: Path) -> None:
    root = f"/containers/storage/overlay-containers/{A}/userdata/resolv.conf"
    found = containers.of_process(container(tmp_path, mount(root, "/etc/resolv.conf")), {})
    assert found["container"] == A[:12]


def test_a_pod(tmp_path: Path) -> None:
    """Its sandbox's files are not the container's: of it there is a name, and no id."""
    mounts = (
        mount(f"/var/lib/kubelet/pods/{UID}/etc-hosts", "/etc/hosts")
        + mount(f"/var/lib/kubelet/pods/{UID}/containers/vllm/d52bb0e5", "/dev/termination-log")
        + mount(f"/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/{B}/hostname", "/etc/hostname")
        + mount(f"/var/lib/docker/containers/{B}/resolv.conf", "/etc/resolv.conf")
    )
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "llm-0"}
    found = containers.of_process(container(tmp_path, mounts, namespace="prod\n"), environ)
    assert found == {"pod_uid": UID, "container": "vllm", "pod": "llm-0", "namespace": "prod"}


def test_what_is_said_goes_before_what_is_seen(tmp_path: Path) -> None:
    procfs = container(tmp_path, mount(f"/pods/{UID}/etc-hosts", "/etc/hosts"))
    environ = {"HOSTNAME": "node-7", "POD_NAME": "llm-1", "OTEL_RESOURCE_ATTRIBUTES": "k8s.namespace.name=x, a=b,"}
    assert containers.of_process(procfs, environ) == {"pod_uid": UID, "pod": "llm-1", "namespace": "x"}


def test_outside_of_containers_a_host_name_is_no_pod(tmp_path: Path) -> None:
    environ = {"HOSTNAME": "laptop", "POD_NAME": "p", "CONTAINER_NAME": "c"}
    assert containers.of_process(container(tmp_path, mount("/hosts", "/etc/hosts")), environ) == {}
    assert containers.of_process(tmp_path / "none", environ) == {}


def test_labels_of_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    container(tmp_path, mount(f"/pods/{UID}/containers/vllm/1", "/dev/termination-log"))
    for name, value in {"GREENGEN_PROCFS": str(tmp_path), "POD_NAME": "llm-0", "HOSTNAME": "x"}.items():
        monkeypatch.setenv(name, value)
    for name in ("OTEL_RESOURCE_ATTRIBUTES", "POD_NAMESPACE", "CONTAINER_NAME"):
        monkeypatch.delenv(name, raising=False)
    labels = containers.labels()
    assert labels == {"pod": "llm-0", "container": "vllm"}
