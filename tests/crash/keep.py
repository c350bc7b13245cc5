"""Keep what is needed to look at a violation again, without the guest that made it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.crash import journal
from tests.crash.checker import Violation
from tests.crash.plan import Variant
from tests.crash.run import Cut, Generation, Run

_MOST_LINES = 200


@dataclass(frozen=True)
class Kept:
    """A cut that had violations, and all that is needed to check it again."""

    variant: Variant
    seed: int
    generation: Generation
    cut: Cut
    lying: bool


def save(
    directory: Path,
    run: Run,
    generation: Generation,
    cut: Cut,
    why: list[Violation],
    *,
    lying: bool = False,
) -> None:
    """Write the disks and promises before a generation, its journal, and where it was cut."""
    directory.mkdir(parents=True)
    journal.save(directory / "journal", generation.events)
    for number, image in enumerate(generation.images):
        journal.save_image(directory / f"disk{number}", image)
    state = {
        "variant": asdict(run.variant),
        "seed": run.seed,
        "kernel": run.machine.kernel.release,
        "module": str(run.machine.module),
        "generation": generation.number,
        "start": generation.start,
        "bases": generation.bases,
        "seconds": generation.seconds,
        "mapped": generation.mapped,
        "cut": asdict(cut),
        "lying": lying,
    }
    (directory / "state.json").write_text(json.dumps(state) + "\n")
    (directory / "violations.txt").write_text("".join(f"{line}\n" for line in why[:_MOST_LINES]))


def load(directory: Path) -> Kept:
    """Read what save() wrote."""
    state = json.loads((directory / "state.json").read_text())
    generation = Generation(
        state["generation"],
        [journal.load_image(path) for path in sorted(directory.glob("disk[0-9]"))],
        [tuple(base) for base in state["bases"]],
        [tuple(second) for second in state["seconds"]],
        state["mapped"],
        journal.load(directory / "journal"),
        state["start"],
    )
    return Kept(
        Variant(**state["variant"]), state["seed"], generation, Cut(**state["cut"]), state["lying"]
    )
