"""Which cgroup a recording is of, where not of a process tree: found and checked before anything runs.

Only version 2 (the kernel's admin-guide/cgroup-v2.rst): a process is in one cgroup of it, `cpu.stat` is there
whether a controller is enabled or not, `cgroup.controllers` in every cgroup, `cgroup.events` in all but the root.
"""

from __future__ import annotations

from pathlib import Path

from greengen.errors import UsageError

_OPTION = "--cgroup"
_V1 = (
    "this machine has cgroups of version 1, whose hierarchies each have processes of their own: boot with "
    "systemd.unified_cgroup_hierarchy=1, or profile the command itself, without --cgroup"
)
_NONE = (
    "there is no cgroup file system at {}: mount it (in a container: docker run -v /sys/fs/cgroup:/sys/fs/cgroup:ro), "
    "or name another sysfs by GREENGEN_SYSFS"
)


def find(said: str, procfs: Path, sysfs: Path) -> Path:
    """The folder of a cgroup. Raises UsageError, with the remedy, for what is none that can be recorded.

    said  "self"; a process id, for that process's cgroup; or a path, from / or from the top of the hierarchy
    """
    top = _hierarchy(sysfs)
    if said == "self" or said.isdecimal():
        folder = _of_process(said, procfs, top)
    else:
        path = Path(said)
        folder = path if path.is_relative_to(top) else top / said.lstrip("/")
    if ".." in folder.parts or not (folder / "cpu.stat").exists():
        msg = f"{_OPTION} {said}: there is no cgroup at {folder}; `cat /proc/<pid>/cgroup` shows that of a process"
        raise UsageError(msg)
    if not (folder / "cgroup.events").exists():
        msg = f"{_OPTION} {said}: that is the root, whose processes are all of the machine's: name a cgroup below it"
        raise UsageError(msg)
    return folder


def of_process(pid: int | str, procfs: Path) -> str | None:
    """The path of a process's cgroup from the top of the hierarchy that we see; None where there is none."""
    try:
        lines = (procfs / str(pid) / "cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return next((line[3:] for line in lines if line.startswith("0::")), None)


def holds_us(folder: Path, procfs: Path, sysfs: Path) -> bool:
    """Whether this process is in a cgroup, or in one below it."""
    path = of_process("self", procfs)
    return path is not None and (_hierarchy(sysfs) / path.lstrip("/")).is_relative_to(folder)


def chain(pid: int, procfs: Path, sysfs: Path, boot: str) -> list[str]:
    """The uids of the cgroups that a process is in, the innermost first; none where there is no version 2."""
    path = of_process(pid, procfs)
    try:
        top = _hierarchy(sysfs)
    except UsageError:
        return []
    return [] if path is None else above(top / path.lstrip("/"), boot)


def above(folder: Path, boot: str) -> list[str]:
    """The uids of a cgroup and of those that hold it, as far as they can be seen.

    By the number of its folder, which is the same in every cgroup namespace.
    """
    found = []
    while (folder / "cgroup.controllers").exists():
        found.append(f"{boot}:cgroup:{folder.stat().st_ino}")
        folder = folder.parent
    return found


def _hierarchy(sysfs: Path) -> Path:
    """Where version 2 is mounted: alone, or beside version 1."""
    top = sysfs / "fs/cgroup"
    for folder in (top, top / "unified"):
        if (folder / "cgroup.controllers").exists():
            return folder
    raise UsageError(f"{_OPTION}: {_V1}" if top.is_dir() and any(top.iterdir()) else f"{_OPTION}: {_NONE.format(top)}")


def _of_process(said: str, procfs: Path, top: Path) -> Path:
    path = of_process(said, procfs)
    if path is None:
        why = f"there is no process {said}" if said != "self" and not (procfs / said).exists() else _V1
        msg = f"{_OPTION} {said}: {why}"
        raise UsageError(msg)
    return top / path.lstrip("/")
