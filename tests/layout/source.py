"""The functions that a bio goes through, and what they do, from the source.

This is no parser of C: it knows the kernel's style, where a function begins and ends in column 0.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_FUNCTION = re.compile(
    r"^(?:\w[\w \t\n*]*?[ *])?(\w+)\([^;{}]*\)\n\{\n(.*?)^\}", re.MULTILINE | re.DOTALL
)
_BEGIN = re.compile(r"^\{$", re.MULTILINE)
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
# What lockdep is asked about; other kernels are compiled without.
_LOCKDEP = re.compile(r"\blockdep_\w+\([^()]*\)")
_CALL = re.compile(r"\b(\w+)\(")
_FIELD = re.compile(r"\b(\w+)->(\w+)")
_CHAIN = r"(?:(?:->|\.)\w+|\[[^\]]*\])*"
_ASSIGNED = re.compile(
    rf"(?:\+\+|--)(\w+)->|\b(\w+)->\w+{_CHAIN}\s*(?:[-+|&^*/]?=(?!=)|\+\+|--|<<=|>>=)"
)
_ADDRESS = re.compile(r"(\w+)\s*\(\s*&(\w+)->|&(\w+)->")
_CALL_WITH = r"\b(\w+)\((?:[^()]*,\s*)?%s(?:\s*,[^()]*)?\)"

# Functions that change what they are given the address of, or something that others see, too.
_CHANGING = re.compile(
    r"\b(WRITE_ONCE|smp_store_\w+|x?add_return|xchg|cmpxchg\w*|atomic\w*_\w+|refcount_\w+|"
    r"(?:__)?(?:test_and_)?(?:set|clear|change)_bit\w*|(?:raw_)?(?:spin|read|write)_(?:try)?lock\w*|"
    r"mutex_\w+|down\w*|percpu_ref_\w+|kref_\w+|queue_\w+|schedule_\w+|wake_up\w*|list_\w+|bio_list_\w+)\("
)
# These only read at the address that they are given.
_READING = (
    *("READ_ONCE", "smp_load_acquire", "__atomic_load_n"),
    *("rcu_dereference", "rcu_dereference_check"),
)


@dataclass(frozen=True)
class Use:
    """Something that a function does to memory, in its words."""

    function: str
    text: str

    def __str__(self) -> str:
        return f"{self.function}(): {self.text}"


def functions(sources: Iterable[str]) -> dict[str, str]:
    """The bodies of all functions, without comments and questions to lockdep."""
    found: dict[str, str] = {}
    for source in sources:
        text = _COMMENT.sub(" ", source)
        own = {match[1]: match[2] for match in _FUNCTION.finditer(text)}
        if len(own) != len(_BEGIN.findall(text)):
            raise ValueError(f"Not all functions were understood, only {', '.join(own)}.")
        for name, body in own.items():
            # Static functions of several files may have one name: any of them may be meant.
            found[name] = found.get(name, "") + _LOCKDEP.sub("1", body)
    return found


def of_folder(folder: Path) -> dict[str, str]:
    """The functions of all C files of a folder."""
    return functions(path.read_text() for path in sorted(folder.glob("*.[ch]")))


def reached(bodies: Mapping[str, str], roots: Iterable[str], without: Collection[str]) -> set[str]:
    """The functions that are called from some, however deep, but for those that are left out."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in found or name in without or name not in bodies:
            continue
        found.add(name)
        waiting += _CALL.findall(bodies[name])
    return found


def fields_used(bodies: Mapping[str, str], names: Iterable[str], pointer: str) -> set[str]:
    """The fields that functions use of what a variable points to."""
    uses = (match for name in names for match in _FIELD.findall(bodies[name]))
    return {field for variable, field in uses if variable == pointer}


def unknown_calls(bodies: Mapping[str, str], names: Iterable[str], pointer: str) -> list[Use]:
    """Calls that hand a pointer on to something whose source isn't here."""
    calls = re.compile(_CALL_WITH % pointer)
    return [
        Use(name, match[0])
        for name in names
        for match in calls.finditer(bodies[name])
        if match[1] not in bodies
    ]


def shared_writes(
    bodies: Mapping[str, str], names: Iterable[str], own: Collection[str]
) -> list[Use]:
    """What functions write, or may, through other pointers than those in `own`."""
    return [use for name in names for use in _writes(name, bodies[name], own)]


def _writes(name: str, body: str, own: Collection[str]) -> Iterator[Use]:
    for match in _ASSIGNED.finditer(body):
        if (match[1] or match[2]) not in own:
            yield Use(name, match[0])
    for match in _ADDRESS.finditer(body):
        if match[1] not in _READING and (match[2] or match[3]) not in own:
            yield Use(name, match[0])
    for match in _CHANGING.finditer(body):
        yield Use(name, body[match.start() :].partition(";")[0])
