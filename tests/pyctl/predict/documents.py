"""JSON of the shape that `smartctl -j -x` writes: made here, of no real drive."""

import json
from pathlib import Path
from typing import Any

Document = dict[str, Any]


def attribute(
    number: int,
    raw: int,
    *,
    name: str = "Some_Attribute",
    value: int = 100,
    shown: str | None = None,
    failed: str = "",
) -> Document:
    return {
        "id": number,
        "name": name,
        "value": value,
        "worst": value,
        "thresh": 10,
        "when_failed": failed,
        "raw": {"value": raw, "string": shown or str(raw)},
    }


def common(protocol: str, **more: Any) -> Document:
    return {
        "json_format_version": [1, 0],
        "smartctl": {"version": [7, 3], "exit_status": 0},
        "local_time": {"time_t": 1_700_000_000},
        "device": {"name": "/dev/sdx", "type": "x", "protocol": protocol},
        "model_name": "MODEL 1",
        "serial_number": "S1",
        "user_capacity": {"bytes": 4_000_000_000_000},
        "smart_status": {"passed": True},
        "temperature": {"current": 31},
        "power_on_time": {"hours": 12_345},
        "power_cycle_count": 7,
        **more,
    }


def ata(raws: dict[int, int] | None = None, **more: Any) -> Document:
    raws = {5: 0, 187: 0, 188: 0, 197: 0, 198: 0, 12: 7, 10: 0, 189: 0} | (raws or {})
    table = [attribute(number, raw) for number, raw in raws.items()]
    document = common("ATA", rotation_rate=7200, ata_smart_attributes={"table": table})
    return document | more


def nvme(**log: Any) -> Document:
    plain = {
        "critical_warning": 0,
        "available_spare": 100,
        "available_spare_threshold": 10,
        "percentage_used": 3,
        "data_units_read": 1000,
        "data_units_written": 2000,
        "media_errors": 0,
        "num_err_log_entries": 5,
        "unsafe_shutdowns": 2,
        "warning_temp_time": 0,
        "critical_comp_time": 0,
    }
    return common("NVMe", nvme_smart_health_information_log=plain | log)


def scsi(defects: int = 0, uncorrected: int = 0, **more: Any) -> Document:
    counters = {"read": {"total_uncorrected_errors": uncorrected, "gigabytes_processed": "1.5"}}
    return common("SCSI", scsi_grown_defect_list=defects, scsi_error_counter_log=counters, **more)


def save(path: Path, document: Document) -> Path:
    path.write_text(json.dumps(document))
    return path
