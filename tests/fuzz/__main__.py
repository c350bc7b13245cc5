"""Command line of `make fuzz`, `make fuzz-corpus` and `make test-fuzz`.

python -m tests.fuzz run --seconds 60   fuzz; 1 when something was found, which is kept
python -m tests.fuzz corpus --seconds 60
                                        make the corpus anew: what fuzzing adds to the seeds
python -m tests.fuzz replay             run over the corpus, and show that it finds each mistake
"""

import argparse
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.fuzz import engine
from tests.fuzz.engine import CORPUS, CRASHES, FOUND, SEEDS, FuzzError
from tests.vm import junit, paths

SUITE = "fuzz"
# How long a mistake that the corpus doesn't show may hide from the fuzzer.
MISTAKE_SECONDS = 30
CORPUS_FILES, CORPUS_BYTES = 80, 100_000


def main() -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("command", choices=("run", "corpus", "replay"))
    parser.add_argument("--seconds", type=int, default=60, help="how long to fuzz")
    options = parser.parse_args()
    try:
        if options.command == "run":
            return _run(options.seconds)
        if options.command == "corpus":
            return _corpus(options.seconds)
        return _replay()
    except FuzzError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(seconds: int) -> int:
    FOUND.mkdir(parents=True, exist_ok=True)
    program = engine.build("target")
    arguments = (f"-max_total_time={seconds}", "-print_final_stats=1", str(FOUND))
    if not engine.fuzz(program, *arguments, *engine.inputs(), live=True).found:
        return 0
    print(f"\nfuzz: found something. The input is in {CRASHES}; run {program} with it.")
    return 1


# Of what fuzzing finds, the inputs that reach more code than the seeds.
def _corpus(seconds: int) -> int:
    program = engine.build("target")
    shutil.rmtree(CORPUS, ignore_errors=True)
    CORPUS.mkdir()
    folders = engine.inputs()
    with tempfile.TemporaryDirectory(prefix="dm-remap-fuzz.") as scratch:
        grown, chosen = Path(scratch, "grown"), Path(scratch, "chosen")
        grown.mkdir()
        outcome = engine.fuzz(program, f"-max_total_time={seconds}", str(grown), *folders)
        if outcome.found:
            raise FuzzError(f"The fuzzer found something: {outcome.finding()} (see {CRASHES})")
        shutil.copytree(SEEDS, chosen)
        # By the edges alone: how often each is taken would keep hundreds of files.
        engine.fuzz(program, "-merge=1", "-use_counters=0", str(chosen), str(grown))
        files = sorted(path for path in chosen.iterdir() if not (SEEDS / path.name).exists())
        size = sum(path.stat().st_size for path in files)
        if not files or len(files) > CORPUS_FILES or size > CORPUS_BYTES:
            raise FuzzError(f"The corpus would have {len(files)} files and {size} bytes.")
        for path in files:
            shutil.copyfile(path, CORPUS / path.name[:16])
    print(f"fuzz: {len(files)} files with {size} bytes in {CORPUS.relative_to(paths.PROJECT)}")
    return 0


def _replay() -> int:
    report = paths.BUILD / "junit" / f"{SUITE}.xml"
    report.unlink(missing_ok=True)
    folders = engine.inputs()
    failed = not _record(report, "corpus", _check_corpus, folders)
    for patch in sorted(engine.MISTAKES.glob("*.patch")):
        failed |= not _record(report, f"finds-{patch.stem}", _find_mistake, folders, patch)
    return int(failed)


# Do a step, which says whether all was well and why it says so, and write that down.
def _record(
    report: Path, name: str, step: Callable[..., tuple[bool, str]], *arguments: object
) -> bool:
    started = time.monotonic()
    passed, text = step(*arguments)
    junit.record(report, SUITE, name, None if passed else text, time.monotonic() - started)
    print(f"fuzz {name}: {'' if passed else 'FAILED: '}{text}", flush=True)
    return passed


def _check_corpus(folders: Sequence[str]) -> tuple[bool, str]:
    outcome = engine.replay(engine.build("target"), folders)
    if outcome.found:
        return False, outcome.output
    count = sum(len(list(Path(folder).iterdir())) for folder in folders)
    ran = re.search(r"^#(\d+)\s+DONE", outcome.output, re.MULTILINE)
    if not ran or int(ran[1]) < count:
        return False, f"not all of {count} inputs were run:\n{outcome.output}"
    return True, f"{count} inputs"


def _find_mistake(folders: Sequence[str], patch: Path) -> tuple[bool, str]:
    program = engine.build_with_mistake(patch)
    crashes = program.parent / "crashes"
    outcome = engine.fuzz(program, "-runs=0", *folders, crashes=crashes)
    if outcome.found:
        return True, f"by the corpus: {outcome.finding()}"
    with tempfile.TemporaryDirectory(prefix="dm-remap-fuzz.") as scratch:
        limit = f"-max_total_time={MISTAKE_SECONDS}"
        outcome = engine.fuzz(program, limit, "-seed=1", scratch, *folders, crashes=crashes)
    if outcome.found:
        return True, f"by fuzzing: {outcome.finding()}"
    return False, f"{patch.name} was not found within {MISTAKE_SECONDS} s"


if __name__ == "__main__":
    sys.exit(main())
