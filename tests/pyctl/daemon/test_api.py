"""The interface for programs: a real daemon, real sockets."""

import contextlib
import hashlib
import http.client
import json
import os
import re
import resource
import socket
import ssl
import time
from pathlib import Path

import pytest
import schemathesis
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth

from pyctl.cli import cli
from pyctl.daemon.audit import verify
from pyctl.daemon.client import Client
from pyctl.daemon.events import Event, Kind, Reading
from pyctl.daemon.store import Store
from pyctl.errors import (
    NotFoundError,
    PermissionDeniedError,
    PyctlError,
    RefusedError,
    UsageError,
)
from tests.pyctl.daemon.killing import folder
from tests.pyctl.daemon.machine import HELP, a_device
from tests.pyctl.daemon.policy.making import rule
from tests.pyctl.daemon.running import Box, Running, until

DOCS = Path(__file__).resolve().parents[3] / "docs/api.md"
CERTIFICATE = Path(__file__).parent / "certificate.pem"
TOKENS = {"viewer": "v" * 20, "operator": "o" * 20, "admin": "a" * 20}
# Every operation, and who may use it.
ROLES = {
    ("GET", "/v1/devices"): "viewer",
    ("GET", "/v1/devices/{name}"): "viewer",
    ("GET", "/v1/devices/{name}/map"): "viewer",
    ("GET", "/v1/me"): "viewer",
    ("GET", "/metrics"): "viewer",
    ("GET", "/v1/events"): "viewer",
    ("GET", "/v1/events/stream"): "viewer",
    ("GET", "/v1/decisions"): "viewer",
    ("GET", "/v1/explain"): "viewer",
    ("GET", "/v1/actions"): "viewer",
    ("GET", "/v1/actions/{number}"): "viewer",
    ("POST", "/v1/actions"): "operator",
    ("GET", "/v1/alerts"): "viewer",
    ("POST", "/v1/alerts/{number}/acknowledge"): "operator",
    ("POST", "/v1/alerts/{number}/resolve"): "operator",
    ("GET", "/v1/mutes"): "viewer",
    ("POST", "/v1/mutes"): "operator",
    ("DELETE", "/v1/mutes/{number}"): "operator",
    ("GET", "/v1/status"): "viewer",
    ("GET", "/v1/policy"): "viewer",
    ("POST", "/v1/reload"): "admin",
}
POLICY = rule(
    "{errors: {at-least: 3, within: 1h}}", '- notify: {text: "{why}"}', "cool-down: 1s", "errors"
) + rule("{event: [remap]}", "- scan: {}", "cool-down: 1s", "scan")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Served(Running):
    """A daemon that listens on TCP, too, with a token for each role."""

    def __init__(self, place, box, per_second=10_000, tls=""):
        self.port = free_port()
        self.per_second = per_second
        self.tls = tls
        tokens = Path(place) / "tokens"
        tokens.write_text(
            "# name role hash\n"
            + "".join(
                f"{role}-1 {role} {hashlib.sha256(token.encode()).hexdigest()}\n"
                for role, token in TOKENS.items()
            )
        )
        tokens.chmod(0o600)
        super().__init__(place, box)

    def write_settings(self, text="", api=""):
        super().write_settings(
            text,
            api
            or f"api: {{socket: {self.socket}, tokens: {self.folder}/tokens,"
            f" listen: {{port: {self.port}{self.tls}}}, per-second: {self.per_second}}}",
        )

    @property
    def client(self):
        return Client(self.socket)

    def call(self, method, path, role=None, body=None, headers=None):
        """Over TCP: status, body, headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = {"Authorization": f"Bearer {TOKENS[role]}"} if role else {}
        data = json.dumps(body) if body is not None else None
        sent |= {"Content-Type": "application/json"} if data else {}
        with contextlib.closing(connection):
            connection.request(method, path, data, {**sent, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers

    def status(self, *words, **more):
        return self.call(*words, **more)[0]

    def learn(self, name="srv", **reading):
        """Start again, knowing what disks have said of themselves."""
        assert self.stop() == 0
        event = Event(
            time=time.time(),
            kind=Kind.READING,
            device=name,
            source="smart",
            reading=Reading(**reading),
        )
        with Store(self.folder / "state/daemon.db") as store:
            store.add_events([event])
        self.start()
        until(lambda: self.client.get("/v1/status")["devices_up"], "the first look")

    def raise_alert(self, name="srv"):
        errors = self.machine.state(name)["write_errors"]
        self.machine.change(name, write_errors=errors + 3)
        return until(lambda: self.client.get("/v1/alerts"), "an alert")[0]


@contextlib.contextmanager
def served(**options):
    box = Box()
    with folder() as name:
        one = Served(name, box, **options)
        one.write_policy(POLICY)
        one.machine.put("srv", a_device())
        try:
            one.start()
            until(lambda: one.seen().get("srv"), "the first look")
            yield one
        finally:
            one.close()
    box.close()


@pytest.fixture(scope="module")
def daemon():
    """One daemon for all that changes nothing, or nothing that another test looks at."""
    with served() as one:
        yield one


@pytest.fixture
def own():
    with served() as one:
        yield one


def test_devices(daemon):
    (one,) = daemon.client.get("/v1/devices")
    assert (one["name"], one["up"], one["health"], one["capacity"]) == ("srv", True, 100, 1000)
    assert [spare["state"] for spare in one["spares"]] == ["in-sync"] * 2
    assert daemon.client.get("/v1/devices/srv")["set"] == a_device()["set"]
    with pytest.raises(NotFoundError, match="There is no device x"):
        daemon.client.get("/v1/devices/x")


def test_what_disks_say_of_themselves(own):
    (one,) = own.client.get("/v1/devices")
    assert (one["temperature"], one["prediction"]) == (None, None)
    own.learn(temperature=47, prediction=0.031)
    one = own.client.get("/v1/devices/srv")
    assert (one["temperature"], one["prediction"]) == (47, 0.031)
    own.machine.put("other", a_device(1))
    until(lambda: own.seen().get("other"), "the look")
    assert own.client.get("/v1/devices/other")["temperature"] is None


def test_status_and_policy(daemon):
    status = daemon.client.get("/v1/status")
    assert (status["devices"], status["devices_up"], status["trouble"]) == (1, 1, "")
    policy = daemon.client.get("/v1/policy")
    text = (daemon.folder / "policy.yaml").read_bytes()
    assert policy["sha256"] == hashlib.sha256(text).hexdigest()
    assert policy["rules"] == ["errors", "scan"]


def test_who_may_what(daemon):
    """Every operation of the interface is in this table."""
    _, text, _ = daemon.call("GET", "/openapi.json")
    found = {
        (method.upper(), path)
        for path, operations in json.loads(text)["paths"].items()
        for method in operations
    }
    assert found == set(ROLES)
    order = ["viewer", "operator", "admin"]
    for (method, path), role in ROLES.items():
        real = path.format(name="srv", number=999_999)
        assert daemon.status(method, real) == 401
        assert daemon.status(method, real, headers={"Authorization": "Bearer x"}) == 401
        assert daemon.status(method, real, headers={"Authorization": "Basic x"}) == 401
        for lower in order[: order.index(role)]:
            assert daemon.status(method, real, role=lower) == 403, (method, path, lower)
        if "stream" not in path:
            assert daemon.status(method, real, role=role) not in (401, 403), (method, path)


def test_the_table_in_the_docs():
    row = re.compile(r"^\| `(GET|POST|DELETE) (\S+)` \| (\w+) \|", re.MULTILINE)
    told = {(method, path): role for method, path, role in row.findall(DOCS.read_text())}
    assert told == ROLES


def test_root_on_the_socket_is_an_admin_and_others_are_nobody(daemon):
    assert daemon.socket.stat().st_mode & 0o777 == 0o600
    assert daemon.client.post("/v1/reload") == {"done": True}
    # even where the socket would let them in
    daemon.socket.chmod(0o666)
    daemon.folder.chmod(0o755)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setresuid(65534, 65534, 65534)
            daemon.client.get("/v1/status")
            os.write(write, b"in")
        except PermissionDeniedError as error:
            os.write(write, error.message.encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 100) == b"Who are you?"


def test_a_caller_cannot_pretend_to_be_on_the_socket(daemon):
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
        for value in ("uid:0", "for=uid:0"):
            assert daemon.status("GET", "/v1/status", headers={name: value}) == 401


def test_mistakes_are_told_with_what_to_do(daemon):
    with pytest.raises(UsageError, match="limit"):
        daemon.client.get("/v1/events", limit=0)
    with pytest.raises(UsageError, match="kind"):
        daemon.client.get("/v1/events", kind="x")
    with pytest.raises(UsageError, match="colour"):
        daemon.client.post("/v1/mutes", pattern="*", seconds=1, colour="red")
    with pytest.raises(NotFoundError, match="There is no alert 999"):
        daemon.client.post("/v1/alerts/999/acknowledge")
    with pytest.raises(NotFoundError, match="There is no mute 999"):
        daemon.client.delete("/v1/mutes/999")
    with pytest.raises(NotFoundError, match="no action 999"):
        daemon.client.get("/v1/actions/999")
    with pytest.raises(NotFoundError, match="was not asked about"):
        daemon.client.get("/v1/explain", rule="x")


def test_no_daemon(tmp_path):
    with pytest.raises(NotFoundError, match="No daemon listens"):
        Client(tmp_path / "x").get("/v1/status")


def test_what_is_no_answer(tmp_path):
    """Something else listens there."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        child = os.fork()
        if child == 0:
            try:
                for answer in (b"220 hello\r\n", b"HTTP/1.1 200 OK\r\n\r\nhello"):
                    one, _ = listener.accept()
                    one.recv(1000)
                    one.sendall(answer)
                    one.close()
            finally:
                os._exit(0)
        with pytest.raises(PyctlError, match="BadStatusLine"):
            Client(path).get("/v1/status")
        with pytest.raises(PyctlError, match="no JSON"):
            Client(path).get("/v1/status")
        os.waitpid(child, 0)


def test_an_order_is_done_and_in_the_audit_log(own):
    _, body, _ = own.call(
        "POST",
        "/v1/actions",
        role="operator",
        body={"kind": "scan", "device": "srv", "pattern": "random", "why": "it rattles"},
    )
    number = json.loads(body)["id"]
    until(lambda: own.client.get(f"/v1/actions/{number}")["state"] == "done", "the scan")
    assert own.machine.said("srv") == ["scan start random"]
    assert own.stop() == 0
    told = [one for one in own.audit() if one.get("action") == number]
    assert [one["what"] for one in told] == ["scan planned", "scan running", "scan done"]
    assert {(one["who"], one["why"]) for one in told} == {("token:operator-1", "it rattles")}
    assert verify(own.folder / "state/audit").problems == ()


def test_a_scan_is_ended_by_order(own):
    own.machine.change("srv", keeps_scans=True)
    for kind in ("scan-stop", "scan", "scan-stop"):
        number = own.client.post("/v1/actions", kind=kind, device="srv")["id"]
        until(lambda n=number: own.client.get(f"/v1/actions/{n}")["state"] == "done", kind)
    assert own.machine.said("srv") == ["scan stop", "scan start sequential", "scan stop"]
    with pytest.raises(UsageError):
        own.client.post("/v1/actions", kind="scan-stop", device="srv", pattern="random")


def test_who_calls(daemon):
    assert daemon.client.get("/v1/me") == {"name": "user:root", "role": "admin"}
    for role in TOKENS:
        _, body, _ = daemon.call("GET", "/v1/me", role=role)
        assert json.loads(body) == {"name": f"token:{role}-1", "role": role}


def test_the_map_of_a_device(own):
    own.machine.change(
        "srv",
        regions=[["-", 2048, {"errors": 2, "health": 90}], [0, 0, {"errors": 9}]],
        entries=[[2040, 16, "remap"], [6144, 8, "lost"]],
        scan={"state": "running", "percent": 40, "left": 9, "last": 5, "pattern": "random"},
    )

    def told(**query):
        found = own.client.get("/v1/devices/srv/map", **query)
        return found if found["cells"] else None

    one = until(told, "the map")
    assert (one["device"], one["sectors"], one["cell_sectors"]) == ("srv", 8192, 2048)
    scan = {key: one["scan"][key] for key in ("state", "pattern", "percent", "left", "last")}
    assert list(scan.values()) == ["running", "random", 40, 9, 5]
    names = ("errors", "retries", "slow", "marginal", "blanks", "usual_us", "remapped", "lost")
    zero = dict.fromkeys(names, 0)
    zero = {"sectors": 2048, "health": 100, **zero}
    assert one["cells"] == [
        {**zero, "sector": 0, "remapped": 8},
        {**zero, "sector": 2048, "remapped": 8, "errors": 2, "health": 90},
        {**zero, "sector": 6144, "lost": 8},
    ]
    two = told(cells=2)
    assert [(cell["sector"], cell["sectors"]) for cell in two["cells"]] == [(0, 4096), (4096, 4096)]
    with pytest.raises(UsageError, match="cells"):
        told(cells=5000)
    own.machine.change("srv", broken=["list"])

    def refused():
        try:
            told()
        except RefusedError as error:
            return "srv cannot be asked" in error.message
        return False

    until(refused, "the refusal")
    own.machine.remove("srv")
    until(lambda: not own.client.get("/v1/devices/srv")["up"], "its end")
    with pytest.raises(RefusedError, match="srv is not there now"):
        told()
    with pytest.raises(NotFoundError, match="There is no device x"):
        own.client.get("/v1/devices/x/map")


def test_orders_that_cannot_be(own):
    own.machine.change("srv", commands=[one for one in HELP if one != "scan"])
    own.machine.put("gone", a_device(1))
    until(lambda: own.seen().get("gone"), "the look")
    own.machine.remove("gone")
    until(lambda: not own.client.get("/v1/devices/gone")["up"], "its end")
    order = own.client.post

    def scan():
        with pytest.raises(PyctlError) as caught:
            order("/v1/actions", kind="scan", device="srv")
        return "no scanner" in caught.value.message and type(caught.value) is RefusedError

    # of all devices that are there none has a module that scans
    until(scan, "the refusal")
    with pytest.raises(NotFoundError, match="gone is not there now"):
        order("/v1/actions", kind="evacuate", device="gone", spare=0)
    with pytest.raises(NotFoundError, match="no device x"):
        order("/v1/actions", kind="evacuate", device="x", spare=0)
    for bad in (
        {"kind": "hook", "device": "srv", "program": "/bin/true"},
        {"kind": "notify", "device": "srv", "text": "x"},
        {"kind": "remap", "device": "srv", "ranges": [{"sector": 1}]},
        {"kind": "remap", "device": "srv", "ranges": [{"sector": 1, "sectors": 0}]},
        {"kind": "spare-add", "device": "srv", "spare": "/etc/passwd"},
        {"kind": "evacuate", "device": "srv", "spare": 8},
    ):
        with pytest.raises(UsageError):
            order("/v1/actions", **bad)
    ranges = [{"sector": 16, "sectors": 8}, {"sector": 8, "sectors": 16}]
    made = order("/v1/actions", kind="remap", device="srv", ranges=ranges)
    assert made["parameters"]["ranges"] == [[8, 16]]
    body = {"kind": "spare-add", "device": "srv", "spare": "/dev/x"}
    assert own.status("POST", "/v1/actions", role="operator", body=body) == 403
    assert own.status("POST", "/v1/actions", role="admin", body=body) == 202


def test_events_page_by_page(own):
    for count in range(1, 6):
        own.machine.change("srv", lost=count)
        until(lambda count=count: own.client.get("/v1/devices/srv")["lost"] == count, "a look")
        until(lambda count=count: own.seen()["srv"]["lost"] == count, "a look")
    found, after = [], 0
    while page := own.client.get("/v1/events", after=after, limit=2, kind="lost", device="srv"):
        assert len(page) <= 2
        found += page
        after = page[-1]["id"]
    assert sum(one["count"] for one in found) == 5
    assert {one["kind"] for one in found} == {"lost"}
    assert own.client.get("/v1/events", device="other") == []
    newest = own.client.get("/v1/events", limit=2, kind="lost", newest="true")
    assert newest == found[-2:]
    rest = own.client.get("/v1/events", without="lost")
    assert "lost" not in {one["kind"] for one in rest}
    assert len(rest) + len(found) == len(own.client.get("/v1/events"))
    assert own.client.get("/v1/events", without="lost", kind="lost") == []


def lines_of(answer, count):
    """The data of the next events of a stream, with their ids."""
    found, number = [], None
    while len(found) < count:
        line = answer.readline().decode().strip()
        if line.startswith("id: "):
            number = int(line[4:])
        elif line.startswith("data: "):
            found.append((number, json.loads(line[6:])))
    return found


@contextlib.contextmanager
def stream(own, path="/v1/events/stream", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", own.port, timeout=30)
    with contextlib.closing(connection):
        sent = {"Authorization": f"Bearer {TOKENS['viewer']}", **headers}
        connection.request("GET", path, headers=sent)
        answer = connection.getresponse()
        yield answer


def test_events_as_they_happen_and_on_from_where_one_was(own):
    with stream(own) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.readline().startswith(b":")
        own.machine.change("srv", write_errors=1)
        seen = lines_of(answer, 1)
        while seen[-1][1]["kind"] != "write-error":
            seen += lines_of(answer, 1)
    last = seen[-1][0]
    own.machine.change("srv", write_errors=1, read_errors=1)
    with stream(own, **{"Last-Event-ID": str(last)}) as answer:
        more = lines_of(answer, 1)
        while more[-1][1]["kind"] != "read-error":
            more += lines_of(answer, 1)
    assert more[0][0] == last + 1
    assert [number for number, _ in more] == list(range(last + 1, more[-1][0] + 1))


def test_streams_are_not_more_than_bearable(own):
    with contextlib.ExitStack() as opened:
        for _ in range(16):
            answer = opened.enter_context(stream(own))
            assert answer.status == 200
            answer.readline()
        assert opened.enter_context(stream(own)).status == 429
        # a daemon that is stopped does not wait for those who listen
        begun = time.monotonic()
        assert own.stop() == 0
        assert time.monotonic() - begun < 20


def test_too_many_calls():
    with served(per_second=2) as own:
        answers = [own.call("GET", "/v1/status", role="viewer") for _ in range(12)]
        assert [status for status, *_ in answers[:4]] == [200] * 4
        limited = [headers for status, _, headers in answers if status == 429]
        assert limited
        assert all(int(headers["Retry-After"]) >= 1 for headers in limited)
        # others have their own
        assert own.status("GET", "/v1/status", role="admin") == 200
        # and whoever guesses tokens is slowed down, too
        guesses = [own.status("GET", "/v1/status") for _ in range(12)]
        assert 401 in guesses
        assert 429 in guesses


def test_tls():
    pair = f", certificate: {CERTIFICATE}, key: {CERTIFICATE}"
    with served(tls=pair) as own:
        context = ssl.create_default_context(cafile=CERTIFICATE)
        connection = http.client.HTTPSConnection("127.0.0.1", own.port, context=context, timeout=20)
        with contextlib.closing(connection):
            connection.request(
                "GET", "/v1/status", headers={"Authorization": f"Bearer {TOKENS['viewer']}"}
            )
            assert connection.getresponse().status == 200


def pyctl(own, *words):
    """What pyctl alert prints as JSON."""
    done = CliRunner().invoke(cli, ["--json", "alert", *words, "--socket", str(own.socket)])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_pyctl_alert(own):
    assert pyctl(own, "list") == []
    raised = own.raise_alert()
    # who was not told is not told that it is over
    until(own.box.got.copy, "the message")
    (one,) = pyctl(own, "list")
    assert (one["id"], one["key"], one["state"]) == (raised["id"], "errors/srv", "open")
    assert pyctl(own, "ack", str(one["id"]))["state"] == "acknowledged"
    assert pyctl(own, "list")[0]["who"] == "user:root"
    assert pyctl(own, "resolve", str(one["id"]))["state"] == "resolved"
    assert pyctl(own, "list") == []
    assert [each["state"] for each in pyctl(own, "list", "--all")] == ["resolved"]
    until(lambda: len(own.box.got) == 2, "that it is over")

    mute = pyctl(own, "mute", "errors/*", "--for", "1h", "--why", "we know")
    assert 3500 < mute["until"] - time.time() < 3700
    assert [each["why"] for each in pyctl(own, "mutes")] == ["we know"]
    again = own.raise_alert()
    assert pyctl(own, "list")[0]["id"] == again["id"]
    time.sleep(0.5)
    assert len(own.box.got) == 2
    assert pyctl(own, "unmute", str(mute["id"])) == {"done": True}
    assert pyctl(own, "mutes") == []
    assert own.stop() == 0
    told = [(one["who"], one["what"]) for one in own.audit() if one["who"] == "user:root"]
    assert [what.split(" until")[0] for _, what in told] == [
        f"alert {one['id']} acknowledged",
        f"alert {one['id']} resolved",
        "mute errors/*",
        f"unmute {mute['id']}",
    ]


def test_pyctl_alert_for_people(own):
    raised = own.raise_alert()

    def said(*words):
        done = CliRunner().invoke(cli, ["alert", *words, "--socket", str(own.socket)])
        return done.exit_code, done.output

    code, text = said("list")
    assert code == 0
    assert "any errors within 1h: at least 3 (3)" in text
    code, text = said("ack", str(raised["id"]))
    assert (code, "acknowledged" in text) == (0, True)
    assert said("ack", "999")[0] == 3
    assert said("mute", "x", "--for", "soon")[0] == 2


def test_reload_by_call(own):
    own.write_policy("- name: x\n  when: {helth: {below: 5}}\n  do: [scan: {}]\n")
    with pytest.raises(RefusedError, match="the old policy and settings stay"):
        own.client.post("/v1/reload")
    assert own.client.get("/v1/policy")["rules"] == ["errors", "scan"]
    own.write_policy(rule("{health: {below: 5}}", name="new"))
    own.client.post("/v1/reload")
    assert own.client.get("/v1/policy")["rules"] == ["new"]
    assert [one["who"] for one in own.audit() if one["what"] == "reloaded"] == ["user:root"]


def test_a_store_that_takes_nothing(own):
    pid = own.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    body = {"pattern": "x", "seconds": 60}
    status, said, _ = own.call("POST", "/v1/mutes", role="operator", body=body)
    assert status == 503
    assert "daemon.db" in json.loads(said)["message"]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    assert own.client.get("/v1/mutes") == []
    assert own.status("POST", "/v1/mutes", role="operator", body=body) == 201


def test_a_token_that_was_taken_away(own):
    assert own.status("GET", "/v1/status", role="viewer") == 200
    tokens = own.folder / "tokens"
    tokens.write_text(tokens.read_text().replace("viewer-1", "# viewer-1"))
    own.hup()
    assert own.status("GET", "/v1/status", role="viewer") == 401


@pytest.fixture(scope="module")
def schema():
    with served() as own:
        # something of everything, so that answers are not only empty lists
        own.raise_alert()
        own.machine.change("srv", remapped=2)
        until(lambda: own.client.get("/v1/actions"), "an action")
        own.client.post("/v1/mutes", pattern="x", seconds=10_000)
        yield schemathesis.openapi.from_url(
            f"http://127.0.0.1:{own.port}/openapi.json",
            headers={"Authorization": f"Bearer {TOKENS['admin']}"},
        )
        assert own.process.poll() is None
        assert "Traceback" not in own.log


# A stream never ends, so it has tests of its own.
@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize(("method", "path"), [one for one in ROLES if "stream" not in one[1]])
def test_whatever_is_asked(schema, method, path, mode):
    """Each answer is one that the interface has said it gives; none is the daemon's fault."""
    answers = []

    @settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
    @given(schema[path][method].as_strategy(generation_mode=mode))
    def check(case):
        # of wrong calls, some lack even that; what is said to tokens is tested above
        case.headers["Authorization"] = f"Bearer {TOKENS['admin']}"
        answers.append(case.call_and_validate(excluded_checks=[ignored_auth]).status_code)

    try:
        check()
    except Unsatisfiable:
        # an operation without parameters has no wrong ones
        assert mode is GenerationMode.NEGATIVE
        return
    if mode is GenerationMode.POSITIVE:
        # with whatever the schema allows, somebody who may do all is never told that he may not
        assert not {401, 403} & set(answers)
        assert {200, 201, 202, 404} & set(answers)
