"""The program `dm-remapd`."""

import asyncio
import contextlib
import io
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO, cast

import click
import structlog

from pyctl import __version__, dm
from pyctl.control import Control
from pyctl.daemon.hearing import Hearing
from pyctl.daemon.policy.loading import PolicyError
from pyctl.daemon.process import PACE, Loaded
from pyctl.daemon.serving import serve
from pyctl.daemon.source import DeviceMapper, Kernel
from pyctl.daemon.works import Open
from pyctl.errors import ExitCode, PyctlError, exit_code
from pyctl.registry import Registry

__all__ = ["main", "run"]

# What sd-daemon(3) puts before a line, so that the journal knows how grave it is.
_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


@click.command("dm-remapd", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", message="dm-remapd %(version)s")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="The daemon's file; default /etc/dm-remap/daemon.yaml, if that is there.",
)
@click.option("--check", is_flag=True, help="Only say what is wrong in that file and the policy.")
def main(config: Path | None, check: bool) -> None:
    """Watch all dm-remap devices, and do what the policy says. See docs/daemon.md."""
    open_device = dm.Device
    kernel = DeviceMapper(dm.list_devices, open_device, Registry(), time.time)
    sys.exit(
        run(config, kernel, lambda name: Control(open_device(name)), check=check, hear=Hearing)
    )


def run(
    config: Path | None,
    kernel: Kernel,
    open_device: Open,
    *,
    check: bool = False,
    pace: float = PACE,
    hear: Callable[..., Hearing] | None = None,
) -> int:
    """The daemon, or its check; returns the exit status. `pace` and `hear` as serve has them."""
    _log_to_stderr()
    try:
        if check:
            loaded = Loaded.load(config)
            click.echo(f"{loaded.file}: nothing is wrong, nor in the settings.")
            return ExitCode.OK
        asyncio.run(serve(config, kernel, open_device, pace=pace, hear=hear))
    except PolicyError as error:
        for one in error.problems:
            click.echo(f"dm-remapd: {one}", err=True)
        return ExitCode.USAGE
    except PyctlError as error:
        click.echo(f"dm-remapd: {error.message}", err=True)
        if error.hint:
            click.echo(f"  {error.hint}", err=True)
        return exit_code(error)
    return ExitCode.OK


# Lines of key=value; for the journal with their priority, which has its own time.
def _log_to_stderr() -> None:
    journal = "JOURNAL_STREAM" in os.environ
    render = structlog.processors.LogfmtRenderer(
        key_order=["timestamp", "level", "event", "device"], drop_missing=True
    )
    shared: list[structlog.typing.Processor] = [structlog.processors.add_log_level]
    if journal:
        shared += [_Prefixed(render)]
    else:
        shared += [structlog.processors.TimeStamper(fmt="iso", utc=True), render]
    structlog.configure(
        processors=shared,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Patient(sys.stderr))),
    )


# A log that takes nothing ends nothing: what matters is in the store and in the audit log.
class _Patient(io.TextIOBase):
    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self.stream.flush()


class _Prefixed:
    def __init__(self, render: structlog.processors.LogfmtRenderer) -> None:
        self.render = render

    def __call__(self, logger: object, name: str, event: structlog.typing.EventDict) -> str:
        level = str(event.pop("level", "info"))
        return f"<{_PRIORITY.get(level, 6)}>{self.render(logger, name, event)}"
