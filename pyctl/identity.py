"""Who a main device is: the text in the metadata, and the comparison with a device."""

from collections.abc import Mapping

from pyctl import probe
from pyctl.blockdev import BlockDevice
from pyctl.format import IDENTITY_LEN

__all__ = ["compare", "decode", "encode", "of_device"]

# Most telling first: what does not fit is dropped from the end.
_HARD = ("wwid", "serial", "dmuuid", "partuuid")
_SOFT = ("fsuuid", "ptuuid")

_NAMES = {
    "wwid": "world-wide identifier",
    "serial": "serial number",
    "dmuuid": "device-mapper UUID",
    "partuuid": "partition UUID",
    "fsuuid": "file system's UUID",
    "ptuuid": "partition table's UUID",
}


def of_device(device: BlockDevice) -> dict[str, str]:
    """What is known of a device, by key; white space never occurs in values."""
    seen = probe.blkid(device.path)
    found = {
        **device.hardware(),
        "partuuid": seen.get("PART_ENTRY_UUID", ""),
        "fsuuid": seen.get("UUID", ""),
        "ptuuid": seen.get("PTUUID", ""),
    }
    return {key: "_".join(value.split()) for key, value in found.items() if value}


def encode(identity: Mapping[str, str]) -> str:
    """`wwid=… serial=…`, as it is stored: ASCII, at most IDENTITY_LEN - 1 bytes."""
    text = ""
    for key in (*_HARD, *_SOFT):
        word = f"{key}={identity[key]}" if key in identity else ""
        longer = f"{text} {word}".strip()
        if longer.isascii() and len(longer) < IDENTITY_LEN:
            text = longer
    return text


def decode(text: str) -> dict[str, str]:
    """The opposite of encode; words that are no `key=value` are left out."""
    pairs = (word.partition("=") for word in text.split())
    return {key: value for key, sep, value in pairs if sep and key}


def compare(stored: Mapping[str, str], now: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Differences as sentences: those that tell another device, and those that may be normal.

    Only what is known on both sides is compared.
    """

    def differ(keys: tuple[str, ...]) -> list[str]:
        return [
            f"its {_NAMES[key]} is {now[key]}, the spares remember {stored[key]}"
            for key in keys
            if key in stored and key in now and stored[key] != now[key]
        ]

    return differ(_HARD), differ(_SOFT)
