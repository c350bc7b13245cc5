import json

import pytest
from click.testing import CliRunner

import tests.properties  # noqa: F401 (sets hypothesis up)
from pyctl.app import App
from pyctl.cli import cli
from tests.pyctl.fakes import FakeDevice, FakeKernel


@pytest.fixture
def device():
    return FakeDevice()


@pytest.fixture
def run(device):
    """Runs pyctl against the fake device `d`; the result has .data, the parsed JSON of stdout."""

    def call(*words, **overrides):
        kernel = overrides.pop("kernel", FakeKernel([device]))
        app = App(
            open_device=kernel.open_device,
            list_devices=kernel.list_devices,
            ensure_target=overrides.pop("ensure_target", lambda: None),
        )
        result = CliRunner().invoke(cli, [str(word) for word in words], obj=app, **overrides)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        result.data = json.loads(result.stdout) if "--json" in words and result.stdout else None
        return result

    return call


@pytest.fixture
def images(tmp_path):
    """Makes image files of a size in sectors."""

    def make(*sectors):
        paths = []
        for count in sectors:
            path = tmp_path / f"image{len(list(tmp_path.iterdir()))}"
            with path.open("wb") as file:
                file.truncate(count * 512)
            paths.append(path)
        return paths

    return make
