import pytest

pytest.importorskip("lightgbm")
from pyctl.predict.log import read_log
from tests.pyctl.predict import fleet


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder of small field data. Tests read it only."""
    return fleet.make(tmp_path_factory.mktemp("field"))


@pytest.fixture(scope="session")
def log(folder):
    return read_log(folder)
