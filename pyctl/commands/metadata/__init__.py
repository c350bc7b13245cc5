"""Metadata on spares, read and written without the kernel module."""

import click

from pyctl.commands.metadata import archive, check, dump, history, identity

__all__ = ["COMMANDS"]


@click.group("metadata")
def metadata() -> None:
    """Look at the metadata on spares, check it, keep it and mend it; the set must not run."""


for _part in (dump, check, archive, history, identity):
    for _each in _part.COMMANDS:
        metadata.add_command(_each)

COMMANDS = (metadata,)
