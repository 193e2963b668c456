"""Codes of the page and of passes."""

from __future__ import annotations

from agent.cli.codes.code import code

PAGE = {
    "PAGE_NOT_CONFIGURED": code(
        "installer",
        ("설정에 [page]가 없습니다", "the configuration has no [page]"),
        (
            'agent.toml에 [page] listen = "192.168.77.1"처럼 정비용 포트의 주소를 적으십시오',
            'write [page] listen = "192.168.77.1" into agent.toml, the address of the maintenance port',
        ),
    ),
    "PAGE_CERTIFICATE": code(
        "installer",
        ("페이지의 인증서나 그 키를 읽을 수 없습니다", "the page's certificate or its key cannot be read"),
        (
            "페이지 폴더의 own/cert.pem과 own/key.pem을 함께 지우면 새로 만듭니다. 지문이 바뀝니다",
            "remove both own/cert.pem and own/key.pem in the page's folder: new ones are made; the fingerprint changes",
        ),
    ),
    "PAGE_SESSIONS": code(
        "site",
        (
            "쓴 출입증의 목록을 읽을 수 없어 아무도 들이지 않습니다",
            "the list of used passes cannot be read, so nobody is let in",
        ),
        (
            "남은 출입증을 모두 취소한 다음(`pasu pass revoke`) 페이지 폴더의 own/sessions.json을 지우십시오",
            "revoke all passes (`pasu pass revoke`), then remove own/sessions.json in the page's folder",
        ),
    ),
    "PASS_TEXT": code(
        "types",
        ("이름이나 회사로 쓸 수 없습니다", "this can be no name or company"),
        ("한 줄로, 60자까지 적으십시오", "write one line of at most 60 characters"),
    ),
    "PASS_HOURS": code(
        "types",
        ("출입증의 시간으로 쓸 수 없습니다", "a pass cannot last so long"),
        ("1부터 168(7일)까지의 시간을 적으십시오", "give 1 to 168 hours (seven days)"),
    ),
    "PASS_UNKNOWN": code(
        "types",
        ("이런 출입증이 없습니다", "there is no such pass"),
        ("`pasu pass list`로 id를 확인하십시오", "look the id up with `pasu pass list`"),
    ),
    "PASS_NO_PAGE": code(
        "signs",
        ("이 박스에는 상태 페이지가 없습니다", "this box has no health page"),
        (
            "박스의 agent.toml에 [page]를 적으십시오 (config.propose로도 됩니다)",
            "write [page] into the box's agent.toml (config.propose can)",
        ),
    ),
    "PASS_KNOWN": code(
        "signs",
        ("이 코드의 출입증은 이미 발급되었습니다", "a pass with this code was issued before"),
        (
            "새 코드로 다시 발급하십시오 (`pasu centre pass issue`)",
            "issue it with a new code (`pasu centre pass issue`)",
        ),
    ),
    "PASS_FILE": code(
        "types",
        (
            "QR 코드를 그 파일에 쓸 수 없습니다: .svg나 .png로 끝나지 않거나, 이미 있거나, 쓸 권한이 없습니다",
            "the QR code cannot be written there: the name ends neither in .svg nor .png, is taken, or may not be made",
        ),
        ("아직 없는, .svg나 .png로 끝나는 이름을 적으십시오", "give a new name that ends in .svg or .png"),
    ),
    "PASS_MANY": code(
        "site",
        ("출입증이 너무 많습니다", "there are too many passes"),
        (
            "지난 출입증은 30일 뒤에 없어집니다. 그 전에는 더 발급할 수 없습니다",
            "passes that are over go after 30 days; until then no more can be issued",
        ),
    ),
}
