"""Codes of reports."""

from __future__ import annotations

from agent.cli.codes.code import code

REPORT = {
    "REPORT_FILE": code(
        "types",
        ("보고서를 쓸 수 없습니다", "the report cannot be written there"),
        (
            "없는 이름을 주거나, --out 없이 `> 파일`로 받으십시오. 있는 파일은 덮어쓰지 않습니다",
            "name a file that is not there yet, or leave --out away and use `> FILE`; no file is overwritten",
        ),
    ),
    "REPORT_DOCTOR": code(
        "installer",
        (
            "이 박스에서 한 `pasu doctor --json`의 결과가 아닙니다",
            "this is not what `pasu doctor --json` writes on this box",
        ),
        (
            "`pasu doctor --json > doctor.json`을 하고 그 파일을 주십시오",
            "do `pasu doctor --json > doctor.json`, and name that file",
        ),
    ),
}
