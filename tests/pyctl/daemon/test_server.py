"""The ways in: opened before anything is served, and with a reason if they cannot be."""

import grp
import os
import socket

import pytest
from fastapi import FastAPI

from pyctl.daemon.api.server import Servers
from pyctl.daemon.settings import Api, Tcp
from pyctl.errors import PyctlError, UsageError


def api(path, **more):
    return Api.model_validate({"socket": str(path / "s"), **more})


def test_a_group_is_let_in(tmp_path):
    name = grp.getgrgid(os.getgid()).gr_name
    servers = Servers(api(tmp_path, group=name), FastAPI())
    info = (tmp_path / "s").stat()
    assert (info.st_mode & 0o777, info.st_gid) == (0o660, os.getgid())
    servers.close()


def test_what_the_last_one_left_is_taken_away_and_nothing_else(tmp_path):
    for _ in range(2):
        Servers(api(tmp_path), FastAPI()).close()
    (tmp_path / "s").unlink()
    (tmp_path / "s").write_text("somebody's")
    with pytest.raises(PyctlError, match="Cannot listen on"):
        Servers(api(tmp_path), FastAPI())
    assert (tmp_path / "s").read_text() == "somebody's"


def test_no_such_group(tmp_path):
    with pytest.raises(UsageError, match="There is no group nobody-has-it"):
        Servers(api(tmp_path, group="nobody-has-it"), FastAPI())


def test_a_port_that_somebody_has(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PyctlError, match=f"Cannot listen on 127.0.0.1, port {port}"):
            Servers(api(tmp_path, listen={"port": port}), FastAPI())


def test_a_certificate_that_is_none(tmp_path):
    (tmp_path / "c").write_text("nothing")
    made = api(tmp_path)
    tcp = Tcp.model_validate(
        {"port": 1, "certificate": str(tmp_path / "c"), "key": str(tmp_path / "c")}
    )
    with pytest.raises(UsageError, match="of no use"):
        Servers(made.model_copy(update={"listen": tcp}), FastAPI())
