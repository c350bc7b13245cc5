"""Shell completion."""

import click
from click.shell_completion import get_completion_class

from pyctl.app import App, command
from pyctl.errors import PyctlError

__all__ = ["COMMANDS"]


@command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, app: App, shell: str) -> None:
    """Print the completion script of SHELL; e.g. `eval "$(pyctl completion bash)"`."""
    cls = get_completion_class(shell)
    if cls is None:
        raise PyctlError(f"This version of click has no completion for {shell}.")
    script = cls(ctx.find_root().command, {}, "pyctl", "_PYCTL_COMPLETE").source()
    app.emit({"shell": shell, "script": script}, script)


COMMANDS = (completion,)
