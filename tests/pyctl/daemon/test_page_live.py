"""The page while something happens: the disk map, events, orders, and a daemon that goes away."""

import itertools

import pytest

from tests.pyctl.daemon.browsing import WIDTHS, browsing, visiting
from tests.pyctl.daemon.machine import a_device
from tests.pyctl.daemon.policy.making import rule
from tests.pyctl.daemon.running import until
from tests.pyctl.daemon.test_api import served

# What a browser itself says of a connection that is not there.
GONE = ("ERR_", "Failed to load resource")

CELLS = """() => [...document.querySelectorAll('#map .cell')]
  .map((one) => [Number(one.dataset.level), one.getAttribute('aria-label')])"""


@pytest.fixture(scope="module")
def browser():
    with browsing() as one:
        yield one


@pytest.fixture
def own():
    with served() as one:
        yield one


@pytest.fixture(scope="module")
def shared():
    """A daemon for tests that only look at a device of their own."""
    with served() as one:
        yield one


_numbers = itertools.count(1)


@pytest.fixture
def name(shared):
    """A device of the shared daemon, of this test alone."""
    number = next(_numbers)
    name = f"set-{number}"
    shared.machine.put(name, a_device(number))
    until(lambda: shared.seen().get(name), "the look")
    return name


def show(visit, kind):
    visit.page.locator(f"input[name=map-kind][value={kind}]").check()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_map_shows_what_the_interface_says(browser, shared, name, width):
    shared.machine.change(
        name,
        regions=[
            ["-", 0, {"errors": 30, "health": 60}],
            ["-", 4096, {"slow": 120, "marginal": 2, "retries": 1, "usual_us": 900}],
        ],
        entries=[[2048, 8, "remap"], [4096, 512, "remap"], [6144, 1500, "remap"], [16, 8, "lost"]],
    )
    with visiting(browser, shared, width) as visit:
        visit.log_in("viewer", f"/#/set/{name}").connected()
        visit.wait("#map .cell[data-level='2']")
        told = shared.client.get(f"/v1/devices/{name}/map", cells=480)
        assert (told["sectors"], told["cell_sectors"]) == (8192, 2048)
        found = {one["sector"] // 2048: one for one in told["cells"]}
        shown = {}
        for kind in ("errors", "latency", "remaps"):
            show(visit, kind)
            shown[kind] = [level for level, _ in visit.page.evaluate(CELLS)]
            # four cells, one for each MiB
            assert len(shown[kind]) == 4
        assert shown["errors"] == [2, 0, 0, 0]
        assert shown["latency"] == [0, 0, 3, 0]
        # 8, 512 and 1500 of 2048 sectors
        assert shown["remaps"] == [0, 1, 3, 4]
        for number, (_, label) in enumerate(visit.page.evaluate(CELLS)):
            cell = found.get(number)
            assert label.startswith(f"Sectors {number * 2048:,} to {number * 2048 + 2047:,}: ")
            assert (f"{cell['errors']} unreadable" in label) == bool(cell["errors"])
            assert (f"{cell['slow']} slow" in label) == bool(cell["slow"])
            assert ("on a spare" in label) == bool(cell["remapped"])
            assert ("4 KiB lost" in label) == bool(cell["lost"])
        assert "a read usually takes 900 µs" in visit.page.evaluate(CELLS)[2][1]


def test_the_map_by_hand_and_by_keyboard(browser, shared, name):
    shared.machine.change(name, regions=[["-", 4096, {"errors": 7}]])
    with visiting(browser, shared, "phone", has_touch=True) as visit:
        visit.log_in("viewer", f"/#/set/{name}").connected()
        visit.wait("#map .cell[data-level='1']")
        visit.page.locator("#map .cell").nth(2).tap()
        visit.has_text("#map-details", "7 unreadable blocks")
        visit.page.locator("#map .cell").nth(0).hover()
        visit.has_text("#map-details", "Sectors 0 to 2,047: nothing to tell")
    with visiting(browser, shared) as visit:
        visit.log_in("viewer", f"/#/set/{name}").connected()
        visit.wait("#map .cell[data-level='1']")
        # one stop for the whole map, then arrows
        assert visit.page.locator("#map .cell[tabindex='0']").count() == 1
        visit.page.locator("#map .cell[tabindex='0']").focus()
        for key, cell in (
            ("ArrowRight", 1),
            ("ArrowRight", 2),
            ("ArrowLeft", 1),
            ("End", 3),
            ("ArrowRight", 3),
            ("Home", 0),
            ("ArrowUp", 0),
        ):
            visit.page.keyboard.press(key)
            at = visit.page.evaluate("() => Number(document.activeElement.dataset.cell)")
            assert at == cell, key
        visit.page.keyboard.press("ArrowRight")
        visit.page.keyboard.press("ArrowRight")
        visit.has_text("#map-details", "7 unreadable blocks")
        assert visit.page.locator("#map [aria-selected=true]").count() == 1
        # what comes while somebody is there does not take the focus away
        shared.machine.change(name, regions=[["-", 4096, {"errors": 70}]], lost=1)
        visit.wait("#map .cell[data-level='2']")
        assert visit.page.evaluate("() => Number(document.activeElement.dataset.cell)") == 2


def test_a_map_of_a_device_that_does_not_answer(browser, shared, name):
    with visiting(browser, shared, errors=["409"]) as visit:
        visit.log_in("viewer", f"/#/set/{name}").connected()
        visit.wait("#map .cell")
        shared.machine.change(name, broken=["list"])
        visit.has_text("#map-about", "cannot be asked")
        assert visit.page.locator("#map .cell").count() == 0
        shared.machine.change(name, broken=[])
        visit.wait("#map .cell")


def test_an_event_is_shown_as_it_happens(browser, shared, name):
    with visiting(browser, shared) as visit:
        visit.log_in("viewer", f"/#/set/{name}").connected()
        visit.has_text("#set-state", "All is well.")
        shared.machine.change(name, lost=2)
        (one,) = until(
            lambda: shared.client.get("/v1/events", kind="lost", device=name), "the event"
        )
        row = f"#timeline [data-event='{one['id']}']"
        visit.has_text(row, "2 times")
        assert all(word in visit.text(row) for word in (name, "lost"))
        visit.has_text("#set-state", "2 blocks lost")


def test_a_daemon_that_goes_and_comes_back(browser, own):
    with visiting(browser, own, "phone", errors=GONE) as visit:
        visit.log_in("viewer").connected()
        visit.has_text("#set-title", "srv")
        own.kill()
        visit.wait("#connection[data-state=off]")
        visit.has_text("#trouble", "Trying again")
        # what was known is still to be seen
        assert "srv" in visit.text("#sets")
        assert visit.fits()
        own.machine.change("srv", lost=3)
        own.start()
        visit.connected()
        visit.has_text("#timeline", "lost")
        visit.has_text("#set-state", "3 blocks lost")
        visit.wait("#trouble", state="hidden")
        # an end in order is told, too
        assert own.stop() == 0
        visit.wait("#connection[data-state=off]")


def test_a_token_that_is_taken_away_ends_it(browser, own):
    with visiting(browser, own, errors=["401", *GONE]) as visit:
        visit.log_in("viewer").connected()
        tokens = own.folder / "tokens"
        tokens.write_text(tokens.read_text().replace("viewer-1", "# viewer-1"))
        own.hup()
        own.machine.change("srv", lost=1)
        visit.wait("#login", state="visible")
        visit.has_text("#login-trouble", "does not know this token any more")


def test_a_scan_is_begun_and_ended(browser, own):
    own.machine.change("srv", keeps_scans=True)
    with visiting(browser, own, "phone") as visit:
        visit.log_in("operator").connected()
        visit.page.get_by_role("button", name="Start a scan").click()
        visit.confirm(pattern="random", why="it rattles")
        visit.page.get_by_role("button", name="Stop the scan").click()
        visit.confirm(why="it is late")
        visit.page.get_by_role("button", name="Start a scan").wait_for()
        visit.has_text("#actions", "token:operator-1: it is late")
    assert own.machine.said("srv") == ["scan start random", "scan stop"]
    assert own.stop() == 0
    told = [(one["what"], one["who"], one["why"]) for one in own.audit() if "action" in one]
    assert [one for one in told if "done" in one[0]] == [
        ("scan done", "token:operator-1", "it rattles"),
        ("scan-stop done", "token:operator-1", "it is late"),
    ]


def test_a_question_can_be_answered_with_no(browser, own):
    with visiting(browser, own) as visit:
        visit.log_in("operator").connected()
        button = visit.page.get_by_role("button", name="Empty spare 1")
        button.click()
        visit.wait("#confirm[open]")
        visit.page.get_by_role("button", name="Cancel").click()
        visit.answered()
        button.press("Enter")
        visit.wait("#confirm[open]")
        visit.page.keyboard.press("Escape")
        visit.answered()
        assert own.client.get("/v1/actions") == []
        button.click()
        visit.confirm(why="it is old")
        (one,) = until(lambda: own.client.get("/v1/actions"), "the order")
        assert (one["kind"], one["parameters"], one["why"]) == (
            "evacuate",
            {"spare": 1},
            "it is old",
        )


def test_what_is_refused_is_told_where_it_was_asked(browser, own):
    with visiting(browser, own, errors=["422"]) as visit:
        visit.log_in("admin").connected()
        visit.page.get_by_role("button", name="Add a spare").click()
        visit.wait("#confirm[open]")
        visit.page.locator("#field-spare").fill("/dev/a b")
        visit.page.locator("#confirm-yes").click()
        visit.has_text("#confirm-trouble", "spare")
        visit.page.locator("#field-spare").fill("/dev/x")
        visit.page.locator("#confirm-yes").click()
        visit.answered()
        visit.has_text("#actions", "spare-add")


def test_alerts_are_answered(browser, own):
    # one that is not raised again while it is looked at
    own.write_policy(
        rule("{errors: {at-least: 3, within: 1h}}", "- notify: {text: '{why}'}", name="errors")
    )
    own.hup()
    raised = own.raise_alert()
    until(own.box.got.copy, "the message")
    with visiting(browser, own, "phone") as visit:
        visit.log_in("operator").connected()
        row = f"#alerts [data-alert='{raised['id']}']"
        visit.wait(row)
        assert "at least 3" in visit.text(row)
        visit.page.get_by_role("button", name="Acknowledge alert").click()
        visit.confirm()
        visit.has_text(row, "acknowledged by token:operator-1")
        visit.page.get_by_role("button", name="Mute alert").click()
        visit.confirm(seconds="28800", why="we know")
        visit.has_text("#mutes", "we know")
        (mute,) = own.client.get("/v1/mutes")
        assert mute["pattern"] == "errors/srv"
        visit.page.get_by_role("button", name="End mute").click()
        visit.confirm()
        visit.wait("#mutes li", state="detached")
        visit.page.get_by_role("button", name="Resolve alert").click()
        visit.confirm()
        visit.has_text("#alerts", "No alert is open")
    assert own.client.get("/v1/alerts", over="true")[0]["state"] == "resolved"
    assert own.client.get("/v1/mutes") == []
