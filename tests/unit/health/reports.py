"""Reports as smartctl 7 writes them, shortened to what is read. Shapes as of real disks; names and numbers are made up."""

from __future__ import annotations

from typing import Any


def attribute(number: int, name: str, raw: str, *, value: int = 100, failed: str = "") -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "value": value,
        "worst": value,
        "thresh": 10,
        "when_failed": failed,
        "flags": {"value": 51, "string": "PO--CK ", "prefailure": True},
        # Packed by some makers: only the text is the count.
        "raw": {"value": 0x0020_0000_0000 + 1, "string": raw},
    }


def ata(
    *attributes: dict[str, Any], passed: bool = True, turns: int = 5900, celsius: int = 38
) -> dict[str, Any]:
    return {
        "json_format_version": [1, 0],
        "smartctl": {
            "version": [7, 3],
            "argv": ["smartctl", "--json", "--all", "/dev/sda"],
            "exit_status": 0,
        },
        "device": {"name": "/dev/sda", "info_name": "/dev/sda [SAT]", "type": "sat", "protocol": "ATA"},
        "model_name": "EXAMPLE SV4000",
        "serial_number": "Z0000001",
        "user_capacity": {"blocks": 7814037168, "bytes": 4000787030016},
        "rotation_rate": turns,
        "smart_status": {"passed": passed},
        "ata_smart_attributes": {"revision": 10, "table": [*attributes]},
        "power_on_time": {"hours": 21044},
        "temperature": {"current": celsius},
    }


def nvme(**log: int) -> dict[str, Any]:
    return {
        "smartctl": {"version": [7, 3], "exit_status": 0},
        "device": {"name": "/dev/nvme0n1", "type": "nvme", "protocol": "NVMe"},
        "model_name": "EXAMPLE NV500",
        "serial_number": "N0000001",
        "user_capacity": {"bytes": 500107862016},
        "smart_status": {"passed": not log.get("critical_warning"), "nvme": {"value": 0}},
        "nvme_smart_health_information_log": {
            "critical_warning": 0,
            "temperature": 41,
            "available_spare": 100,
            "available_spare_threshold": 10,
            "percentage_used": 3,
            "media_errors": 0,
            **log,
        },
        "temperature": {"current": log.get("temperature", 41)},
        "power_on_time": {"hours": 12798},
    }


SCSI = {
    "device": {"name": "/dev/sdb", "type": "scsi", "protocol": "SCSI"},
    "model_name": "EXAMPLE SAS1200",
    "serial_number": "S0000001",
    "user_capacity": {"bytes": 1200243695616},
    "rotation_rate": 10500,
    "smart_status": {"passed": True},
    "temperature": {"current": 31, "drive_trip": 60},
    "scsi_grown_defect_list": 4,
    "power_on_time": {"hours": 5675, "minutes": 39},
    "scsi_error_counter_log": {
        "read": {"total_uncorrected_errors": 2},
        "write": {"total_uncorrected_errors": 0},
    },
}

# As of a virtual disk, smartctl 7.3.
VIRTUAL = {
    "json_format_version": [1, 0],
    "smartctl": {
        "version": [7, 3],
        "messages": [{"string": "/dev/vda: Unable to detect device type", "severity": "error"}],
        "exit_status": 1,
    },
}
