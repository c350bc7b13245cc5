import pytest

from pyctl.predict.log import read_log
from pyctl.predict.model import save
from pyctl.predict.producing import produce
from tests.pyctl.predict import fleet


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder of small field data. Tests read it only."""
    return fleet.make(tmp_path_factory.mktemp("field"))


@pytest.fixture(scope="session")
def log(folder):
    return read_log(folder)


@pytest.fixture(scope="session")
def trained(folder, log):
    """A model trained from the small field data, and its evaluation."""
    return produce(log, folder, "made by a test", threads=1)


@pytest.fixture(scope="session")
def saved(trained, tmp_path_factory):
    """The folder of that model."""
    path = tmp_path_factory.mktemp("model")
    save(trained[0], path)
    return path
