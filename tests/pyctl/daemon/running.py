"""A daemon process on a machine in a folder; with systemd's socket, and a web hook."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pyctl.daemon.audit import read
from tests.pyctl.daemon.machine import Machine
from tests.pyctl.daemon.remembered import remembered

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 30


def until(condition, what="it"):
    """Waits until a function gives something true, and returns that."""
    end = time.monotonic() + PATIENCE
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"{what} did not happen within {PATIENCE} s"
        time.sleep(0.02)


class Box:
    """A web hook that keeps what it gets."""

    def __init__(self):
        self.got = []
        box = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers["Content-Length"])
                box.got.append(json.loads(self.rfile.read(length)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def subjects(self):
        return [one["subject"] for one in list(self.got)]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Running:
    """The folder with the machine, and the daemon process, which may be started several times."""

    def __init__(self, folder, box):
        self.folder = Path(folder)
        self.box = box
        self.machine = Machine(self.folder)
        self.process = None
        self.log = ""
        self._readers = []
        self.notified = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.folder / "notify"))
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.write_settings()

    @property
    def socket(self):
        return self.folder / "api.sock"

    def write_settings(self, text="", api=""):
        (self.folder / "daemon.yaml").write_text(
            f"version: 1\npolicy: {self.folder}/policy.yaml\nstate: {self.folder}/state\n"
            f"read-every: 1s\nchannels: {{box: {{webhook: {{url: {self.box.url!r}}}}}}}\n"
            "alerts: {info: [{channels: [box]}], warning: [{channels: [box]}],"
            f" critical: [{{channels: [box]}}]}}\n"
            f"{api or f'api: {{socket: {self.socket}}}'}\n{text}"
        )

    def write_policy(self, rules, head=""):
        (self.folder / "policy.yaml").write_text(f"version: 1\nname: test\n{head}\nrules:\n{rules}")

    def audit(self):
        return read(self.folder / "state/audit")

    def told(self):
        """What was decided, ordered and done, without what the kernel did."""
        return [one["what"] for one in self.audit() if one["who"] != "kernel"]

    def seen(self):
        """What the daemon has written down of the devices; it may be running."""
        return remembered(self.folder / "state")

    def launch(self, *words, **environment):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.pyctl.daemon.machine", str(self.folder), *words],
            cwd=ROOT,
            env={**os.environ, "NOTIFY_SOCKET": str(self.folder / "notify"), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._readers.append(threading.Thread(target=self._read, args=[self.process.stdout]))
        self._readers[-1].start()
        return self.process

    def start(self, *words, **environment):
        """Starts it, and waits until it says that it is ready."""
        ready = self.notified.count("READY=1")
        self.launch(*words, **environment)

        def is_ready():
            assert self.process.poll() is None, self.log
            return self.notified.count("READY=1") > ready

        until(is_ready, "READY=1")
        return self

    def hup(self):
        """Has the files read again, and waits until that is done."""
        ready = self.notified.count("READY=1")
        self.process.send_signal(signal.SIGHUP)
        until(lambda: self.notified.count("READY=1") > ready, "the reload")

    def wait(self):
        """Its exit status, when all that it said is in the log."""
        status = self.process.wait(PATIENCE)
        for one in self._readers:
            one.join()
        return status

    def stop(self):
        """Ends it in order; its exit status."""
        self.process.terminate()
        return self.wait()

    def kill(self):
        self.process.kill()
        self.wait()

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()
        self._socket.sendto(b"", str(self.folder / "notify"))
        self._listener.join()
        self._socket.close()

    def _read(self, out):
        with out:
            for line in out:
                self.log += line

    def _listen(self):
        while data := self._socket.recv(4096):
            self.notified += data.decode().splitlines()
