"""The Grafana dashboard, made from the table of metrics: python -m pyctl.daemon.dashboard.

Every metric of a device or a spare is on it; each panel asks for what its metric is called, so that
a metric that changes its name changes the dashboard.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyctl.daemon.metrics import METRICS, Meter

__all__ = ["dashboard", "expressions"]

_SOURCE = {"type": "prometheus", "uid": "${source}"}
_WIDTH = 24
_PANEL = 8


@dataclass(frozen=True)
class _Row:
    """A row of panels, of the metrics with these labels and beginning so."""

    title: str
    meters: tuple[Meter, ...]


def dashboard() -> dict[str, Any]:
    """As Grafana imports it (schema version 39, Grafana 10.4 and later)."""
    return {
        "uid": "dm-remap",
        "title": "dm-remap",
        "tags": ["dm-remap", "storage"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": _variables()},
        "panels": list(_panels()),
    }


def expressions() -> list[str]:
    """Every PromQL expression of the dashboard."""
    panels = dashboard()["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def _variables() -> list[dict[str, Any]]:
    return [
        {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
        {
            "name": "device",
            "label": "Device",
            "type": "query",
            "datasource": _SOURCE,
            "query": "label_values(dm_remap_up, device)",
            "refresh": 2,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        },
    ]


def _rows() -> list[_Row]:
    spare = tuple(one for one in METRICS if "spare" in one.labels)
    device = tuple(one for one in METRICS if "device" in one.labels and one not in spare)
    daemon = tuple(one for one in METRICS if one not in (*device, *spare))
    return [_Row("Devices", device), _Row("Spares", spare), _Row("The daemon", daemon)]


def _panels() -> Iterator[dict[str, Any]]:
    top, number = 0, 1
    for row in _rows():
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "gridPos": {"x": 0, "y": top, "w": _WIDTH, "h": 1},
            "panels": [],
        }
        top, number = top + 1, number + 1
        for index, meter in enumerate(row.meters):
            x = index * _PANEL % _WIDTH
            yield _panel(number, meter, x, top)
            number += 1
            if x + _PANEL == _WIDTH or meter is row.meters[-1]:
                top += _PANEL


def _panel(number: int, meter: Meter, x: int, y: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": meter.about,
        "datasource": _SOURCE,
        "gridPos": {"x": x, "y": y, "w": _PANEL, "h": _PANEL},
        "fieldConfig": {"defaults": {"unit": _unit(meter), **_range(meter)}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {
                "refId": "A",
                "datasource": _SOURCE,
                "expr": _expression(meter),
                "legendFormat": _legend(meter),
            }
        ],
    }


# Counters as what came within an hour, times as what is left until then, times that calls took as
# what 95 of 100 stay below.
def _expression(meter: Meter) -> str:
    chosen = '{device=~"$device"}' if "device" in meter.labels else ""
    series = f"{meter.name}{chosen}"
    if meter.type == "counter":
        return f"increase({series}[1h])"
    if meter.type == "histogram":
        by = ", ".join(["le", *_shown(meter)])
        return f"histogram_quantile(0.95, sum by ({by}) (rate({meter.name}_bucket{chosen}[15m])))"
    if meter.name.endswith("_timestamp_seconds"):
        return f"{series} - time()"
    return series


def _unit(meter: Meter) -> str:
    ends = {
        "_seconds": "s",
        "_bytes": "bytes",
        "_celsius": "celsius",
        "_probability": "percentunit",
    }
    return next((unit for end, unit in ends.items() if meter.name.endswith(end)), "short")


def _range(meter: Meter) -> dict[str, Any]:
    if meter.name.endswith("_score"):
        return {"min": 0, "max": 100}
    return {} if meter.name.endswith("_seconds") else {"min": 0}


def _shown(meter: Meter) -> list[str]:
    return [one for one in meter.labels if one not in ("set", "uuid", "policy_sha256")]


def _legend(meter: Meter) -> str:
    return " ".join(f"{{{{{one}}}}}" for one in _shown(meter)) or "{{instance}}"


if __name__ == "__main__":
    print(json.dumps(dashboard(), indent=2))
