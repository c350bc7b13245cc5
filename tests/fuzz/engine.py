"""Build the fuzz target and run it."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyctl.format.build import PURE_PARTS, SHARED_PART
from tests.fuzz.seeds import all_seeds
from tests.vm import paths

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
MISTAKES = HERE / "mistakes"
WORK = paths.BUILD / "fuzz"
SEEDS = WORK / "seeds"
# What the fuzzer has found in earlier runs here, beside the corpus in the tree.
FOUND = WORK / "corpus"
CRASHES = WORK / "crashes"

# A header and a metadata block.
MAX_LEN = 32 + 4096

_FLAGS = [
    *("-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror"),
    *("-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"),
]


class FuzzError(Exception):
    """The fuzzer can't be built or used. The message is a finished sentence."""


@dataclass(frozen=True)
class Outcome:
    """What a run of the target said, and whether it found something."""

    found: bool
    output: str

    def finding(self) -> str:
        """The line that says what is wrong."""
        marks = ("not true: ", "ERROR: AddressSanitizer", "runtime error:", "ERROR: libFuzzer")
        lines = self.output.splitlines()
        return next((line for mark in marks for line in lines if mark in line), "nothing")


def build(name: str, kernel: Path = paths.PROJECT / "kernel") -> Path:
    """Compile the target with the pure parts in a folder; its path is build/fuzz/<name>."""
    WORK.mkdir(parents=True, exist_ok=True)
    program = WORK / name
    sources: list[Path] = [*sorted(HERE.glob("*.c")), paths.PROJECT / "pyctl/format/crc32c.c"]
    sources += [kernel / f"dm-remap-{part}.c" for part in (SHARED_PART, *PURE_PARTS)]
    command: list[str | Path] = ["clang", *_FLAGS, f"-I{kernel}", "-o", program, *sources]
    done = _run(command)
    if done.returncode:
        raise FuzzError(f"The fuzz target doesn't build:\n{done.stdout}")
    return program


def build_with_mistake(patch: Path) -> Path:
    """Compile the target with a copy of the pure parts to which a patch was applied."""
    sources = WORK / patch.stem
    shutil.rmtree(sources, ignore_errors=True)
    (sources / "kernel").mkdir(parents=True)
    for path in (paths.PROJECT / "kernel").glob("dm-remap-*.[ch]"):
        shutil.copyfile(path, sources / "kernel" / path.name)
    done = _run(["patch", "-p1", "-s", "--no-backup-if-mismatch", "-i", patch], sources)
    if done.returncode:
        raise FuzzError(f"{patch.name} doesn't apply to the sources:\n{done.stdout}")
    return build(f"{patch.stem}/target", sources / "kernel")


def fuzz(program: Path, *arguments: str, crashes: Path = CRASHES, live: bool = False) -> Outcome:
    """Run the target with libFuzzer's arguments; `live` shows what it writes at once."""
    crashes.mkdir(parents=True, exist_ok=True)
    command: list[str | Path] = [
        program,
        f"-max_len={MAX_LEN}",
        "-timeout=10",
        "-rss_limit_mb=2048",
    ]
    command += [f"-artifact_prefix={crashes}/", *arguments]
    if live:
        status = subprocess.run(command, env=_environment(), check=False).returncode
        return Outcome(status != 0, "")
    done = _run(command)
    return Outcome(done.returncode != 0, done.stdout)


def inputs() -> list[str]:
    """The folders of what to start from: the corpus, and the seeds, which are made anew."""
    shutil.rmtree(SEEDS, ignore_errors=True)
    SEEDS.mkdir(parents=True)
    for number, seed in enumerate(dict.fromkeys(all_seeds())):
        (SEEDS / f"seed-{number:03}").write_bytes(seed)
    return [str(CORPUS), str(SEEDS)]


def replay(program: Path, folders: Sequence[str]) -> Outcome:
    """Run the target once over every file of some folders."""
    return fuzz(program, "-runs=0", *folders)


def _run(
    command: Sequence[str | Path], directory: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        cwd=directory,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


def _environment() -> dict[str, str]:
    options = {"ASAN_OPTIONS": "detect_leaks=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
    return {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"} | options
