"""What every command gets: options, output, and the way to the kernel."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import click

from pyctl import dm, modules, output
from pyctl.control import Control, DmDevice
from pyctl.dm import DeviceName
from pyctl.registry import Registry

__all__ = ["App", "command"]


@dataclass
class App:
    """The running tool. Tests replace the functions that reach the kernel."""

    json: bool = False
    propagate: bool = False
    open_device: Callable[[str], DmDevice] = dm.Device
    list_devices: Callable[[], list[DeviceName]] = dm.list_devices
    ensure_target: Callable[[], None] = modules.ensure_target
    registry: Registry = field(default_factory=Registry)

    def control(self, name: str) -> Control:
        """A live dm-remap device by name."""
        return Control(self.open_device(name))

    def emit(self, data: object, human: output.Rows | output.Pairs | str) -> None:
        """Print a result: as JSON if that was asked for, else for people."""
        if self.json:
            click.echo(json.dumps(data, indent=2))
        else:
            output.show(human)

    def note(self, text: str) -> None:
        """Tell people something beside the result; JSON has it in the result."""
        if not self.json:
            click.echo(text, err=True)

    @contextmanager
    def progress(self, title: str, unit: str = "") -> Iterator[Callable[[int, int], None] | None]:
        """A progress bar for people, as output.progress_bar()."""
        if self.json:
            yield None
            return
        with output.progress_bar(title, unit) as step:
            yield step


_pass_app = click.make_pass_decorator(App, ensure=True)


# --json is accepted behind every command as well as before it.
def _set_json(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(App).json = True


def command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """A click command that takes --json, too, and gets the App as its first argument."""

    def wrap(function: Callable[..., Any]) -> click.Command:
        with_json = click.option(
            "--json",
            is_flag=True,
            expose_value=False,
            callback=_set_json,
            help="Print JSON.",
        )(_pass_app(function))
        return click.command(name)(with_json)

    return wrap
