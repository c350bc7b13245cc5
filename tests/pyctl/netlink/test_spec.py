"""The spec, the kernel's header, its policies and operations, and pyctl's numbers are the same."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pyctl.netlink import numbers

KERNEL = Path(__file__).resolve().parents[3] / "kernel"
SPEC = YAML(typ="safe").load(KERNEL / "uapi/dm_remap.yaml")
HEADERS = {name: (KERNEL / name).read_text() for name in ("dm-remap-uapi.h", "dm-remap-records.h")}
FAMILY = (KERNEL / "dm-remap-netlink.c").read_text()
TYPES = {
    "u32": "uint32",
    "u64": "uint64",
    "string": "asciiz",
    "binary": "cdata",
    "nest": "*row",
    "pad": "none",
}
POLICIES = {
    "NLA_POLICY_EXACT_LEN(DMR_UUID_LEN)": "binary",
    "NLA_NUL_STRING": "string",
    "NLA_U32": "u32",
    "NLA_U64": "u64",
}
ENUMS = {
    "news": numbers.News,
    "entry-state": numbers.EntryState,
    "set-mode": numbers.SetMode,
    "space": numbers.Space,
    "reason": numbers.Reason,
    "scan-event": numbers.ScanEvent,
    "finding": numbers.Finding,
    "copy-phase": numbers.CopyPhase,
    "scan-order": numbers.ScanOrder,
    "remap-order": numbers.RemapOrder,
    "spare-order": numbers.SpareOrder,
}
SETS = {one["name"]: one for one in SPEC["attribute-sets"]}
OPERATIONS = {one["name"]: one for one in SPEC["operations"]["list"]}


def upper(name):
    return name.replace("-", "_").upper()


def header_enum(prefix, header="dm-remap-uapi.h"):
    """The enum whose names begin with a prefix, in order, without its bounds."""
    text = re.sub(r"/\*.*?\*/", "", HEADERS[header], flags=re.DOTALL)
    for body in re.findall(r"enum \w+ \{(.*?)\};", text, flags=re.DOTALL):
        found = [one.strip().partition(" =")[0] for one in body.split(",") if one.strip()]
        bounds = [one for one in found if re.match(r"__|DMR_NR_", one) or one.endswith("_MAX")]
        bounds += [one for one in found if one == f"{prefix}NR"]
        names = [one for one in found if one not in bounds]
        if all(one.startswith(prefix) for one in names):
            return names
    raise AssertionError(prefix)


def policy(name):
    """The policy of an operation in the kernel: attribute and type."""
    body = re.search(rf"nla_policy {name}_policy\[.*?\] = \{{(.*?)\n\}};", FAMILY, re.DOTALL)
    rows = re.findall(r"\[(DMR_A_\w+)\] = (.*?),\n", body[1] + ",\n")
    found = {}
    for attribute, text in rows:
        (kind,) = [kind for word, kind in POLICIES.items() if word in text]
        found[attribute] = kind
    return found


def test_family():
    constants = dict(re.findall(r"#define (DMR_GENL_\w+)\s+(.*)", HEADERS["dm-remap-uapi.h"]))
    (group,) = SPEC["mcast-groups"]["list"]
    assert constants["DMR_GENL_NAME"] == f'"{SPEC["name"]}"' == f'"{numbers.FAMILY}"'
    assert int(constants["DMR_GENL_VERSION"]) == SPEC["version"] == numbers.VERSION
    assert constants["DMR_GENL_EVENTS"] == f'"{group["name"]}"' == f'"{numbers.GROUP}"'


@pytest.mark.parametrize("name", ENUMS)
def test_enum(name):
    (one,) = [each for each in SPEC["definitions"] if each["name"] == name]
    prefix = upper(one["name-prefix"])
    entries = [upper(entry) for entry in one["entries"]]
    assert header_enum(prefix, one.get("header", "dm-remap-uapi.h")) == [
        prefix + entry for entry in entries
    ]
    assert [(each.name, each.value) for each in ENUMS[name]] == [
        (entry, number) for number, entry in enumerate(entries)
    ]


def test_the_spec_knows_all_enums():
    assert {one["name"] for one in SPEC["definitions"]} == set(ENUMS)


@pytest.mark.parametrize(
    ("name", "table"), [("dm-remap", numbers.ATTRIBUTES), ("row", numbers.ROW_ATTRIBUTES)]
)
def test_attributes(name, table):
    one = SETS[name]
    prefix = upper(one["name-prefix"])
    spec = [(prefix + upper(each["name"]), TYPES[each["type"]]) for each in one["attributes"]]
    assert [(prefix + "UNSPEC", "none"), *spec] == list(table)
    assert header_enum(prefix) == [attribute for attribute, _ in table]


def test_commands():
    names = [upper(name) for name in OPERATIONS]
    assert header_enum("DMR_CMD_") == [f"DMR_CMD_{name}" for name in ("UNSPEC", *names)]
    assert [one.name for one in numbers.Cmd] == ["UNSPEC", *names]
    assert [one.value for one in numbers.Cmd] == list(range(len(names) + 1))


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "event"])
def test_operation(name):
    one = OPERATIONS[name]
    block = re.search(rf"\t\t\.cmd = DMR_CMD_{upper(name)},\n(.*?)\n\t\}}", FAMILY, re.DOTALL)[1]
    assert f".policy = {name}_policy" in block
    assert (".doit = " in block) == ("do" in one)
    assert (".dumpit = " in block) == ("dump" in one)
    # Whoever may not is refused before anything is looked at.
    assert ("dump" in one) == (".start = dmr_nl_start" in block)
    asked = one.get("do", one.get("dump"))["request"]["attributes"]
    types = {each["name"]: each["type"] for each in SETS["dm-remap"]["attributes"]}
    assert policy(name) == {f"DMR_A_{upper(each)}": types[each] for each in asked}


def test_no_operation_has_flags_of_another_capability():
    assert "GENL_ADMIN_PERM" not in FAMILY
    assert "GENL_MCAST_CAP_SYS_ADMIN" in FAMILY
    for path in KERNEL.glob("dm-remap-netlink-*.c"):
        text = path.read_text()
        for name in re.findall(r"^int (dmr_nl_\w+)\(", text, re.MULTILINE):
            if name in ("dmr_nl_sets", "dmr_nl_remaps", "dmr_nl_regions"):
                continue
            body = text.partition(f"int {name}(")[2].partition("\n}")[0]
            assert re.search(r"dmr_allowed\(|do_order\(", body), name
