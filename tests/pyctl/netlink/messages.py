"""Messages as the kernel makes them, byte by byte, without the code that reads them."""

import struct

from pyctl.netlink.numbers import ATTRIBUTES, ROW_ATTRIBUTES, Cmd

FAMILY = 40
NUMBERS = {name: number for number, (name, _) in enumerate(ATTRIBUTES)}
ROW_NUMBERS = {name: number for number, (name, _) in enumerate(ROW_ATTRIBUTES)}
FORMS = {"uint32": "=I", "uint64": "=Q"}
UUID = bytes(range(16))


def attribute(number, body):
    length = 4 + len(body)
    return struct.pack("=HH", length, number) + body + bytes(-length % 4)


def _body(kind, value):
    if kind in FORMS:
        return struct.pack(FORMS[kind], value)
    return value.encode() + b"\0" if kind == "asciiz" else value


def attributes(values, numbers=NUMBERS, types=ATTRIBUTES):
    return b"".join(
        attribute(numbers[name], _body(types[numbers[name]][1], value))
        for name, value in values.items()
    )


def message(body, kind=FAMILY, flags=0, seq=0):
    length = 16 + len(body)
    return struct.pack("=IHHII", length, kind, flags, seq, 0) + body + bytes(-length % 4)


def family(cmd, values, **more):
    return message(struct.pack("=BBH", int(cmd), 1, 0) + attributes(values), **more)


def event(seq, kind, *, instance=7, count=1, **more):
    values = {
        "DMR_A_INSTANCE": instance,
        "DMR_A_SEQ": seq,
        "DMR_A_TIME": 1_000_000_000 * seq,
        "DMR_A_EVENT": int(kind),
        "DMR_A_COUNT": count,
        "DMR_A_SET": UUID,
        "DMR_A_MAJOR": 254,
        "DMR_A_MINOR": 3,
    }
    return family(Cmd.EVENT, values | {f"DMR_A_{name.upper()}": it for name, it in more.items()})
