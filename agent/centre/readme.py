"""What the README in a city's folder says: which key must be locked away where. In the language of who founds it."""

from __future__ import annotations

from agent.language import say


def readme(name: str, *, locked: bool) -> str:
    """Return the text.

    locked  root key and authority have a passphrase
    """
    korean = f"""# {name} 관제센터 열쇠 폴더

이 폴더의 개인키를 가진 사람이 영상을 열고 박스에 명령합니다. 설치가 끝나면 아래의 것을 이 컴퓨터에서 옮기십시오.

| 무엇 | 무엇을 할 수 있나 | 어디에 두나 |
| --- | --- | --- |
| `root/root.pem` | 누구의 명령이 통하는지, 누가 영상을 열 수 있는지 정함 | 망에서 떨어진 금고. 사람이 바뀔 때만 꺼냄 |
| `ca/ca.key` | 박스를 새로 등록함 | 망에서 떨어진 금고. 등록할 때만 꺼냄 |
| `escrow/escrow.key` | 모든 영상을 엶 | 다른 건물의 금고에 봉인. `operation.key`를 잃었을 때만 |
| `recordings/operation.key` | 모든 영상을 엶 | 열람용 컴퓨터에만. 망에 연결하지 않음 |
| `keys/*.pem` | 그 사람의 이름으로 명령함 | 그 사람에게 주고 여기서는 지움. 서비스 키만 남김 |
| `broker/`, `client/` | 브로커와 관제 프로그램의 통신 | 그 서버에 둠 (권한 0600) |
| `tunnel/` | 박스들의 터널이 모이는 곳이 됨 | 터널 서버에 둠 (권한 0600) |

- `operation.key`와 `escrow.key`를 **둘 다 잃으면 영상을 열 길이 없습니다.** 분기마다 봉인된 조각 하나로 열어 보십시오.
- `root.pem`을 잃으면 키 목록을 더 고칠 수 없고, 박스마다 다시 등록해야 합니다. 사본을 두 곳에 두십시오.
- `counters.db`, `witness.db`, `boxes/`는 매일 백업하십시오.
- 여기 있는 파일은 어떤 명령도 덮어쓰지 않습니다.
"""
    english = f"""# {name}: keys of the control centre

Whoever has the private keys in this folder opens recordings and commands boxes. After setting up, move these away.

| what | what it can do | where it belongs |
| --- | --- | --- |
| `root/root.pem` | say whose commands count, who opens recordings | a safe, off any network; out when people change |
| `ca/ca.key` | enrol a new box | a safe, off any network; out only to enrol |
| `escrow/escrow.key` | open every recording | sealed, in another building's safe; for when `operation.key` is lost |
| `recordings/operation.key` | open every recording | the viewing computer only, off any network |
| `keys/*.pem` | command in that person's name | handed to that person and removed here; only the service key stays |
| `broker/`, `client/` | let broker and centre talk | on that server (mode 0600) |
| `tunnel/` | be the end of every box's tunnel | on the tunnel's server (mode 0600) |

- With `operation.key` **and** `escrow.key` lost nobody can ever open a recording.
  Try both on a sealed segment each quarter.
- With `root.pem` lost the key ring cannot be changed, and each box must be enrolled anew. Keep two copies.
- Back up `counters.db`, `witness.db` and `boxes/` daily.
- No command ever writes over what is here.
"""
    warning = say(
        "\n**`root.pem`과 `ca.key`에는 암호가 없습니다.** 옮길 때까지는 이 컴퓨터에 들어오는 누구나 쓸 수 있습니다.\n",
        "\n**`root.pem` and `ca.key` have no passphrase.** "
        "Until they are moved, whoever gets into this computer has them.\n",
    )
    return say(korean, english) + ("" if locked else warning)
