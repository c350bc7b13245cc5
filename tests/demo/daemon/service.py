"""The daemon as it is shipped, in a folder of its own, and somebody who is told."""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pyctl.daemon.client import Client
from pyctl.errors import PyctlError
from tests.kernel.lib.retry import wait_until
from tests.vm import paths

# Seconds; an emulated guest is slow.
PATIENCE = 90
_POLICY = paths.PROJECT / "packaging/policy/default.yaml"


class Receiver:
    """A web hook: what the daemon tells people."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                receiver.got.append(json.loads(self.rfile.read(length)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()


@dataclass(frozen=True)
class Serving:
    """A daemon that runs, and whoever speaks with it."""

    client: Client
    process: "subprocess.Popen[bytes]"


@contextlib.contextmanager
def serving(folder: Path, receiver: Receiver) -> Iterator[Serving]:
    """The daemon runs, with the shipped policy as it is, and has seen a device."""
    config = folder / "daemon.yaml"
    levels = ", ".join(
        f"{one}: [{{channels: [people]}}]" for one in ("info", "warning", "critical")
    )
    config.write_text(
        f"version: 1\npolicy: {_POLICY}\nstate: {folder}/state\nread-every: 5s\n"
        f"channels: {{people: {{webhook: {{url: {receiver.url!r}}}}}}}\n"
        f"alerts: {{{levels}}}\napi: {{socket: {folder}/api.sock}}\n"
    )
    client = Client(folder / "api.sock")
    program = Path(sys.executable).with_name("dm-remapd")
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen([program, "--config", config], stdout=log, stderr=log)
    try:
        # what came before it saw a device for the first time is no event
        wait_until(lambda: _devices(client), "the daemon has seen the device", PATIENCE)
        yield Serving(client, process)
        process.terminate()
        if process.wait(PATIENCE):
            raise PyctlError(f"dm-remapd has failed:\n{(folder / 'log').read_text()}")
    finally:
        process.kill()
        process.wait()


def _devices(client: Client) -> Any:
    with contextlib.suppress(PyctlError):
        return client.get("/v1/devices")
    return []
