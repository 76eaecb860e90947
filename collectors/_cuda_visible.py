"""Which GPUs of a machine `CUDA_VISIBLE_DEVICES` leaves to the process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from greengen.collector import Unavailable

if TYPE_CHECKING:
    from greengen.collectors._nvml_api import Nvml


class Board(NamedTuple):
    """A GPU as NVML lists it."""

    handle: Any
    uuid: str
    name: str


def visible(nvml: Nvml, environ: Mapping[str, str]) -> tuple[list[Board], list[Unavailable]]:
    """The GPUs to read, and why others are not. Raises NVMLError where NVML lists none.

    The variable's rules are CUDA's: indices, UUIDs or the beginnings of UUIDs; what follows an
    entry that names no GPU is not visible either.
    """
    boards: list[Board] = []
    by_index, problems = _listed(nvml)
    wanted = environ.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        if not by_index and not problems:
            problems.append(Unavailable("nvml", "the driver works, and sees no GPU"))
        return list(by_index.values()), problems
    for entry in wanted.split(","):
        board = _named(nvml, entry.strip(), by_index)
        if board is None:
            break
        if board not in boards:
            boards.append(board)
    if not boards:
        problems.append(Unavailable("nvml", f"CUDA_VISIBLE_DEVICES={wanted!r} leaves no GPU visible"))
    by_number = any(entry.strip().isdigit() for entry in wanted.split(","))
    mixed = len({board.name for board in by_index.values()}) > 1
    if by_number and mixed and environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        reason = (
            f"CUDA_VISIBLE_DEVICES={wanted!r} counts GPUs of different models, which CUDA numbers from the "
            "fastest on and NVML by bus: the GPUs read may not be those used"
        )
        remedy = "set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name the GPUs by UUID"
        problems.append(Unavailable("nvml:CUDA_VISIBLE_DEVICES", reason, remedy))
    return boards, problems


def _listed(nvml: Nvml) -> tuple[dict[int, Board], list[Unavailable]]:
    by_index: dict[int, Board] = {}
    problems: list[Unavailable] = []
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            board = Board(handle, nvml.nvmlDeviceGetUUID(handle), nvml.nvmlDeviceGetName(handle))
        except nvml.NVMLError as error:
            problems.append(Unavailable(f"nvml:{index}", f"GPU {index} does not answer: {error}"))
            continue
        twin = next((i for i, other in by_index.items() if other.uuid == board.uuid), None)
        if twin is None:
            by_index[index] = board
        else:
            reason = f"GPU {index} tells the UUID of GPU {twin}: as one meter they would count as one, so one is read"
            problems.append(Unavailable(f"nvml:{index}", reason))
    return by_index, problems


def _named(nvml: Nvml, entry: str, by_index: Mapping[int, Board]) -> Board | None:
    if entry.isdigit():
        return by_index.get(int(entry))
    if entry.startswith("MIG-GPU-"):  # MIG-<UUID of the GPU>/<GPU instance>/<compute instance>
        entry = entry.removeprefix("MIG-").partition("/")[0]
    elif entry.startswith("MIG-"):
        try:
            parent = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvml.nvmlDeviceGetHandleByUUID(entry))
            entry = nvml.nvmlDeviceGetUUID(parent)
        except nvml.NVMLError:
            return None
    matches = [board for board in by_index.values() if entry.startswith("GPU-") and board.uuid.startswith(entry)]
    return matches[0] if len(matches) == 1 else None
