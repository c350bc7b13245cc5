"""maps.c and program.c with the sizes, devices and offsets of this machine."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pyctl.probes.btf import Btf
from pyctl.probes.frames import Device

__all__ = ["GROUPS", "bases", "functions", "offsets", "place_cases", "status_names", "text"]

SOURCES = tuple(Path(__file__).with_name(name) for name in ("maps.c", "program.c"))
# Groups of bios under way at the same time, of all devices; kinds of faults by region.
_GROUP_BITS = 14
GROUPS = 1 << _GROUP_BITS
_FAULTS = 16384
_EVENTS = Path("/sys/kernel/tracing/events/dm_remap")
_OFFSETS = {
    "bio": {
        "BIO_BDEV": "bi_bdev",
        "BIO_OPF": "bi_opf",
        "BIO_STATUS": "bi_status",
        "BIO_ITER": "bi_iter",
        "BIO_NEXT": "bi_next",
    },
    "bvec_iter": {"ITER_SECTOR": "bi_sector", "ITER_SIZE": "bi_size"},
    "block_device": {"BDEV_DEV": "bd_dev"},
    "request": {"REQUEST_BIO": "bio"},
}
# The kernel's names of a status, without BLK_STS_; the header of the running kernel knows all.
_STATUS = re.compile(r"^#define BLK_STS_(\w+)\s+\(\(__force blk_status_t\)(\d+)\)", re.MULTILINE)
_NAMES = {2: "timeout", 3: "nospc", 7: "medium", 8: "protection", 10: "ioerr"}


def bases(devices: Sequence[Device]) -> list[int]:
    """Where the regions of each device begin when those of all are counted, and their number."""
    found = [0]
    for device in devices:
        found.append(found[-1] + device.regions + 1)
    return found


def place_cases(devices: Sequence[Device], numbers: Sequence[Sequence[str]]) -> str:
    """The cases of a switch over device numbers; `numbers` are those of each device."""
    cases = []
    for index, (device, base) in enumerate(zip(devices, bases(devices), strict=False)):
        fields = {
            "device": index,
            "base": base,
            "regions": device.regions + 1,
            "shift": device.region_sectors.bit_length() - 1,
            "sectors": device.sectors,
        }
        labels = "".join(f"case {_kernel_number(number)}: " for number in numbers[index])
        assigned = " ".join(f"p->{name} = {value}ULL;" for name, value in fields.items())
        cases.append(f"{labels}{assigned} return 1;")
    return " ".join(cases)


def offsets(btf: Btf) -> dict[str, int]:
    """The offsets that program.c wants. Raises PyctlError if this kernel has no such fields."""
    found: dict[str, int] = {}
    for name, macros in _OFFSETS.items():
        of_fields = btf.offsets(name, macros.values())
        found |= {macro: of_fields[field] for macro, field in macros.items()}
    return found


def text(
    devices: Sequence[Device],
    numbers: Sequence[Sequence[str]],
    where: Mapping[str, int],
    *,
    by_requests: bool = False,
    with_module: bool | None = None,
) -> str:
    """The whole program. `where` is what offsets() gives.

    `by_requests`: are there devices whose drivers take requests? `with_module`: is the module
    loaded? Looked up if it is None.
    """
    if with_module is None:
        with_module = _EVENTS.is_dir()
    defines = {
        "DEVICES": len(devices),
        "REGIONS": bases(devices)[-1],
        "GROUP_BITS": _GROUP_BITS,
        "FAULTS": _FAULTS,
        "PLACES": place_cases(devices, numbers),
        **where,
    }
    if by_requests:
        defines["BY_REQUESTS"] = 1
    if with_module:
        defines["DM_REMAP"] = 1
    lines = [f"#define {name} {value}\n" for name, value in defines.items()]
    return "".join([*lines, *(source.read_text(encoding="ascii") for source in SOURCES)])


def functions(*, by_requests: bool) -> list[str]:
    """Those of program.c that Tracepoints attaches: the ends before the beginnings."""
    return ["bio_complete", *(["rq_complete"] if by_requests else []), "bio_queue"]


def status_names(release: str) -> dict[int, str]:
    """What the block layer's statuses are called in a kernel whose headers are installed.

    Without them, the few that never changed.
    """
    header = "include/linux/blk_types.h"
    for tree in ("source", "build"):
        try:
            found = Path("/lib/modules", release, tree, header).read_text(encoding="utf-8")
        except OSError:
            continue
        if names := _STATUS.findall(found):
            return {int(code): name.lower() for name, code in names}
    return dict(_NAMES)


# As dev_t inside the kernel.
def _kernel_number(number: str) -> int:
    major, minor = map(int, number.split(":"))
    return major << 20 | minor
