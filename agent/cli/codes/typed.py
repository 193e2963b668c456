"""Codes about what people wrote: the configuration and the command line."""

from __future__ import annotations

from agent.cli.codes.code import code

TYPED = {
    # installer
    "CONFIG_INVALID": code(
        "installer",
        ("설정을 쓸 수 없습니다", "the configuration cannot be used"),
        (
            "`pasu config check 파일`로 문제를 모두 보고 고치십시오",
            "see every problem with `pasu config check FILE`, and mend them",
        ),
    ),
    "CONFIG_MISSING": code(
        "installer",
        ("설정 파일이 없습니다", "the configuration file is not there"),
        (
            "새 박스라면 `sudo pasu init`. 아니면 경로를 확인하거나 --config로 지정하십시오",
            "on a new box `sudo pasu init`; else check the path, or name another with --config",
        ),
    ),
    "CONFIG_UNREADABLE": code(
        "installer",
        ("설정 파일을 읽을 수 없습니다", "the configuration file cannot be read"),
        (
            "root로 실행하십시오(`sudo`). 그래도 그러면 소유자와 권한, 크기(1 MiB까지)를 확인하십시오",
            "run it as root (`sudo`); if it stays so, check its owner, mode and size (at most 1 MiB)",
        ),
    ),
    "CONFIG_SYNTAX": code(
        "installer",
        ("TOML 형식이 아닙니다", "the file is not TOML"),
        (
            "알려 준 줄의 따옴표와 괄호를 확인하고 UTF-8로 저장하십시오",
            "look at quotes and brackets in the line named, and save the file as UTF-8",
        ),
    ),
    "CONFIG_TABLE": code(
        "installer",
        ("표의 모양이 다릅니다", "a table has the wrong shape"),
        (
            "카메라는 [[camera]], 다른 표는 [이름]으로 씁니다",
            "write [[camera]] for cameras, [name] for the others",
        ),
    ),
    "CONFIG_TABLE_MISSING": code(
        "installer",
        ("필요한 표가 없습니다", "a required table is missing"),
        ("보인 예를 넣고 값을 고치십시오", "put in the example that is shown, and change its values"),
    ),
    "CONFIG_KEY_UNKNOWN": code(
        "installer",
        ("모르는 이름입니다", "no such key"),
        ("철자와 놓인 표를 확인하십시오", "check its spelling, and the table it stands in"),
    ),
    "CONFIG_KEY_MISSING": code(
        "installer",
        ("값이 빠졌습니다", "a required key is missing"),
        ("보인 예처럼 적으십시오", "write it as in the example that is shown"),
    ),
    "CONFIG_VALUE": code(
        "installer",
        ("쓸 수 없는 값입니다", "the value is not allowed"),
        ("쓸 수 있는 값을 보고 고치십시오", "choose one that is allowed"),
    ),
    "CONFIG_DUPLICATE": code(
        "installer",
        ("같은 이름이 두 번 나옵니다", "the name is used twice"),
        ("카메라마다 다른 id를 주십시오", "give each camera an id of its own"),
    ),
    "CONFIG_PURPOSE": code(
        "installer",
        ("운영 규정 제6조에 없는 설치 목적입니다", "article 6 of the regulation names no such purpose"),
        (
            "제6조의 목적 가운데 고르십시오. 맞는 것이 없으면 설치 전에 전담부서와 협의하십시오",
            "choose one of its purposes; when none fits, consult the department before installing",
        ),
    ),
    "CONFIG_RETENTION": code(
        "installer",
        ("허용된 보관 기간을 넘습니다", "longer than recordings may be kept"),
        (
            "30일 이하로, 카메라는 박스의 값 이하로 줄이십시오 (운영 규정 제31조제1항)",
            "at most 30 days, and for a camera at most the box's value (regulation art. 31(1))",
        ),
    ),
    "CONFIG_RECIPIENT": code(
        "installer",
        ("공개키가 올바르지 않습니다", "a public key is not right"),
        (
            "관제센터에서 받은 age1… 키를 다시 복사해 붙이십시오",
            "copy the age1... key from the centre again, and paste it",
        ),
    ),
    "CONFIG_PRIVATE_KEY": code(
        "installer",
        ("설정에 개인키가 들어 있습니다", "there is a private key in the configuration"),
        (
            "지우고, 그 키는 드러난 것으로 보고 관제센터에서 새 키를 만드십시오",
            "remove it, count that key as disclosed, and have the centre make a new pair",
        ),
    ),
    "CONFIG_PASSWORD_IN_URL": code(
        "installer",
        ("주소에 계정이나 비밀번호가 있습니다", "there is a user or password in an address"),
        (
            "주소에서 빼고 `pasu secrets set 카메라`로 적으십시오",
            "take it out of the address, and give it by `pasu secrets set CAMERA`",
        ),
    ),
    "CONFIG_PASSWORD_HERE": code(
        "installer",
        ("계정과 비밀번호는 이 파일에 두지 않습니다", "users and passwords do not belong in this file"),
        (
            "지우고 `pasu secrets set 카메라`로 적으십시오",
            "remove them, and give them by `pasu secrets set CAMERA`",
        ),
    ),
    "CONFIG_LINK": code(
        "installer",
        (
            "agent.toml이나 secrets.toml이 root가 만들지 않았거나 다른 사용자가 바꿀 수 있는 곳을 가리키는 링크입니다",
            "agent.toml or secrets.toml is a link that is not root's, or that leads where others may change the way",
        ),
        (
            "`ls -l /etc/pasu`로 가리키는 곳을 확인하고, 링크 대신 파일 자체를 두십시오",
            "see by `ls -l /etc/pasu` where it leads, and put the file itself there in its stead",
        ),
    ),
    "CONFIG_SECRETS_MODE": code(
        "installer",
        ("다른 사람이 비밀번호 파일을 읽을 수 있습니다", "others may read the file with the passwords"),
        (
            "`chmod 600 secrets.toml`을 하고, 읽혔을 수 있는 비밀번호를 바꾸십시오",
            "`chmod 600 secrets.toml`, and change passwords that may have been read",
        ),
    ),
    "CONFIG_SECRETS_SHUT": code(
        "installer",
        (
            "봉인된 비밀번호가 이 기계에서 열리지 않습니다",
            "the log-ins are sealed, and this machine does not open them",
        ),
        (
            (
                "먼저 `systemctl start pasu-log-ins`(TPM이 늦었을 수 있음). 메인보드를 바꾸었거나 TPM을 지웠으면 "
                "카메라마다 `pasu secrets set --anew 카메라`로 다시 적으십시오. "
                "전의 것은 secrets.sealed.shut으로 남습니다. "
                "그 보드가 돌아오면 root로 /etc/pasu에서 "
                "`mv secrets.sealed secrets.sealed.since; mv secrets.sealed.shut secrets.sealed`"
            ),
            (
                "first `systemctl start pasu-log-ins` (a TPM may have been late). With another mainboard, or a cleared "
                "TPM, give each log-in again: `pasu secrets set --anew CAMERA`. What was stays as secrets.sealed.shut. "
                "When that board comes back, as root in /etc/pasu: "
                "`mv secrets.sealed secrets.sealed.since; mv secrets.sealed.shut secrets.sealed`"
            ),
        ),
    ),
    "MACHINE_SEAL": code(
        "installer",
        ("이 기계에 봉인할 수 없습니다", "nothing can be sealed to this machine"),
        (
            "까닭을 보고 고치십시오. 그때까지 비밀번호는 secrets.toml(0600)에 둘 수 있습니다",
            "look at the reason and mend it; until then passwords may stay in secrets.toml (0600)",
        ),
    ),
    "MACHINE_OPEN": code(
        "installer",
        ("이 기계에서 열리지 않습니다", "this machine does not open it"),
        (
            "봉인한 기계와 그 TPM에서만 열립니다. 되돌릴 수 없으면 다시 적으십시오",
            "the machine that sealed it opens it, with its TPM; where that is gone, write it anew",
        ),
    ),
    "SECRETS_NONE": code(
        "types",
        ("봉인할 비밀번호가 없습니다", "there are no log-ins to seal"),
        ("계정을 적으십시오: `pasu secrets set 카메라`", "give a log-in: `pasu secrets set CAMERA`"),
    ),
    "SECRETS_WHOSE": code(
        "types",
        ("누구의 계정인지 알 수 없습니다", "it is not said whose log-in it is"),
        ("카메라 이름이나 `--broker 주소` 가운데 하나를 적으십시오", "name a camera, or `--broker ADDRESS`"),
    ),
    "SECRETS_USER": code(
        "types",
        ("계정이 빠졌습니다", "the user is missing"),
        ("`--user 이름`을 더하십시오", "add `--user NAME`"),
    ),
    "SECRETS_PASSWORD": code(
        "types",
        ("비밀번호가 오지 않았습니다", "no password came"),
        (
            "표준 입력에 비밀번호 한 줄을 주십시오. 아무것도 바꾸지 않았습니다",
            "give a line with the password on the standard input; nothing was changed",
        ),
    ),
    "CONFIG_FOLDERS": code(
        "installer",
        ("영상 폴더와 상태 폴더 가운데 하나가 다른 것 안에 있습니다", "vault and state lie in each other"),
        (
            "서로 다른 곳에 두십시오. 영상 디스크가 빠져도 목록은 남아야 합니다",
            "put them apart: when the disk of the vault is gone, the catalogue must still be there",
        ),
    ),
    "CONFIG_WITHOUT_EFFECT": code(
        "installer",
        ("주의: 이 카메라에는 효과가 없는 값입니다", "warning: the key has no effect on this camera"),
        ("지우거나 주소를 확인하십시오", "remove it, or check the address"),
    ),
    "CONFIG_ONE_RECIPIENT": code(
        "installer",
        ("주의: 여는 키가 하나뿐입니다", "warning: one key alone opens the recordings"),
        (
            "따로 보관하는 두 번째 키를 만들어 더하십시오",
            "have a second pair made, kept elsewhere, and add its public key",
        ),
    ),
    "CONFIG_SAME_URL": code(
        "installer",
        ("주의: 두 카메라의 주소가 같습니다", "warning: two cameras have one address"),
        ("주소를 확인하십시오", "check the addresses"),
    ),
    "CONFIG_SECRETS_UNUSED": code(
        "installer",
        (
            "주의: 설정에 없는 카메라의 비밀번호입니다",
            "warning: a password for a camera that is not configured",
        ),
        ("카메라 id의 철자를 확인하거나 지우십시오", "check the spelling of the camera's id, or remove it"),
    ),
    # types
    "TIME_UNREADABLE": code(
        "types",
        ("시각으로 읽을 수 없습니다", "not a point in time"),
        (
            '"2026-11-21T10:00", "10:00", "-10m", "now"처럼 쓰십시오',
            'write "2026-11-21T10:00", "10:00", "-10m" or "now"',
        ),
    ),
    "LENGTH_UNREADABLE": code(
        "types",
        ("길이로 읽을 수 없습니다", "not a length of time"),
        ('"90s", "30m", "2h", "1d"처럼 쓰십시오', 'write "90s", "30m", "2h" or "1d"'),
    ),
    "CHECK_RUNNING": code(
        "types",
        ("이미 검사하고 있습니다", "a check is running already"),
        (
            "그 검사를 기다리거나 멈추십시오",
            "wait for it, or stop it with Ctrl-C; the next one goes on there",
        ),
    ),
    "SPAN_EMPTY": code(
        "types",
        ("구간이 비어 있거나 거꾸로입니다", "the span is empty or turned round"),
        ("--from을 --to보다 앞으로 하십시오", "let --from be before --to"),
    ),
    "SPAN_MISSING": code(
        "types",
        ("구간이 필요합니다", "a span is needed"),
        ("--from과 --to를 주십시오", "give --from and --to"),
    ),
    "CAMERA_UNKNOWN": code(
        "types",
        ("이런 카메라가 없습니다", "no such camera"),
        ("보인 id 가운데 고르십시오", "choose one of the ids that are shown"),
    ),
    "CAMERA_ONE": code(
        "types",
        ("한 번에 카메라 하나만 됩니다", "one camera at a time"),
        ("카메라마다 따로 실행하십시오", "run the command once for each camera"),
    ),
    "NOTHING_STORED": code(
        "types",
        ("이 구간에 저장된 것이 없습니다", "nothing is stored in this span"),
        (
            "`pasu segments`로 언제 저장되었는지 보십시오",
            "`pasu segments` shows when there is something, and why not",
        ),
    ),
    "NUMBER_OUT_OF_RANGE": code(
        "types",
        ("쓸 수 없는 수입니다", "the number is out of range"),
        ("보인 범위에서 고르십시오", "choose one inside the range that is shown"),
    ),
    "OUTPUT_EXISTS": code(
        "types",
        ("이미 있는 파일은 덮어쓰지 않습니다", "a file that is there is not written over"),
        ("-o로 다른 이름을 주십시오", "name another with -o"),
    ),
    "FILE_UNREADABLE": code(
        "types",
        ("파일을 읽을 수 없습니다", "the file cannot be read"),
        ("이름과 권한을 확인하십시오", "check its name and mode"),
    ),
    "VAULT_UNREADABLE": code(
        "types",
        ("저장소를 읽을 수 없습니다", "the vault cannot be read"),
        ("--vault와 읽을 권한을 확인하십시오", "check --vault, and that you may read it"),
    ),
}
