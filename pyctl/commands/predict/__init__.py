"""What fails next: the commands of `pyctl predict`.

The packages of the extra `predict` take long to import, so that is done where they are used.
"""

import click

from pyctl.commands.predict.needs import needs_predict
from pyctl.commands.predict.regions import VERBS as _REGIONS

__all__ = ["COMMANDS", "needs_predict"]


@click.group("predict")
def predict() -> None:
    """Say what fails next, how sure that is, and why. See docs/prediction.md."""


for _each in _REGIONS:
    predict.add_command(_each)

COMMANDS = (predict,)
