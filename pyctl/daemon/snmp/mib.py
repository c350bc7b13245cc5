"""Makes DM-REMAP-MIB from the table of objects: python -m pyctl.daemon.snmp.mib."""

import textwrap
from collections.abc import Iterable, Iterator

from pyctl.daemon.snmp.objects import (
    ALERT,
    DAEMON,
    NOTIFICATIONS,
    PLAYPEN,
    ROOT,
    TABLES,
    Column,
    Syntax,
    Table,
)

__all__ = ["mib"]

_CHANGED = "202611220000Z"
_HEAD = f"""\
-- Made from the table of objects: python -m pyctl.daemon.snmp.mib
DM-REMAP-MIB DEFINITIONS ::= BEGIN

IMPORTS
    MODULE-IDENTITY, OBJECT-TYPE, NOTIFICATION-TYPE,
    Counter64, Gauge32, Unsigned32, enterprises
        FROM SNMPv2-SMI
    TEXTUAL-CONVENTION, DateAndTime, TruthValue
        FROM SNMPv2-TC
    MODULE-COMPLIANCE, OBJECT-GROUP, NOTIFICATION-GROUP
        FROM SNMPv2-CONF;

dmRemapMIB MODULE-IDENTITY
    LAST-UPDATED "{_CHANGED}"
    ORGANIZATION "dm-remap"
    CONTACT-INFO "See docs/snmp.md of dm-remap."
    DESCRIPTION
        "The dm-remap sets of a machine as dm-remapd sees them, and what it
        tells people. The tree lies in net-snmp's playpen."
    REVISION "{_CHANGED}"
    DESCRIPTION "The first version."
    ::= {{ enterprises {" ".join(map(str, (*PLAYPEN, ROOT[-1])))} }}

dmRemapNotifications OBJECT IDENTIFIER ::= {{ dmRemapMIB 0 }}
dmRemapObjects       OBJECT IDENTIFIER ::= {{ dmRemapMIB 1 }}
dmRemapConformance   OBJECT IDENTIFIER ::= {{ dmRemapMIB 2 }}
dmRemapDaemon        OBJECT IDENTIFIER ::= {{ dmRemapObjects 1 }}
dmRemapAlert         OBJECT IDENTIFIER ::= {{ dmRemapObjects 6 }}
dmRemapCompliances   OBJECT IDENTIFIER ::= {{ dmRemapConformance 1 }}
dmRemapGroups        OBJECT IDENTIFIER ::= {{ dmRemapConformance 2 }}

DmRemapText ::= TEXTUAL-CONVENTION
    DISPLAY-HINT "1024t"
    STATUS current
    DESCRIPTION "Text for people, in UTF-8."
    SYNTAX OCTET STRING (SIZE (0..1024))

DmRemapWord ::= TEXTUAL-CONVENTION
    DISPLAY-HINT "40a"
    STATUS current
    DESCRIPTION "A word as policies have it, in ASCII."
    SYNTAX OCTET STRING (SIZE (1..40))

DmRemapUuid ::= TEXTUAL-CONVENTION
    DISPLAY-HINT "36a"
    STATUS current
    DESCRIPTION "A UUID as people write it, in ASCII."
    SYNTAX OCTET STRING (SIZE (36))

DmRemapSeverity ::= TEXTUAL-CONVENTION
    STATUS current
    DESCRIPTION "How bad something is."
    SYNTAX INTEGER {{ info(1), warning(2), critical(3) }}
"""


def mib() -> str:
    """The text of packaging/snmp/DM-REMAP-MIB.txt."""
    return "\n".join([_HEAD, *_parts(), "END\n"])


def _parts() -> Iterator[str]:
    for one in DAEMON:
        yield _object(one, "dmRemapDaemon", "read-only")
    for table in TABLES:
        yield from _table(table)
    for one in ALERT:
        yield _object(one, "dmRemapAlert", "accessible-for-notify")
    told = ", ".join(f"dmRemap{one.name}" for one in ALERT)
    for name, (number, about) in NOTIFICATIONS.items():
        yield (
            f"dmRemap{name} NOTIFICATION-TYPE\n{_list('OBJECTS', told)}\n"
            f"    STATUS current\n{_about(about)}\n    ::= {{ dmRemapNotifications {number} }}\n"
        )
    yield from _conformance()


def _table(table: Table) -> Iterator[str]:
    entry = f"DmRemap{table.name}Entry"
    own = [one for one in table.index if one.name.startswith(table.name)]
    shown = [*own, *table.columns]
    names = [f"dmRemap{one.name}" for one in table.index]
    if table.implied:
        names[-1] = f"IMPLIED {names[-1]}"
    fields = ",\n".join(f"    dmRemap{one.name} {one.syntax.value}" for one in shown)
    yield (
        f"dmRemap{table.name}Table OBJECT-TYPE\n"
        f"    SYNTAX SEQUENCE OF {entry}\n    MAX-ACCESS not-accessible\n    STATUS current\n"
        f"{_about(table.about)}\n    ::= {{ dmRemapObjects {table.number} }}\n"
    )
    yield (
        f"dmRemap{table.name}Entry OBJECT-TYPE\n"
        f"    SYNTAX {entry}\n    MAX-ACCESS not-accessible\n    STATUS current\n"
        f"{_about('One of them.')}\n    INDEX {{ {', '.join(names)} }}\n"
        f"    ::= {{ dmRemap{table.name}Table 1 }}\n"
    )
    yield f"{entry} ::= SEQUENCE {{\n{fields}\n}}\n"
    for one in shown:
        access = "not-accessible" if one in own else "read-only"
        yield _object(one, f"dmRemap{table.name}Entry", access)


def _object(one: Column, parent: str, access: str) -> str:
    syntax = "Unsigned32 (0..4294967295)" if one.syntax is Syntax.ROW else one.syntax.value
    return (
        f"dmRemap{one.name} OBJECT-TYPE\n    SYNTAX {syntax}\n    MAX-ACCESS {access}\n"
        f"    STATUS current\n{_about(one.about)}\n    ::= {{ {parent} {one.number} }}\n"
    )


def _conformance() -> Iterator[str]:
    shown = [*DAEMON, *(one for table in TABLES for one in table.columns), *ALERT]
    yield _group("ObjectGroup OBJECT-GROUP", "OBJECTS", (one.name for one in shown), 1)
    yield _group("NotificationGroup NOTIFICATION-GROUP", "NOTIFICATIONS", NOTIFICATIONS, 2)
    yield (
        "dmRemapCompliance MODULE-COMPLIANCE\n    STATUS current\n"
        f"{_about('What dm-remapd shows: all of it.')}\n    MODULE\n"
        f"{_list('MANDATORY-GROUPS', 'dmRemapObjectGroup, dmRemapNotificationGroup')}\n"
        "    ::= { dmRemapCompliances 1 }\n"
    )


def _group(head: str, word: str, names: Iterable[str], number: int) -> str:
    listed = ", ".join(f"dmRemap{one}" for one in names)
    return (
        f"dmRemap{head}\n{_list(word, listed)}\n    STATUS current\n"
        f"{_about('All of them.')}\n    ::= {{ dmRemapGroups {number} }}\n"
    )


def _list(word: str, names: str) -> str:
    return _wrapped(f"{word} {{ {names} }}")


def _about(text: str) -> str:
    return _wrapped(f'DESCRIPTION "{text}"')


def _wrapped(text: str) -> str:
    return textwrap.fill(
        text, 78, initial_indent="    ", subsequent_indent="        ", break_on_hyphens=False
    )


if __name__ == "__main__":
    print(mib(), end="")
