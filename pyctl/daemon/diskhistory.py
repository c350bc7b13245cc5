"""What disks told of themselves, one reading a day, in the daemon's store: the model lives on it.

Of what smartctl said that is kept which pyctl.predict reads, in the same form.
"""

import json
from typing import Any

from pyctl.daemon.store import Store

__all__ = ["DAYS", "DiskHistory", "condensed"]

# As many days are kept.
DAYS = 400
_DAY = 86_400
_KEYS = (
    "device",
    "model_name",
    "serial_number",
    "firmware_version",
    "user_capacity",
    "local_time",
    "power_on_time",
    "power_cycle_count",
    "temperature",
    "rotation_rate",
    "smart_status",
)
_COLUMNS = ("id", "name", "value", "worst", "thresh", "when_failed", "raw")


def condensed(document: dict[str, Any]) -> dict[str, Any]:
    """What matters of the JSON of smartctl about an ATA drive."""
    kept = {key: document[key] for key in _KEYS if key in document}
    attributes = document.get("ata_smart_attributes")
    table = attributes.get("table") if isinstance(attributes, dict) else None
    rows = [
        {key: row[key] for key in _COLUMNS if key in row}
        for row in (table if isinstance(table, list) else [])
        if isinstance(row, dict)
    ]
    return {**kept, "ata_smart_attributes": {"table": rows}}


class DiskHistory:
    """The readings of each disk. Not for several threads, as the store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def add(self, disk: str, now: float, document: dict[str, Any]) -> bool:
        """Keep what a disk has said today, the last word of each day.

        Returns whether it says anything else than before, or is the first word of its day.
        """
        day, body = int(now // _DAY), json.dumps(condensed(document), sort_keys=True)
        with self.store.transaction():
            last = self.store.rows(
                "SELECT day, body FROM disks WHERE disk = ? ORDER BY day DESC LIMIT 1", (disk,)
            )
            self.store.execute("INSERT OR REPLACE INTO disks VALUES (?, ?, ?)", (disk, day, body))
            self.store.execute("DELETE FROM disks WHERE day <= ?", (day - DAYS,))
        return not last or last[0]["day"] != day or _counts(last[0]["body"]) != _counts(body)

    def of(self, disk: str) -> list[str]:
        """All that is kept of a disk, oldest first, as smartctl would write it."""
        found = self.store.rows("SELECT body FROM disks WHERE disk = ? ORDER BY day", (disk,))
        return [str(row["body"]) for row in found]


# The vendor's numbers, but for those that grow by themselves: hours, degrees.
def _counts(body: str) -> list[Any]:
    table = json.loads(body)["ata_smart_attributes"]["table"]
    return [row.get("raw") for row in table if row.get("id") not in (9, 190, 194)]
