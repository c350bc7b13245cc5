"""The page for people in a real browser, with a real daemon: what it shows, and to whom."""

import re
import time
import tomllib

import pytest

from tests.pyctl.daemon.browsing import WIDTHS, browsing, visiting
from tests.pyctl.daemon.machine import a_device
from tests.pyctl.daemon.running import ROOT, until
from tests.pyctl.daemon.test_api import TOKENS, served

HOSTILE = "<img src=x onerror=document.title='owned'>"


@pytest.fixture(scope="module")
def browser():
    with browsing() as one:
        yield one


@pytest.fixture(scope="module")
def daemon():
    """One daemon for all that changes nothing that another test looks at."""
    with served() as one:
        one.machine.change(
            "srv",
            regions=[
                ["-", 0, {"errors": 3, "health": 90}],
                ["-", 4096, {"slow": 12, "marginal": 2, "retries": 1, "usual_us": 900}],
            ],
            entries=[[2048, 512, "remap"], [6144, 1500, "remap"], [8, 4, "lost"]],
            remapped=5,
            spares=[["in-sync", 100, 4000], ["in-sync", 40, 10]],
            below=1,
        )
        until(lambda: one.client.get("/v1/devices/srv")["remapped"] == 5, "a look")
        yield one


@pytest.fixture
def own():
    with served() as one:
        yield one


def headers(daemon, path, role=None):
    status, body, found = daemon.call("GET", path, role=role)
    return status, body, found


def test_what_browsers_are_told(daemon):
    for path in ("/", "/web/main.js", "/web/base.css", "/web/icon.svg"):
        status, body, found = headers(daemon, path)
        assert (status, bool(body)) == (200, True)
        policy = found["Content-Security-Policy"]
        for one in (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ):
            assert one in policy.split("; ")
        assert "unsafe" not in policy
        assert found["Cache-Control"] == "no-cache"
    for path, role, status in (
        ("/v1/devices", "viewer", 200),
        ("/v1/devices", None, 401),
        ("/metrics", "viewer", 200),
        ("/web/x.js", None, 404),
        ("/web/__init__.py", None, 404),
        ("/web/..%2fapi%2fpage.py", None, 404),
        ("/openapi.json", None, 200),
    ):
        answer, _, found = headers(daemon, path, role)
        assert answer == status, path
        assert found["Cache-Control"] == "no-store"
        assert "default-src 'none'" in found["Content-Security-Policy"]
        assert found["X-Content-Type-Options"] == "nosniff"
        assert found["X-Frame-Options"] == "DENY"
        assert found["Referrer-Policy"] == "no-referrer"
        assert found["Cross-Origin-Resource-Policy"] == "same-origin"


def test_all_that_the_page_names_is_served(daemon):
    names = re.findall(r'(?:href|src)="(/web/[^"]+)"', headers(daemon, "/")[1].decode())
    assert "/web/main.js" in names
    seen = set()
    while names:
        name = names.pop()
        if name in seen:
            continue
        seen.add(name)
        status, body, _ = headers(daemon, name)
        assert status == 200, name
        if name.endswith(".js"):
            names += [f"/web/{one}" for one in re.findall(r'from "\./([^"]+)"', body.decode())]
    assert len(seen) > 10


def test_an_installed_daemon_has_all_of_them():
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "pyctl.daemon.web" in setup["packages"]
    patterns = setup["package-data"]["pyctl.daemon.web"]
    files = [one for one in (ROOT / "pyctl/daemon/web").iterdir() if one.is_file()]
    left_out = [
        one.name
        for one in files
        if one.suffix != ".py" and not any(one.match(pattern) for pattern in patterns)
    ]
    assert len(files) > 10
    assert left_out == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_of_it_is_shown(browser, daemon, width, scheme):
    with visiting(browser, daemon, width, color_scheme=scheme, reduced_motion="reduce") as visit:
        visit.log_in("operator").connected()
        # the only set is shown by itself
        visit.has_text("#set-title", "srv")
        visit.wait("#map .cell[data-level='1']")
        assert "token:operator-1, operator" in visit.text("#caller")
        assert "1 block with too few copies" in visit.text("#set-state")
        assert "5 blocks" in visit.text("#facts")
        assert visit.text("#forecast").startswith("5 blocks of 1,000 in use (0.5 %)")
        rows = visit.text("#spares")
        assert "Spare 0" in rows
        assert "health 40" in rows
        assert "of 3.9 MiB" in rows
        visit.has_text("#timeline", "remap")
        visit.has_text("#actions", "policy:scan")
        visit.has_text("#explanation", "What it saw")
        assert visit.fits()
        # everything that can be used has a name
        nameless = visit.page.evaluate(
            """() => [...document.querySelectorAll(
                 '#page button, #page a, #page input, #page select, #page meter')]
               .filter((one) => !(one.getAttribute('aria-label') || one.innerText.trim()
                 || one.labels?.[0]?.innerText.trim()))
               .map((one) => one.outerHTML)"""
        )
        assert nameless == []
        assert visit.page.title() == "dm-remap"


# The contrast of each text with what is behind it, as WCAG 2 computes it; ones below 4.5.
CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((one) => one / 255)
    .map((one) => one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, i) => sum + one * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const found = parse(getComputedStyle(one).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const poor = [];
  let looked = 0;
  for (const one of document.querySelectorAll('body *')) {
    const own = [...one.childNodes].some((each) => each.nodeType === 3 && each.data.trim());
    if (!own || !one.checkVisibility() || one.disabled) continue;
    const [a, b] = [light(parse(getComputedStyle(one).color)), light(behind(one))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    looked += 1;
    if (contrast < 4.5) poor.push(`${one.tagName} ${one.innerText}: ${contrast}`);
  }
  return {looked, poor};
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read(browser, daemon, scheme):
    with visiting(browser, daemon, color_scheme=scheme) as visit:
        visit.log_in("admin").connected()
        visit.wait("#map .cell[data-level='1']")
        visit.has_text("#explanation", "What it saw")
        found = visit.page.evaluate(CONTRAST)
        assert found["looked"] > 60
        assert found["poor"] == []


def test_the_token_is_kept_for_the_tab_only(browser, daemon):
    errors = ["401"]
    with visiting(browser, daemon, errors=errors) as visit:
        visit.log_in("wrong")
        visit.has_text("#login-trouble", "does not know this token")
        visit.page.get_by_label("Token").fill(TOKENS["viewer"])
        visit.page.get_by_role("button", name="Log in").click()
        visit.connected()
        # a reload stays logged in
        visit.page.reload()
        visit.connected()
        kept = "() => [localStorage.length, document.cookie, location.href.includes('vvvv')]"
        assert visit.page.evaluate(kept) == [0, "", False]
        # and somebody else's tab is not
        other = visit.page.context.new_page()
        other.goto(visit.url)
        other.wait_for_selector("#login", state="visible")
        visit.page.get_by_role("button", name="Log out").click()
        visit.wait("#login", state="visible")
        assert visit.page.evaluate("() => sessionStorage.length") == 0
        # what was shown is not there any more
        assert "srv" not in visit.page.evaluate("() => document.body.textContent")


def test_what_each_role_can_press(browser, daemon):
    wanted = {
        "viewer": set(),
        "operator": {"Start a scan…", "Empty…"},
        "admin": {"Start a scan…", "Empty…", "Add a spare…"},
    }
    for role, buttons in wanted.items():
        with visiting(browser, daemon) as visit:
            visit.log_in(role).connected()
            visit.wait("#map .cell[data-level='1']")
            visit.has_text("#explanation", "What it saw")
            assert set(visit.buttons()) == buttons, role


def test_why_a_rule_did_or_did_not(browser, daemon):
    with visiting(browser, daemon) as visit:
        visit.log_in("viewer").connected()
        visit.wait("#rule option[value=scan]", state="attached")
        visit.page.get_by_label("Rule").select_option("errors")
        visit.has_text("#explanation", "its condition was not met")
        visit.has_text("#explanation", "at least 3")


def test_names_and_texts_are_never_html(browser, own):
    own.machine.put(HOSTILE, a_device(1))
    until(lambda: own.seen().get(HOSTILE), "the look")
    own.client.post("/v1/mutes", pattern=HOSTILE, seconds=60, why=HOSTILE)
    own.client.post("/v1/actions", kind="scan", device="srv", why=HOSTILE)
    own.raise_alert(HOSTILE)
    with visiting(browser, own) as visit:
        visit.log_in("admin").connected()
        visit.has_text("#sets", HOSTILE)
        visit.page.get_by_role("link").filter(has_text=HOSTILE).click()
        visit.has_text("#set-title", HOSTILE)
        visit.wait("#map .cell")
        for where in ("#alerts", "#mutes", "#actions", "#timeline"):
            visit.has_text(where, HOSTILE)
        assert visit.page.query_selector_all("img") == []
        assert visit.page.title() == "dm-remap"


def test_nothing_yet(browser):
    with served() as own:
        own.stop()
        own.machine.remove("srv")
        for one in (own.folder / "state").glob("daemon.db*"):
            one.unlink()
        for one in (own.folder / "state/audit").iterdir():
            one.unlink()
        own.write_policy(POLICY_OF_NOTHING)
        own.start()
        with visiting(browser, own, "phone") as visit:
            visit.log_in("operator").connected()
            visit.has_text("#sets", "pyctl create")
            visit.has_text("#alerts", "No alert is open")
            visit.has_text("#actions", "Nothing was done yet")
            visit.has_text("#timeline", "Nothing has happened yet")
            assert not visit.page.locator("#set").is_visible()
            assert visit.fits()
            # and the first one comes by itself
            own.machine.put("new", a_device())
            visit.has_text("#sets", "new")
            visit.has_text("#timeline", "set-started")


POLICY_OF_NOTHING = "- {name: never, when: {health: {below: 1}}, do: [scan: {}], cool-down: 1h}\n"


def test_a_set_that_is_chosen_stays_so(browser, own):
    own.machine.put("other", a_device(1, health=40))
    until(lambda: own.seen().get("other"), "the look")
    # it may go while it is asked
    with visiting(browser, own, errors=["404", "409"]) as visit:
        visit.log_in("viewer").connected()
        visit.wait("#sets [data-mood=bad]")
        assert not visit.page.locator("#set").is_visible()
        visit.page.get_by_role("link").filter(has_text="other").press("Enter")
        visit.has_text("#set-title", "other")
        assert visit.text("#set-state") == "health 40"
        visit.until("() => document.activeElement.id === 'set-title'")
        visit.page.reload()
        visit.has_text("#set-title", "other")
        own.machine.remove("other")
        visit.has_text("#set-state", "not there since")
        visit.has_text("#map-about", "not there now")


def test_what_disks_say_of_themselves(browser, own):
    with visiting(browser, own) as visit:
        visit.log_in("viewer").connected()
        visit.has_text("#facts", "Looked at")
        assert "°C" not in visit.text("#facts")
    own.learn(temperature=47.4, prediction=0.031)
    with visiting(browser, own) as visit:
        visit.log_in("viewer").connected()
        visit.has_text("#facts", "47 °C")
        visit.has_text("#facts", "3.1 %")


def test_a_long_name_fits_a_phone(browser, own):
    name = "x" * 127
    own.machine.put(name, a_device(1))
    until(lambda: own.seen().get(name), "the look")
    own.raise_alert(name)
    with visiting(browser, own, "phone") as visit:
        visit.log_in("operator", f"/#/set/{name}").connected()
        visit.wait("#alerts [data-alert]")
        visit.wait("#map .cell")
        assert visit.fits()
        visit.page.get_by_role("button", name="Start a scan").click()
        visit.wait("#confirm[open]")
        assert visit.fits()
        visit.page.get_by_role("button", name="Cancel").click()
        visit.answered()
        assert own.machine.said(name) == []


def test_more_events_than_a_page_has_room_for(browser, own):
    """The newest are shown, however many there were."""
    begun = time.time()
    with visiting(browser, own) as visit:
        for errors in range(1, 8):
            own.machine.change("srv", lost=errors)
            until(lambda errors=errors: own.seen()["srv"]["lost"] == errors, "a look")
        page = own.client.get("/v1/events", newest=True, without="reading", limit=3)
        assert [one["kind"] for one in page] != []
        assert [one["id"] for one in page] == sorted(one["id"] for one in page)
        assert page[-1]["time"] >= begun
        visit.log_in("viewer").connected()
        visit.wait(f"#timeline [data-event='{page[-1]['id']}']")
        ids = visit.page.evaluate(
            "() => [...document.querySelectorAll('#timeline [data-event]')]"
            ".map((one) => Number(one.dataset.event))"
        )
        assert ids == sorted(ids, reverse=True)
