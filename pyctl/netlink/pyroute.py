"""pyroute2's messages without the rest of it.

The package imports all of its parts when any of them is: 160 modules and 8 MiB for a daemon that
needs four. So these are imported under a stand-in for the package. It is forgotten with them:
whoever imports pyroute2 later gets the whole of it.
"""

import importlib.util
import sys
import types
from importlib import import_module
from typing import Any

__all__ = ["netlink"]

_PACKAGE = "pyroute2"


def _light() -> types.ModuleType:
    spec = None if _PACKAGE in sys.modules else importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return import_module(f"{_PACKAGE}.netlink")
    stand_in = types.ModuleType(_PACKAGE)
    stand_in.__path__ = list(spec.submodule_search_locations)
    sys.modules[_PACKAGE] = stand_in
    try:
        return import_module(f"{_PACKAGE}.netlink")
    finally:
        for name in [one for one in sys.modules if one.partition(".")[0] == _PACKAGE]:
            del sys.modules[name]


netlink: Any = _light()
