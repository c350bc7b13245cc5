"""What happens to sets, while it happens."""

import asyncio
import json
from collections.abc import Mapping

import click

from pyctl.app import App, command

__all__ = ["COMMANDS"]


@command("events")
@click.option("--follow", is_flag=True, help="Also when the module goes: wait until it is back.")
@click.option("--count", type=click.IntRange(1), help="End after so many events.")
def events(app: App, follow: bool, count: int | None) -> None:
    """Print what happens to all sets, live, until interrupted; JSON: one object a line.

    When events were lost it says so, and what has changed since by a dump.
    """
    # pyroute2 takes long to import, and nothing else needs it
    from pyctl.netlink.watching import Watch

    def tell(told: Mapping[str, object], line: str) -> None:
        click.echo(json.dumps(told) if app.json else line)

    asyncio.run(Watch(tell, follow, count).run())


COMMANDS = (events,)
