"""What fails next: the commands of `pyctl predict`.

The packages of the extra `predict` take long to import, so that is done where they are used.
"""

import click

from pyctl.commands.predict.needs import needs_predict

__all__ = ["COMMANDS", "needs_predict"]


@click.group("predict")
def predict() -> None:
    """Say what fails next, how sure that is, and why. See docs/prediction.md."""


COMMANDS = (predict,)
