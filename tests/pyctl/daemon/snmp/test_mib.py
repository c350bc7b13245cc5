"""The MIB: made from the table, and without a mistake for smilint."""

import os
import subprocess

from pyctl.daemon.snmp.mib import mib
from pyctl.daemon.snmp.objects import ALERT, DAEMON, NOTIFICATIONS, OBJECTS, ROOT, TABLES
from pyctl.daemon.snmp.wire import dotted
from tests.pyctl.daemon.running import ROOT as PROJECT
from tests.pyctl.daemon.snmp.agent import MIBS

FILE = PROJECT / "packaging/snmp/DM-REMAP-MIB.txt"


def lint(path):
    """What smilint says, but that the nodes of the playpen are not defined here."""
    done = subprocess.run(
        ["/usr/bin/smilint", "-s", "-l", "6", "-i", "node-implicit", str(path)],
        env={**os.environ, "SMIPATH": MIBS.partition(":")[0]},
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


def test_it_is_made_from_the_table():
    assert FILE.read_text() == mib()


def test_smilint_finds_nothing(tmp_path):
    assert lint(FILE) == ""
    # it would: a group without an object, a row without its index
    for old, new in (
        ("dmRemapDaemonVersion,", ""),
        ("INDEX { dmRemapSetUuid }", "INDEX { dmRemapSetUid }"),
    ):
        text = FILE.read_text()
        assert old in text
        wrong = tmp_path / FILE.name
        wrong.write_text(text.replace(old, new, 1))
        assert "dmRemap" in lint(wrong)


def test_names_lead_to_the_numbers_of_the_table(tmp_path):
    wanted = {f"dmRemap{one.name}": (*OBJECTS, 1, one.number) for one in DAEMON}
    for table in TABLES:
        wanted |= {f"dmRemap{one.name}": (*table.oid, one.number) for one in table.columns}
    wanted |= {f"dmRemap{one.name}": (*OBJECTS, 6, one.number) for one in ALERT}
    wanted |= {f"dmRemap{name}": (*ROOT, 0, number) for name, (number, _) in NOTIFICATIONS.items()}
    done = subprocess.run(
        ["/usr/bin/snmptranslate", "-On", *(f"DM-REMAP-MIB::{name}" for name in wanted)],
        env={
            **os.environ,
            "MIBDIRS": MIBS,
            "MIBS": "DM-REMAP-MIB",
            "SNMP_PERSISTENT_DIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [f".{dotted(oid)}" for oid in wanted.values()]


def test_no_number_is_given_twice():
    for table in TABLES:
        numbers = [one.number for one in (*table.index[-1:], *table.columns)]
        assert len(set(numbers)) == len(numbers)
    for group in (DAEMON, ALERT):
        assert [one.number for one in group] == list(range(1, len(group) + 1))
