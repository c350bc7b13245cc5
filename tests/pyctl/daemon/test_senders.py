"""Mail, webhook and journal against real servers on this machine."""

import asyncio
import contextlib
import email
import email.policy
import http.server
import json
import socket
import ssl
import threading
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, AuthResult

from pyctl.daemon.senders import (
    MESSAGE_ID,
    DoubtfulError,
    Journal,
    Mail,
    Message,
    NotSentError,
    Severity,
    Webhook,
)
from pyctl.errors import UsageError

MESSAGE = Message(
    id="store-7",
    time=1_800_000_000.5,
    severity=Severity.CRITICAL,
    device="srv",
    subject="[critical] srv: replace-soon\r\nBcc: everybody@example.org",
    body="Grüße\n.\n..dots\nprediction at least 0.5",
    occasion="level-0",
)


class Postman:
    """What the SMTP server does with mail; `does` is how it fails."""

    def __init__(self):
        self.mails = []
        self.does = ""

    async def handle_MAIL(self, server, session, envelope, address, options):  # noqa: N802
        envelope.mail_from = address
        return {"later": "451 busy", "never": "550 go away"}.get(self.does, "250 OK")

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if self.does == "nobody" or address.startswith("gone"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        if self.does == "refuse":
            return "554 spam"
        self.mails.append(envelope)
        if self.does == "break":
            server.transport.abort()
        if self.does == "hang":
            await asyncio.sleep(1.5)
        return "250 OK"

    async def handle_QUIT(self, server, session, envelope):  # noqa: N802
        return "500 never" if self.does == "no-quit" else "221 Bye"


@pytest.fixture
def postman():
    return Postman()


@contextlib.contextmanager
def listening(tls=None, **options):
    """An SMTP server in a thread; gives its port. `tls`: from the first byte on."""
    loop = asyncio.new_event_loop()
    made = loop.create_server(lambda: SMTP(loop=loop, **options), "127.0.0.1", 0, ssl=tls)
    server = loop.run_until_complete(made)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield server.sockets[0].getsockname()[1]
    asyncio.run_coroutine_threadsafe(_end(server), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def mail(postman):
    with listening(handler=postman) as port:
        yield Mail("127.0.0.1", "dm@example.org", ("a@x.org", "b@x.org"), port=port, timeout=1)


async def _end(server):
    server.close()
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


def test_a_mail_arrives_as_it_was_written(mail, postman):
    assert mail.send(MESSAGE) == ""
    (one,) = postman.mails
    assert one.rcpt_tos == ["a@x.org", "b@x.org"]
    got = email.message_from_bytes(one.content, policy=email.policy.default)
    assert got["Subject"] == "[critical] srv: replace-soon Bcc: everybody@example.org"
    assert got["Bcc"] is None
    assert got["Message-ID"] == "<store-7@dm-remap>"
    assert got["Auto-Submitted"] == "auto-generated"
    assert got.get_content().splitlines() == MESSAGE.body.splitlines()


def test_a_mail_that_some_do_not_get(mail, postman):
    some = Mail(mail.host, mail.sender, ("gone@x.org", "b@x.org"), port=mail.port)
    assert some.send(MESSAGE) == "refused: gone@x.org"
    assert postman.mails[0].rcpt_tos == ["b@x.org"]


@pytest.mark.parametrize(
    ("does", "again"), [("later", True), ("never", False), ("nobody", False), ("refuse", False)]
)
def test_a_mail_that_was_refused_has_not_arrived(mail, postman, does, again):
    postman.does = does
    with pytest.raises(NotSentError) as caught:
        mail.send(MESSAGE)
    assert caught.value.again is again
    assert postman.mails == []


@pytest.mark.parametrize("does", ["break", "hang"])
def test_a_mail_without_an_answer_may_have_arrived(mail, postman, does):
    postman.does = does
    with pytest.raises(DoubtfulError, match="gave no answer"):
        mail.send(MESSAGE)
    assert len(postman.mails) == 1


def test_a_mail_that_was_taken_is_taken_whatever_comes_then(mail, postman):
    postman.does = "no-quit"
    assert mail.send(MESSAGE) == ""
    assert len(postman.mails) == 1


def test_no_mail_server(mail):
    for other in ({"port": unused_port()}, {"tls": "starttls"}, {"tls": "tls"}):
        broken = Mail(**{**mail.__dict__, **other})
        with pytest.raises(NotSentError) as caught:
            broken.send(MESSAGE)
        assert caught.value.again
    assert "secret" not in repr(Mail("h", "a@b", ("c@d",), password="secret"))  # noqa: S106


# A certificate of 127.0.0.1 that nobody else has signed, with its key: for these tests alone.
CERTIFICATE = Path(__file__).parent / "certificate.pem"


@pytest.fixture
def certified():
    """What a server with that certificate needs."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    return context


@pytest.fixture
def trusted(monkeypatch):
    """As if the system knew the certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))


def logged_in(server, session, envelope, mechanism, data):
    good = (data.login, data.password) == (b"dm", b"secret")
    return AuthResult(success=good, handled=False)


def secured(port, tls, password="secret"):  # noqa: S107
    return Mail("127.0.0.1", "dm@x.org", ("a@x.org",), port, tls, "dm", password, timeout=2)


@pytest.fixture(params=["starttls", "tls"])
def safe(request, postman, certified):
    """A server that wants TLS and a password: its port, and how to speak with it."""
    options = {"handler": postman, "authenticator": logged_in}
    if request.param == "starttls":
        options |= {"tls_context": certified, "require_starttls": True, "auth_required": True}
        with listening(**options) as port:
            yield port, request.param
    else:
        with listening(certified, auth_require_tls=False, **options) as port:
            yield port, request.param


def test_a_mail_by_tls_with_a_password(safe, trusted, postman):
    assert secured(*safe).send(MESSAGE) == ""
    assert len(postman.mails) == 1


def test_a_wrong_password(safe, trusted, postman):
    with pytest.raises(NotSentError, match="535"):
        secured(*safe, password="x").send(MESSAGE)  # noqa: S106
    assert postman.mails == []


def test_a_server_that_cannot_prove_who_it_is_gets_no_password(safe, postman):
    with pytest.raises(NotSentError, match="certificate"):
        secured(*safe).send(MESSAGE)
    assert postman.mails == []


def unused_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, dict(self.headers), json.loads(body)))
        if self.server.does == "break":
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if self.server.does == "hang":
            self.server.wait.wait(5)
        self.send_response(self.server.does if isinstance(self.server.does, int) else 200)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def web():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    server.got, server.does, server.wait = [], 200, threading.Event()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.wait.set()
    server.shutdown()
    server.server_close()


def hook(web, **more):
    return Webhook(f"http://127.0.0.1:{web.server_port}/a?b=c", timeout=0.5, **more)


def test_a_webhook_gets_json_and_a_key(web):
    assert hook(web, headers={"Authorization": "Bearer x"}).send(MESSAGE) == ""
    ((path, headers, body),) = web.got
    assert path == "/a?b=c"
    assert headers["Idempotency-Key"] == "store-7"
    assert headers["Authorization"] == "Bearer x"
    assert body == MESSAGE.plain()
    assert body["time"] == "2027-01-15T08:00:00.500000Z"


def test_a_webhook_by_tls(web, certified, monkeypatch):
    web.socket = certified.wrap_socket(web.socket, server_side=True)
    secure = Webhook(f"https://127.0.0.1:{web.server_port}/", timeout=2)
    with pytest.raises(NotSentError, match="certificate"):
        secure.send(MESSAGE)
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    assert secure.send(MESSAGE) == ""
    assert len(web.got) == 1


@pytest.mark.parametrize(
    ("status", "again"),
    [(500, True), (503, True), (429, True), (404, False), (302, False), (401, False)],
)
def test_a_webhook_that_was_refused(web, status, again):
    web.does = status
    with pytest.raises(NotSentError, match=str(status)) as caught:
        hook(web).send(MESSAGE)
    assert caught.value.again is again
    # not followed, not repeated
    assert len(web.got) == 1


@pytest.mark.parametrize("does", ["break", "hang"])
def test_a_webhook_without_an_answer_may_have_arrived(web, does):
    web.does = does
    with pytest.raises(DoubtfulError):
        hook(web).send(MESSAGE)
    assert len(web.got) == 1


def test_no_web_server():
    with pytest.raises(NotSentError):
        Webhook(f"http://127.0.0.1:{unused_port()}/").send(MESSAGE)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://x/",
        "file:///etc/passwd",
        "http://",
        "http://x:y/",
        "http://x/\r\nA: b",
        "http://ä/",
    ],
)
def test_what_is_no_url(url):
    with pytest.raises(UsageError, match="is no URL"):
        Webhook(url)


@pytest.fixture
def journal(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "socket"))
        server.settimeout(5)
        yield server, Journal(tmp_path / "socket")


def fields(data):
    """What the journal's native protocol says."""
    found = {}
    while data:
        name, _, rest = data.partition(b"\n")
        if b"=" in name:
            key, _, value = name.partition(b"=")
            data = rest
        else:
            key, length = name, int.from_bytes(rest[:8], "little")
            value, data = rest[8 : 8 + length], rest[9 + length :]
        found[key.decode()] = value.decode()
    return found


def test_the_journal_gets_fields(journal):
    server, sender = journal
    assert sender.send(MESSAGE) == ""
    got = fields(server.recv(65_536))
    assert got["MESSAGE"] == f"{MESSAGE.subject}\n{MESSAGE.body}"
    assert got["PRIORITY"] == "2"
    assert got["MESSAGE_ID"] == MESSAGE_ID
    assert got["DM_REMAP_ALERT"] == "store-7"
    # a line break in a text makes no field
    assert set(got) == {
        *("MESSAGE", "MESSAGE_ID", "PRIORITY", "SYSLOG_IDENTIFIER"),
        *("DM_REMAP_ALERT", "DM_REMAP_DEVICE", "DM_REMAP_OCCASION"),
    }


def test_no_journal(tmp_path):
    with pytest.raises(NotSentError):
        Journal(tmp_path / "none").send(MESSAGE)


def test_severities_have_an_order():
    assert [(one.rank, one.priority) for one in Severity] == [(0, 6), (1, 4), (2, 2)]
