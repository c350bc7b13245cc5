"""The daemon in Debian's snmpd: asked by the names of the MIB, with traps to Debian's snmptrapd."""

import re

import pytest

from pyctl.daemon.snmp.objects import DAEMON, TABLES
from tests.pyctl.daemon.killing import folder
from tests.pyctl.daemon.machine import a_device
from tests.pyctl.daemon.policy.making import rule
from tests.pyctl.daemon.running import Box, until
from tests.pyctl.daemon.snmp.agent import Agent
from tests.pyctl.daemon.test_api import Served

POLICY = rule(
    "{errors: {at-least: 3, within: 1h}}",
    '- notify: {text: "{why}", channels: [snmp]}',
    "cool-down: 1s",
    "errors",
) + rule("{event: [remap]}", "- scan: {}", "cool-down: 1s", "scan")
INDEX = ".'aaaaaaaa-0000-4000-8000-{:012}'"


class Shown(Served):
    """A daemon that an SNMP agent shows."""

    def __init__(self, place, box, agent):
        self.agent = agent
        super().__init__(place, box)

    def write_settings(self, text="", api=""):
        super().write_settings(f"snmp: {{master: {self.agent.master}}}\n{text}", api)


@pytest.fixture
def agent(tmp_path):
    one = Agent(tmp_path)
    yield one
    one.close()


@pytest.fixture
def shown(agent):
    box = Box()
    with folder() as name:
        one = Shown(name, box, agent)
        one.write_policy(POLICY)
        one.machine.put("srv", a_device(write_errors=5, health=93, remapped=10))
        one.machine.put("data", a_device(1, spares=[["in-sync", 77, 5], ["missing", 1, 0]]))
        yield one
        one.close()
    box.close()


def started(shown):
    """The daemon has looked at all devices, and the agent knows of it."""
    shown.start()
    until(lambda: len(shown.seen()) == 2, "the first looks")
    until(lambda: shown.agent.walk("dmRemapSetName"), "the agent's answer")
    # within a second the same is said again
    until(lambda: len(shown.agent.walk("dmRemapSetName")) == 2, "both sets")
    return shown


def test_tables_by_the_names_of_the_mib(shown, agent):
    agent.start_agent()
    started(shown)
    found = agent.walk()
    one, other = (INDEX.format(number) for number in range(2))
    for name, value in (
        (f"dmRemapSetName{one}", "srv"),
        (f"dmRemapSetUp{one}", "true"),
        (f"dmRemapSetHealth{one}", "93"),
        (f"dmRemapSetWriteErrors{one}", "5"),
        (f"dmRemapSetRemappedBlocks{one}", "10"),
        (f"dmRemapSetTableCapacity{one}", "1000"),
        (f"dmRemapSetBreakerOpen{one}", "false"),
        (f"dmRemapSetName{other}", "data"),
        (f"dmRemapSpareState{other}.0", "in-sync"),
        (f"dmRemapSpareHealth{other}.0", "77"),
        (f"dmRemapSpareState{other}.1", "missing"),
        ("dmRemapEventCount.'spare-missing'", "1"),
        ("dmRemapActionCount.\"scan\".'done'", "0"),
        ("dmRemapDaemonPolicy.0", "test"),
        ("dmRemapDaemonTrouble.0", ""),
    ):
        assert found[name] == value, (name, found)
    assert re.fullmatch(r"20\d\d-\d+-\d+,\d+:\d+:\d+\.\d,\+0:0", found[f"dmRemapSetLastSeen{one}"])
    # what is not in sight is not there; all else is
    names = {re.match(r"dmRemap(\w+)", name)[1] for name in found}
    columns = {column.name for table in TABLES for column in table.columns}
    assert names == (columns | {one.name for one in DAEMON}) - {"SetFullAt"}
    # bulk and single questions agree
    again = agent.walk(program="snmpbulkwalk")
    still = [name for name in found if "LastSeen" not in name]
    assert {name: again[name] for name in still} == {name: found[name] for name in still}
    shown.machine.change("srv", write_errors=6, health=40)
    until(lambda: agent.walk("dmRemapSetHealth")[f"dmRemapSetHealth{one}"] == "40", "a look")


def test_a_table_and_single_values(shown, agent):
    agent.start_agent()
    started(shown)
    table = agent.ask("snmptable", "dmRemapSetTable", options=("-CH", "-Cf", "|"))
    rows = [line.split("|") for line in table.split("\n") if "|" in line]
    assert sorted(row[0] for row in rows) == ["data", "srv"]
    names = ["dmRemapDaemonVersion.0", "dmRemapDaemonActionsRunning.0"]
    assert agent.ask("snmpget", *names, options=("-OQv",)).splitlines() == ["4.0.0", "0"]
    asked = agent.ask("snmpget", "dmRemapDaemonVersion.1", "dmRemapAlertText.0", options=["-OQv"])
    assert asked.splitlines() == [
        "No Such Instance currently exists at this OID",
        "No Such Object available on this agent at this OID",
    ]


def test_a_set_that_has_gone_stays(shown, agent):
    agent.start_agent()
    started(shown)
    shown.machine.remove("data")
    gone = f"dmRemapSetUp{INDEX.format(1)}"
    until(lambda: agent.walk("dmRemapSetUp")[gone] == "false", "its end")
    # under another name it is the same set
    shown.machine.put("renamed", a_device(1, health=50))
    until(lambda: agent.walk("dmRemapSetUp")[gone] == "true", "its return")
    names = agent.walk("dmRemapSetName")
    assert sorted(names.values()) == ["renamed", "srv"]


def test_nothing_can_be_set(shown, agent):
    (agent.folder / "snmpd.conf").write_text(
        (agent.folder / "snmpd.conf").read_text().replace("rocommunity", "rwcommunity")
    )
    agent.start_agent()
    started(shown)
    oid = ".1.3.6.1.4.1.8072.9999.9999.7327.1.1.2.0"
    assert agent.ask("snmpset", oid, "s", "other") is None
    assert agent.walk("dmRemapDaemonPolicy") == {"dmRemapDaemonPolicy.0": "test"}


def test_an_agent_that_is_started_again_knows_us_again(shown, agent):
    shown.start()
    until(lambda: "no SNMP agent" in shown.log, "the complaint")
    agent.start_agent()
    until(lambda: agent.walk("dmRemapSetName"), "the first answer")
    agent.stop("snmpd")
    until(lambda: shown.log.count("no SNMP agent") == 2, "the second complaint")
    agent.start_agent()
    until(lambda: agent.walk("dmRemapSetName"), "the second answer")
    assert shown.stop() == 0
    # it has left in order: the agent has nothing to wait for
    assert agent.walk() == {}
    assert shown.log.count("known to the SNMP agent") == 2


def test_alerts_are_traps(shown, agent):
    agent.start_trap_receiver()
    agent.start_agent()
    started(shown)
    alert = shown.raise_alert()
    until(lambda: "dmRemapAlertRaised" in agent.told(), "the trap")
    shown.client.post(f"/v1/alerts/{alert['id']}/resolve")
    # the end of a text
    until(lambda: agent.told().count(" times.") == 2, "the end")
    assert shown.stop() == 0
    raised, over = [line for line in agent.told().splitlines() if "dmRemapAlert" in line]
    assert "dmRemapAlertSeverity.0 = warning" in raised
    assert "dmRemapAlertDevice.0 = srv" in raised
    assert "dmRemapAlertSubject.0 = [warning] srv: errors" in raised
    assert "any errors within 1h: at least 3 (3)" in agent.told()
    assert "dmRemapAlertSubject.0 = [warning] over: srv: errors" in over
