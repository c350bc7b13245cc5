"""The health scan of a live device: start, stop, pause, resume, and what it has found."""

from dataclasses import asdict
from typing import Any

import click

from pyctl.app import App, command
from pyctl.output import Pairs, Rows, counted, when
from pyctl.scan import PATTERNS, RELOCATE, Candidate, Region, Scan, ScanStatus, Settings

__all__ = ["COMMANDS"]

_MIB = 2048
_MIB_IN_KIB = 1024
_RATE = click.IntRange(0, 4096)
_SHARE = click.IntRange(1, 100)


@click.group("scan")
def scan() -> None:
    """Look for bad and slow blocks before they are needed.

    Everything is read when nobody else uses the disks. It begins by itself from time to time.
    """


@command("start")
@click.argument("name")
@click.option("--pattern", type=click.Choice(PATTERNS), help="In which order; else what is best.")
@click.option("--wait", is_flag=True, help="Show how far it is until it is over.")
def start(app: App, name: str, pattern: str | None, wait: bool) -> None:
    """Scan all of NAME now.

    With --wait, an interruption leaves the scan running.
    """
    it = _scan(app, name)
    begun = it.start(pattern)
    if not wait:
        app.emit(_plain(name, begun), f"A {begun.pattern} scan of {name} has begun.")
        return
    with app.progress(f"Scanning {name}", "MiB") as step:
        over = it.wait(step)
    app.emit(_plain(name, over), _found(name, over))


@command("stop")
@click.argument("name")
def stop(app: App, name: str) -> None:
    """End the scan of NAME; the next one begins from the start."""
    now = _scan(app, name).stop()
    app.emit(_plain(name, now), f"The scan of {name} has ended at {now.percent} %.")


@command("pause")
@click.argument("name")
def pause(app: App, name: str) -> None:
    """Let the scan of NAME wait, also after a restart, until it is resumed."""
    now = _scan(app, name).pause()
    app.emit(_plain(name, now), f"The scan of {name} waits at {now.percent} %.")


@command("resume")
@click.argument("name")
def resume(app: App, name: str) -> None:
    """Let the scan of NAME go on where it waits."""
    now = _scan(app, name).resume()
    app.emit(_plain(name, now), f"The scan of {name} goes on at {now.percent} %.")


@command("status")
@click.argument("name")
def status(app: App, name: str) -> None:
    """Show how far the scan of NAME is, how fast, and what it has found."""
    now = _scan(app, name).status()
    app.emit(_plain(name, now), Pairs(_table(now)))


@command("candidates")
@click.argument("name")
def candidates(app: App, name: str) -> None:
    """Show what is slow time and again on NAME, and could be moved to a spare."""
    found = _scan(app, name).candidates()
    app.emit([asdict(each) for each in found], _candidates(found))


@command("regions")
@click.argument("name")
def regions(app: App, name: str) -> None:
    """Show the regions of NAME of which the scan has something to tell."""
    found = _scan(app, name).regions()
    app.emit([asdict(each) for each in found], _regions(found))


@command("settings")
@click.argument("name")
@click.option("--relocate", type=click.Choice(RELOCATE), help="What becomes of slow pieces.")
@click.option("--rate", type=_RATE, metavar="MIB", help="Read at most so much per second; 0: all.")
@click.option("--share", type=_SHARE, metavar="PERCENT", help="Of the time, while others read.")
def settings(
    app: App, name: str, relocate: str | None, rate: int | None, share: int | None
) -> None:
    """Show how the scan of NAME is set, or change that until NAME is stopped."""
    now = _scan(app, name).change(
        relocate=relocate, rate=None if rate is None else rate * _MIB_IN_KIB, share=share
    )
    app.emit({"name": name, **asdict(now)}, Pairs(_settings(now)))


for _each in (start, stop, pause, resume, status, candidates, regions, settings):
    scan.add_command(_each)

COMMANDS = (scan,)


def _scan(app: App, name: str) -> Scan:
    return Scan(app.control(name))


def _plain(name: str, now: ScanStatus) -> dict[str, Any]:
    return {"name": name, **asdict(now)}


def _found(name: str, over: ScanStatus) -> str:
    if not over.findings:
        return f"{name} is scanned: nothing was found."
    return (
        f"{name} is scanned: {counted(over.errors, 'block')} cannot be read,"
        f" {over.rescued} could be read again, {counted(over.slow, 'piece')} of 32 KiB"
        f" {'is' if over.slow == 1 else 'are'} slow,"
        f" {counted(over.blanks, 'region')} without the data that was there."
    )


def _span(seconds: int) -> str:
    hours, rest = divmod(seconds, 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"


def _table(now: ScanStatus) -> dict[str, object]:
    shown: dict[str, object] = {"state": now.state}
    if now.why:
        shown["waits because"] = now.why
    shown["pattern"] = now.pattern
    shown["done"] = f"{now.percent} % ({now.done // _MIB} of {now.total // _MIB} MiB)"
    if now.state == "running":
        shown["rate"] = f"{now.rate / _MIB_IN_KIB:.1f} MiB/s" if now.rate else "-"
        shown["time left"] = _span(now.left) if now.left else "-"
    return shown | {
        "cannot be read": counted(now.errors, "block"),
        "read again": counted(now.rescued, "block"),
        "slow": f"{counted(now.slow, 'piece')} of 32 KiB",
        "lost their data": counted(now.blanks, "region"),
        "moved": counted(now.relocated, "block"),
        "candidates": counted(now.candidates, "sector"),
        "regions noted": now.regions,
        "last whole scan": when(now.last),
        "next scan": when(now.next),
        "health": now.health,
    }


def _candidates(found: list[Candidate]) -> Rows | str:
    if not found:
        return "Nothing is slow time and again."
    return Rows(("SECTOR", "SECTORS"), [(each.sector, each.sectors) for each in found])


def _regions(found: list[Region]) -> Rows | str:
    if not found:
        return "There is nothing to tell of any region."
    titles = ("ON", "SECTOR", "HEALTH", "ERRORS", "RETRIES", "SLOW", "MARGINAL", "BLANK")
    return Rows(
        titles,
        [
            (
                "main" if each.spare is None else f"spare {each.spare}",
                each.sector,
                each.health,
                each.errors,
                each.retries,
                each.slow,
                each.marginal,
                each.blanks,
            )
            for each in found
        ],
    )


def _settings(now: Settings) -> dict[str, object]:
    limit = f"{now.rate / _MIB_IN_KIB:g} MiB/s" if now.rate else "no limit"
    return {
        "slow pieces": now.relocate,
        "rate": limit,
        "share": f"{now.share} % while others use the disks",
    }
