"""What the agent needs to know: the same for both passes but for the words raw and remap."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Plan:
    """One pass. `spares` is empty on the raw disk; `files` is the list that tree.save() wrote."""

    disk: str
    spares: tuple[str, ...]
    seed: int
    files: str
    mountpoint: str

    def save(self, path: Path) -> None:
        """Write it for the agent."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> "Plan":
        """Read it in the agent."""
        values = json.loads(path.read_text())
        return cls(**{**values, "spares": tuple(values["spares"])})
