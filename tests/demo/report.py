"""The end of the show: the table, build/demo.json, and whether it succeeded."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.demo.act import Outcome
from tests.demo.screen import Screen


@dataclass(frozen=True)
class Report:
    """Both passes and what they ran on."""

    raw: Outcome
    remap: Outcome
    kernel: str
    accel: str
    seconds: float

    @property
    def succeeded(self) -> bool:
        """dm-remap let nothing through, moved something, and the raw disk did show errors."""
        suffered = self.raw.io_errors > 0 and self.raw.files_lost > 0
        return suffered and self.remap.flawless and self.remap.remaps > 0

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        values: dict[str, Any] = {
            "raw": _values(self.raw),
            "remap": _values(self.remap) | {"remaps": self.remap.remaps},
            "kernel": self.kernel,
            "accel": self.accel,
            "seconds": round(self.seconds, 1),
        }
        values["remap"] |= {"rescued": self.remap.rescued, "blocks_lost": self.remap.blocks_lost}
        path.write_text(json.dumps(values, indent=2) + "\n")

    def show(self, screen: Screen) -> None:
        """Print the table."""
        raw, remap = self.raw, self.remap
        screen.table(
            "The same failing disk, twice",
            [
                ("errors of the disk", str(raw.disk_errors), str(remap.disk_errors)),
                ("I/O errors seen by the file system", str(raw.io_errors), str(remap.io_errors)),
                (
                    "errors seen by programs",
                    str(raw.copy_errors.total()),
                    str(remap.copy_errors.total()),
                ),
                ("file system check afterwards", _yes_no(raw.fsck), _yes_no(remap.fsck)),
                ("files", str(raw.files_total), str(remap.files_total)),
                ("files lost", str(raw.files_lost), str(remap.files_lost)),
                ("blocks remapped", "-", str(remap.remaps)),
                ("  of them rescued from failing reads", "-", str(remap.rescued)),
                ("time", f"{raw.seconds:.0f} s", f"{remap.seconds:.0f} s"),
            ],
        )


def _yes_no(clean: bool) -> str:
    return "clean" if clean else "NOT clean"


def _values(outcome: Outcome) -> dict[str, Any]:
    return {
        "io_errors": outcome.io_errors,
        "files_lost": outcome.files_lost,
        "files_total": outcome.files_total,
        "failed_hints": outcome.failed_hints,
        "disk_errors": outcome.disk_errors,
        "program_errors": outcome.copy_errors.total(),
        "kernel_log_lines": outcome.log_lines,
        "missing": outcome.missing,
        "unreadable": outcome.unreadable,
        "different": outcome.different,
        "mkfs_ok": outcome.mkfs,
        "fsck_clean": outcome.fsck,
        "mounted_after_cut": outcome.mounted,
        "kernel_problems": outcome.kernel_problems,
        "seconds": round(outcome.seconds, 1),
    }
