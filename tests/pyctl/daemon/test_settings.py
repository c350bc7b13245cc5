"""The daemon's own file."""

import pytest

from pyctl.commands.alert import SOCKET
from pyctl.daemon.alerts import Level
from pyctl.daemon.policy.loading import PolicyError
from pyctl.daemon.senders import Journal, Mail, Severity, Webhook
from pyctl.daemon.settings import Settings, load_settings, parse_settings
from pyctl.errors import PyctlError, RefusedError

FULL = """\
version: 1
policy: /etc/p.yaml
state: /srv/state
read-every: 30s
actions-at-once: 3
channels:
  admin:
    mail: {host: mx, from: a@b, to: [c@d, e@f], port: 587, tls: starttls, user: u,
      password-file: PW}
  pager:
    webhook: {url: "https://x/y", token-file: PW, repeatable: true}
alerts:
  warning: [{channels: [journal]}]
  critical:
    - {channels: [journal, admin]}
    - {after: 15m, channels: [pager]}
  per-hour: 5
  quiet: 1d
"""


def parse(text):
    return parse_settings(text.encode(), "d.yaml")


def wrong(text):
    with pytest.raises(PolicyError) as caught:
        parse(text)
    return [str(one) for one in caught.value.problems]


@pytest.fixture
def password(tmp_path):
    path = tmp_path / "password"
    path.write_text("secret\n")
    path.chmod(0o600)
    return path


def test_a_whole_file(password):
    made = parse(FULL.replace("PW", str(password)))
    assert (made.read_every, made.actions_at_once, made.state) == (30, 3, "/srv/state")
    assert str(made.policy_file()) == "/etc/p.yaml"
    senders = made.senders()
    assert senders["admin"] == Mail("mx", "a@b", ("c@d", "e@f"), 587, "starttls", "u", "secret")
    assert senders["pager"] == Webhook("https://x/y", {"Authorization": "Bearer secret"})
    assert senders["journal"] == Journal()
    assert "secret" not in repr(senders)
    routes = made.routes()
    assert routes.levels[Severity.CRITICAL] == (
        Level(0, ("journal", "admin")),
        Level(900, ("pager",)),
    )
    assert (routes.per_hour, routes.quiet, routes.repeatable) == (5, 86_400, {"pager"})


def test_without_a_file_the_journal_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr("pyctl.daemon.settings.DEFAULT_FILE", tmp_path / "daemon.yaml")
    made = load_settings(None)
    assert made == Settings()
    assert {one.channels for level in made.routes().levels.values() for one in level} == {
        ("journal",)
    }


def test_a_file_that_was_named_must_be_there(tmp_path):
    with pytest.raises(PyctlError, match="No such file"):
        load_settings(tmp_path / "x")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{version: 2}", "d.yaml:1:11: 2 is none of 1. Choose one of them."),
        ("{colour: red}", "d.yaml:1:2: there is no key 'colour' here."),
        ("{policy: p.yaml}", "d.yaml:1:10: 'p.yaml' is no absolute path."),
        ("{read-every: 60}", "60 has no unit"),
        ("{disks: {every: 2h}}", "less than or equal to 3600"),
        ("{foretell: {probes: {region-mib: 3}}}", "3 is no power of two"),
        ("{foretell: {probes: {region-mib: 0}}}", "greater than or equal to 1"),
        ("{actions-at-once: 0}", "greater than or equal to 1"),
        ("{channels: {x: {fax: {}}}}", "there is no channel 'fax'"),
        ("{channels: {x: {webhook: {url: 'ftp://x'}}}}", "'ftp://x' is no URL of a web server"),
        (
            "{channels: {x: {mail: {host: h, from: a@b, to: [c@d], user: u, password-file: /p}}}}",
            "the password would be sent without TLS",
        ),
        (
            "{channels: {x: {mail: {host: h, from: a@b, to: [c@d], user: u, tls: tls}}}}",
            "user and password-file belong together",
        ),
        ("{channels: {x: {mail: {host: h, from: a@b, to: []}}}}", "the list to is empty"),
        ("{api: {listen: {address: localhost}}}", "'localhost' is no address"),
        (
            "{api: {listen: {address: 0.0.0.0}}}",
            "others could read the tokens on their way. Give certificate and key",
        ),
        (
            "{api: {listen: {certificate: /c}}}",
            "certificate and key belong together",
        ),
        ("{snmp: {master: agentx}}", "'agentx' is no absolute path"),
        ("{otel: {url: 'collector:4318'}}", "'collector:4318' is no URL of a web server"),
        ("{otel: {every: 60}}", "60 has no unit"),
        (
            "{snmp: {}, channels: {snmp: {journal: {}}}}",
            "'snmp' is the channel of traps. Give this one another name.",
        ),
        # without an agent there is no such channel
        ("{alerts: {info: [{channels: [snmp]}]}}", "there is no channel 'snmp'"),
        (
            "{alerts: {info: [{channels: [jurnal]}]}}",
            "d.yaml:1:30: there is no channel 'jurnal'. Did you mean journal?",
        ),
        (
            "{alerts: {info: [{after: 5m, channels: [journal]}, {channels: [journal]}]}}",
            "this level comes not later than the one before",
        ),
    ],
)
def test_mistakes(text, what):
    (problem,) = wrong(text)
    assert what in problem


def test_a_password_that_others_can_read_is_refused(password):
    made = parse(FULL.replace("PW", str(password)))
    password.chmod(0o640)
    with pytest.raises(RefusedError, match="Others than its owner"):
        made.senders()


@pytest.mark.parametrize("data", [b"", b"a\nb", b"\xff\xfe"])
def test_a_password_that_is_none(password, data):
    made = parse(FULL.replace("PW", str(password)))
    password.write_bytes(data)
    with pytest.raises(PyctlError, match=str(password)):
        made.senders()


def test_the_first_policy_that_is_there(monkeypatch, tmp_path):
    files = (tmp_path / "mine", tmp_path / "shipped")
    monkeypatch.setattr("pyctl.daemon.settings.POLICIES", files)
    files[1].touch()
    assert Settings().policy_file() == files[1]
    files[0].touch()
    assert Settings().policy_file() == files[0]


def test_no_policy_at_all(monkeypatch, tmp_path):
    monkeypatch.setattr("pyctl.daemon.settings.POLICIES", (tmp_path / "mine",))
    with pytest.raises(RefusedError, match="There is no policy"):
        Settings().policy_file()


def test_ways_in():
    api = parse("{api: {group: disk, listen: {address: '::', certificate: /c, key: /k}}}").api
    assert (api.group, api.listen.address, api.listen.port) == ("disk", "::", 9843)
    assert parse("{api: {listen: {}}}").api.listen.address == "127.0.0.1"
    # pyctl finds it there
    assert Settings().api.socket == str(SOCKET)
    # nobody is let in from outside unless that is said
    assert Settings().api.listen is None


def test_other_faces(password):
    text = "{snmp: {}, otel: {token-file: PW, every: 30s}, alerts: {info: [{channels: [snmp]}]}}"
    made = parse(text.replace("PW", str(password)))
    assert made.snmp.master == "/var/agentx/master"
    assert (made.otel.url, made.otel.every) == ("http://127.0.0.1:4318/v1/metrics", 30)
    assert made.collector_headers() == {"Authorization": "Bearer secret"}
    password.chmod(0o644)
    with pytest.raises(RefusedError, match="Others than its owner"):
        made.collector_headers()
    assert (Settings().snmp, Settings().otel, Settings().collector_headers()) == (None, None, {})
