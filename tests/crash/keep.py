"""Keep what is needed to look at a violation again, without the guest that made it."""

import json
from dataclasses import asdict
from pathlib import Path

from tests.crash import journal
from tests.crash.checker import Violation
from tests.crash.plan import Variant
from tests.crash.run import Cut, Generation, Run

_MOST_LINES = 200


def save(directory: Path, run: Run, generation: Generation, cut: Cut, why: list[Violation]) -> None:
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
        "mapped": generation.mapped,
        "cut": asdict(cut),
    }
    (directory / "state.json").write_text(json.dumps(state) + "\n")
    (directory / "violations.txt").write_text("".join(f"{line}\n" for line in why[:_MOST_LINES]))


def load(directory: Path) -> tuple[Variant, int, Generation, Cut]:
    """Read what save() wrote: the variant and the seed of the run, the generation, the cut."""
    state = json.loads((directory / "state.json").read_text())
    variant = Variant(**state["variant"])
    generation = Generation(
        state["generation"],
        [journal.load_image(path) for path in sorted(directory.glob("disk[0-9]"))],
        [tuple(base) for base in state["bases"]],
        state["mapped"],
        journal.load(directory / "journal"),
        state["start"],
    )
    return variant, state["seed"], generation, Cut(**state["cut"])
