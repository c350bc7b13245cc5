"""A real browser on the daemon's page: Debian's Chromium, led by playwright."""

import contextlib
import shutil

from playwright.sync_api import sync_playwright

from tests.pyctl.daemon.test_api import TOKENS

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDTHS = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 375, "height": 740}}
# Milliseconds; an emulated, busy machine is slow.
PATIENCE = 60_000


@contextlib.contextmanager
def browsing():
    """A browser, for many visits."""
    program = shutil.which("chromium-headless-shell")
    assert program, "there is no chromium-headless-shell; packaging/setup.sh installs it"
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


class Visit:
    """A tab of its own, with what went wrong in it."""

    def __init__(self, context, url):
        self.url = url
        self.errors = []
        self.asked = []
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    # That a connection broke is told there, too; whether that may be is the test's matter.
    def _said(self, message):
        if message.type == "error":
            self.errors.append(message.text)

    def open(self, path="/"):
        self.page.goto(self.url + path)
        return self

    def log_in(self, role="operator", path="/"):
        self.open(path)
        self.page.get_by_label("Token").fill(TOKENS.get(role, role))
        self.page.get_by_role("button", name="Log in").click()
        return self

    def connected(self):
        self.wait("#connection[data-state=on]")
        return self

    def wait(self, selector, **more):
        return self.page.wait_for_selector(selector, **more)

    def until(self, expression, argument=None):
        """Waits until a function in the page gives something true."""
        return self.page.wait_for_function(expression, arg=argument, timeout=PATIENCE)

    def text(self, selector):
        return self.page.inner_text(selector)

    def has_text(self, selector, text):
        self.until(
            "([where, text]) => document.querySelector(where)?.innerText.includes(text)",
            [selector, text],
        )

    def buttons(self):
        return [one.inner_text() for one in self.page.query_selector_all("#page button")]

    def confirm(self, **fields):
        self.wait("#confirm[open]")
        for name, value in fields.items():
            field = self.page.locator(f"#field-{name}")
            if field.evaluate("one => one.tagName") == "SELECT":
                field.select_option(value)
            else:
                field.fill(value)
        self.page.locator("#confirm-yes").click()
        self.answered()

    def answered(self):
        """The question is not there any more."""
        self.wait("#confirm[open]", state="detached")

    def fits(self):
        """Nothing is wider than the window."""
        return self.page.evaluate(
            "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )


@contextlib.contextmanager
def visiting(browser, own, width="desktop", *, errors=(), **options):
    """A visit, in which the browser complains of nothing, but of what has one of `errors` in it."""
    context = browser.new_context(viewport=WIDTHS[width], **options)
    try:
        visit = Visit(context, f"http://127.0.0.1:{own.port}")
        yield visit
        wrong = [one for one in visit.errors if not any(each in one for each in errors)]
        assert wrong == []
        assert [one for one in visit.asked if not one.startswith(visit.url + "/")] == []
        assert not any(token in one for one in visit.asked for token in TOKENS.values())
    finally:
        context.close()
