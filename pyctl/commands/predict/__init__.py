"""What fails next: the commands of `pyctl predict`.

The packages of the extra `predict` take long to import, so that is done where they are used.
"""

import click

from pyctl.commands.predict.field import VERBS as _FIELD
from pyctl.commands.predict.needs import needs_predict
from pyctl.commands.predict.regions import VERBS as _REGIONS
from pyctl.commands.predict.single import VERBS as _SINGLE

__all__ = ["COMMANDS", "needs_predict"]


@click.group("predict")
def predict() -> None:
    """Say what fails next, how sure that is, and why. See docs/prediction.md."""


for _each in (*_FIELD, *_REGIONS, *_SINGLE):
    predict.add_command(_each)

COMMANDS = (predict,)
