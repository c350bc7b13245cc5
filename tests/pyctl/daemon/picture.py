"""docs/page.png: python -m tests.pyctl.daemon.picture [FILE]

The page of a real daemon, with a disk that has seen better days.
"""

import sys
from pathlib import Path

from tests.pyctl.daemon.browsing import browsing, visiting
from tests.pyctl.daemon.machine import a_device
from tests.pyctl.daemon.policy.making import rule
from tests.pyctl.daemon.running import ROOT, until
from tests.pyctl.daemon.test_api import served

# Where the trouble is: a cluster of errors, weak places around it, and some alone.
REGIONS = [
    *(
        ["-", 2048 * n, {"errors": 4 + 7 * (n % 5), "retries": n % 3, "health": 70}]
        for n in range(90, 104)
    ),
    *(["-", 2048 * n, {"errors": 180, "health": 40}] for n in (95, 96, 97)),
    *(["-", 2048 * n, {"slow": 12, "marginal": 2, "health": 90}] for n in range(104, 110)),
    *(["-", 2048 * n, {"errors": 1, "health": 90}] for n in (31, 260, 333)),
]
ENTRIES = [
    *([2048 * n, 200 + 130 * (n % 9), "remap"] for n in range(88, 110)),
    *([2048 * n, 8, "remap"] for n in (31, 260, 333)),
]
WORN = {
    "health": 71,
    "read_errors": 12,
    "write_errors": 41,
    "remapped": 640,
    "regions": REGIONS,
    "entries": ENTRIES,
    "length": 2048 * 440,
    "spares": [["in-sync", 96, 5600], ["in-sync", 52, 3100]],
}
RULES = rule(
    "{errors: {at-least: 3, within: 1h}}",
    '- scan: {pattern: focused}\n  - notify: {text: "{device}: {why}"}',
    name="look-around-errors",
) + rule(
    "{spare-health: {below: 60}}", '- notify: {text: "a spare ages: {why}"}', name="weak-spares"
)


def main():
    """Take the picture."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs/page.png")
    with served() as own, browsing() as browser:
        own.write_policy(RULES)
        own.hup()
        own.machine.put("backup", a_device(1, capacity=4000, remapped=12))
        until(lambda: own.seen().get("backup"), "the look")
        own.machine.change("srv", **WORN)
        until(lambda: len(own.client.get("/v1/alerts")) == 2, "the alerts")
        with visiting(browser, own, reduced_motion="reduce", color_scheme="light") as visit:
            visit.log_in("operator", "/#/set/srv").connected()
            visit.page.set_viewport_size({"width": 1100, "height": 1500})
            visit.has_text("#actions", "scan")
            visit.wait("#map .cell[data-level='3']")
            visit.page.locator("#map .cell").nth(96).click()
            visit.has_text("#map-details", "unreadable")
            visit.page.evaluate("() => scrollTo(0, 0)")
            visit.page.screenshot(path=str(target))
    print(f"{target}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
