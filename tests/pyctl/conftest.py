import json

import pytest
from click.testing import CliRunner

import tests.properties  # noqa: F401 (sets hypothesis up)
from pyctl import identity
from pyctl.app import App
from pyctl.blockdev import BlockDevice
from pyctl.cli import cli
from pyctl.registry import Registry
from tests.pyctl.fakes import FakeDevice, FakeKernel


@pytest.fixture
def device():
    return FakeDevice()


@pytest.fixture
def registry(tmp_path):
    """What the machine remembers, in a folder of the test's own."""
    return Registry(tmp_path / "etc", tmp_path / "run")


@pytest.fixture
def run(device, registry):
    """Runs pyctl against the fake device `d`; the result has .data, the parsed JSON of stdout."""

    def call(*words, **overrides):
        kernel = overrides.pop("kernel", FakeKernel([device]))
        app = App(
            open_device=kernel.open_device,
            list_devices=kernel.list_devices,
            ensure_target=overrides.pop("ensure_target", lambda: None),
            registry=registry,
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


@pytest.fixture
def disks(images, monkeypatch):
    """Image files that pass for block devices: the first is a main of 100 MiB."""
    devices, hardware = {}, {}

    def make(*spares, lbs=512, main=204800):
        paths = [str(path) for path in images(main, *spares)]
        for number, path in enumerate(paths, len(devices)):
            size = (main, *spares)[paths.index(path)]
            devices[path] = BlockDevice(
                path, f"d{number}", f"d{number}", 7, number, size, lbs, False
            )
        return paths

    def find(path):
        return devices[path]

    def of_device(device):
        return dict(hardware.get(device.path, {}))

    monkeypatch.setattr(BlockDevice, "find", find)
    monkeypatch.setattr(identity, "of_device", of_device)
    make.devices, make.hardware = devices, hardware
    return make
