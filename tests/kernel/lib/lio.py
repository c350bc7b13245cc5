"""A real SCSI disk over any device: the kernel's own SCSI target, looped back to itself."""

from pathlib import Path
from types import TracebackType
from typing import Self

from tests.kernel.lib.blockdev import BlockDevice
from tests.kernel.lib.retry import retry, wait_until
from tests.kernel.lib.run import run

_CORE = Path("/sys/kernel/config/target/core/iblock_0/disk0")
_PORT = Path("/sys/kernel/config/target/loopback/naa.5001405000000001/tpgt_1")


class LoopedScsi(BlockDevice):
    """What fails below comes back as SCSI sense data, and from the SCSI layer as its own status.

    There is one at a time.
    """

    def __init__(self, below: BlockDevice) -> None:
        self._below = below

    def __enter__(self) -> Self:
        for module in ("sd_mod", "target_core_iblock", "tcm_loop"):
            run("modprobe", module)
        _CORE.mkdir(parents=True)
        (_CORE / "control").write_text(f"udev_path={self._below}")
        (_CORE / "enable").write_text("1")
        _PORT.mkdir(parents=True)
        (_PORT / "nexus").write_text("naa.5001405000000002")
        lun = _PORT / "lun" / "lun_0"
        lun.mkdir()
        (lun / "port").symlink_to(_CORE)
        wait_until(self._disks, "the looped SCSI disk exists")
        self.path = Path("/dev", self._disks()[0].name)
        wait_until(self.path.exists, f"{self.path} exists")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        (_PORT / "lun" / "lun_0" / "port").unlink()
        (_PORT / "lun" / "lun_0").rmdir()
        (_PORT / "nexus").write_text("NULL")
        for folder in (_PORT, _PORT.parent):
            folder.rmdir()
        retry(_CORE.rmdir, OSError)
        _CORE.parent.rmdir()

    @staticmethod
    def _disks() -> list[Path]:
        address = (_PORT / "address").read_text().strip()
        return list(Path("/sys/class/scsi_device").glob(f"{address}:0/device/block/*"))
