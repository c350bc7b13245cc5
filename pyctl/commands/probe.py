"""Probes: what really happens on devices, by region, live or recorded."""

import contextlib
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyctl.app import App, command
from pyctl.errors import UsageError
from pyctl.output import counted, show

if TYPE_CHECKING:
    from pyctl.probes.frames import Frame, Header
    from pyctl.probes.source import Source
    from pyctl.probes.views import Summary

__all__ = ["COMMANDS"]

_UNITS = {"": 512, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SECTOR = 512


# "64M" as sectors.
def _sectors(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int:
    if text is None:
        return 0
    match = re.fullmatch(r"(\d+)([KMGT])(?:i?B)?", text, re.IGNORECASE)
    if not match:
        raise UsageError(f"{text} is no size.", hint="Write 512K, 64M or 1G.")
    return int(match[1]) * _UNITS[match[2].upper()] // _SECTOR


_DEVICES = click.argument("devices", nargs=-1, required=True, metavar="DEVICE...")
_REGION_SIZE = click.option(
    "--region-size",
    "region_sectors",
    callback=_sectors,
    metavar="SIZE",
    help="A power of two, like 64M; by default, there are about 1,000 regions.",
)
_NO_BPF = click.option("--no-bpf", is_flag=True, help="Only the kernel's own counters.")
_SHARE = click.option(
    "--share",
    type=click.FloatRange(0.1, 100),
    default=100.0,
    metavar="PERCENT",
    help="Look for so much of the time only, which costs I/O as much less; default: 100.",
)
_INTERVAL = click.option(
    "--interval", type=click.FloatRange(0.1, 3600), default=1.0, help="Seconds between frames."
)
_SECONDS = click.option(
    "--seconds", type=click.FloatRange(0.1), help="How long; else until it is interrupted."
)
_ROWS = click.option("--rows", type=click.IntRange(0), default=10, help="Regions of each device.")
_REGIONS = click.option(
    "--region", "regions", type=click.IntRange(0), multiple=True, help="Only this one; repeatable."
)


@click.group("probe")
def probe() -> None:
    """See what really happens on devices, by region: latency, errors, retries, patterns.

    DEVICE is the name of a device-mapper device, or the path of any whole disk.
    """


@command("top")
@_DEVICES
@_REGION_SIZE
@_INTERVAL
@_ROWS
@click.option("--count", type=click.IntRange(1), help="End after so many frames.")
@_SHARE
@_NO_BPF
def top(
    app: App,
    devices: tuple[str, ...],
    region_sectors: int,
    interval: float,
    rows: int,
    count: int | None,
    share: float,
    no_bpf: bool,
) -> None:
    """Show the regions that fail or take most time, again and again.

    With --json, one object a line.
    """
    with (
        _opened(app, devices, region_sectors, interval, no_bpf, share) as source,
        _screen(app) as draw,
    ):
        for number, frame in enumerate(source.frames(), 1):
            draw(_summary(source, [frame]), rows)
            if number == count:
                break


@command("hist")
@_DEVICES
@_REGION_SIZE
@_REGIONS
@_SECONDS
@_SHARE
@_NO_BPF
def hist(
    app: App,
    devices: tuple[str, ...],
    region_sectors: int,
    regions: tuple[int, ...],
    seconds: float | None,
    share: float,
    no_bpf: bool,
) -> None:
    """Count for a time, then draw how long I/O took, and how far apart it came."""
    with _opened(app, devices, region_sectors, 1.0, no_bpf, share) as source:
        summary = _summary(source, _for_a_time(source, seconds))
    _show_hist(app, summary, regions)


@command("record")
@click.argument("file", type=click.Path(path_type=Path))
@_DEVICES
@_REGION_SIZE
@_INTERVAL
@_SECONDS
@_SHARE
@_NO_BPF
def record(
    app: App,
    file: Path,
    devices: tuple[str, ...],
    region_sectors: int,
    interval: float,
    seconds: float | None,
    share: float,
    no_bpf: bool,
) -> None:
    """Write what happens to FILE, for `pyctl probe replay`.

    What was written stays readable if this is killed.
    """
    from pyctl.probes.frames import End
    from pyctl.probes.recording import Recorder

    frames = 0
    with (
        _opened(app, devices, region_sectors, interval, no_bpf, share) as source,
        Recorder(file, source.header) as recorder,
    ):
        for frame in _for_a_time(source, seconds):
            recorder.add(frame)
            frames += 1
        recorder.add(End("stopped"))
        length = recorder.bytes_written
    app.emit(
        {"file": str(file), "frames": frames, "bytes": length, "source": source.header.source},
        f"{counted(frames, 'frame')}, {length} bytes are in {file}.",
    )


@command("replay")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--view", type=click.Choice(("top", "hist")), default="top", help="Default: top.")
@click.option("--each", is_flag=True, help="Of top: each frame, and not all of them together.")
@_ROWS
@_REGIONS
def replay(
    app: App, file: Path, view: str, each: bool, rows: int, regions: tuple[int, ...]
) -> None:
    """Show what was recorded in FILE; of one that was cut off, what is there."""
    from pyctl.probes.recording import Recording
    from pyctl.probes.views import Summary

    recording = Recording(file)
    _tell_source(app, recording.header)
    summary = Summary.of(recording.header)
    for frame in recording.frames():
        if each and view == "top":
            _show_top(app, Summary.of(recording.header, [frame]), rows)
        summary.add(frame)
    if view == "hist":
        _show_hist(app, summary, regions)
    elif not each:
        _show_top(app, summary, rows)
    if recording.problem:
        click.echo(f"pyctl: {recording.problem}", err=True)


for _each in (top, hist, record, replay):
    probe.add_command(_each)

COMMANDS = (probe,)


@contextlib.contextmanager
def _opened(
    app: App,
    devices: tuple[str, ...],
    region_sectors: int,
    interval: float,
    no_bpf: bool,
    percent: float,
) -> Iterator["Source"]:
    from pyctl.probes import source as sources

    share = percent / 100
    with sources.opened(devices, region_sectors, interval, bpf=not no_bpf, share=share) as source:
        _tell_source(app, source.header)
        yield source


def _tell_source(app: App, header: "Header") -> None:
    if header.source != "bpf":
        app.note(
            "These are the kernel's own counters: no regions, no distribution of latencies, no"
            f" statuses. {header.why}"
        )
    elif header.share < 1:
        app.note(
            f"It looks for {100 * header.share:g} % of the time. What it shows is of that time;"
            " what fails in between is not seen."
        )


def _summary(source: "Source", frames: "Iterable[Frame]") -> "Summary":
    from pyctl.probes.views import Summary

    return Summary.of(source.header, frames)


# An interruption is how a person ends it; what was counted until then counts.
def _for_a_time(source: "Source", seconds: float | None) -> "Iterator[Frame]":
    start = time.monotonic()
    with contextlib.suppress(KeyboardInterrupt):
        if seconds is not None and seconds <= source.header.interval:
            time.sleep(seconds)
        else:
            for frame in source.frames():
                yield frame
                left = None if seconds is None else seconds - (time.monotonic() - start)
                if left is not None and left < source.header.interval:
                    time.sleep(max(0.0, left))
                    break
    yield source.finish()


# On a terminal one picture that changes, elsewhere lines.
@contextlib.contextmanager
def _screen(app: App) -> "Iterator[Callable[[Summary, int], None]]":
    if app.json or not sys.stdout.isatty():
        yield lambda summary, rows: _show_top(app, summary, rows)
        return
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from pyctl.output import table_of
    from pyctl.probes.views import losses_text, top_rows

    with Live(screen=True, auto_refresh=False) as live:

        def draw(summary: "Summary", rows: int) -> None:
            shown = Group(table_of(top_rows(summary, rows)), Text(losses_text(summary)))
            live.update(shown, refresh=True)

        yield draw


def _show_top(app: App, summary: "Summary", rows: int) -> None:
    from pyctl.probes.views import losses_text, top_data, top_rows

    if app.json:
        click.echo(json.dumps(top_data(summary, rows)))
        return
    show(top_rows(summary, rows))
    show(losses_text(summary))


def _show_hist(app: App, summary: "Summary", regions: tuple[int, ...]) -> None:
    from pyctl.probes.views import hist_data, hist_text, losses_text

    data: list[dict[str, Any]] = hist_data(summary, regions)
    app.emit(data, hist_text(summary, regions))
    if not app.json:
        show(losses_text(summary))
