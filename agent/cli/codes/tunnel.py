"""Codes of the tunnel to the centre, on the box and at the centre."""

from __future__ import annotations

from agent.cli.codes.code import code

TUNNEL = {
    "FENCE_NOT_ROOT": code(
        "types",
        ("울타리는 root만 다룹니다", "the fence is root's alone"),
        ("`sudo pasu fence ...`로 하십시오", "do it with `sudo pasu fence ...`"),
    ),
    "CONFIG_TUNNEL_NAME": code(
        "installer",
        ("[tunnel]이 있는데 센터의 주소가 이름입니다", "with [tunnel], the centre's address is a name"),
        (
            "터널 안의 IP 주소로 적으십시오. 이름을 물어보는 일은 터널 밖으로 새거나 남에게 맡기게 됩니다",
            "write an IP address inside the tunnel: asking for a name would leak, or trust somebody else",
        ),
    ),
    "CONFIG_TUNNEL_LINE": code(
        "installer",
        ("[tunnel] line이 터널 자신입니다", "[tunnel] line is the tunnel itself"),
        ("바깥 회선의 인터페이스를 적으십시오", "name the interface of the line outside"),
    ),
    "CONFIG_METRICS_OPEN": code(
        "installer",
        (
            "[tunnel] 없이 [page] metrics가 박스 밖에서 읽힙니다",
            "[page] metrics would be read outside the box without [tunnel]",
        ),
        (
            "[tunnel]을 적고 터널 안의 주소를 쓰거나, metrics를 빼십시오. /metrics에는 출입증이 없습니다",
            "write [tunnel] and use the box's address inside, or leave metrics away: no pass is asked for /metrics",
        ),
    ),
    "CONFIG_MEDIA_OPEN": code(
        "installer",
        (
            "[tunnel]이 없어 실시간 영상이 암호화되지 않은 채 나갑니다",
            "without [tunnel] live pictures leave the box in clear",
        ),
        (
            "[tunnel]을 적거나, 회선의 다른 장비가 암호화하는지 확인하십시오 (강릉시 규정 제30조제3항)",
            "write [tunnel], or make sure that another device of the line encrypts (Gangneung regulation, art. 30(3))",
        ),
    ),
    "TUNNEL_NOT_CONFIGURED": code(
        "installer",
        ("설정에 [tunnel]이 없습니다", "the configuration has no [tunnel]"),
        (
            'agent.toml에 [tunnel] interface = "pasu0"을 적으십시오',
            'write [tunnel] interface = "pasu0" into agent.toml',
        ),
    ),
    "TUNNEL_NOT_ENROLLED": code(
        "installer",
        ("센터가 이 박스에 터널을 주지 않았습니다", "the centre has given this box no tunnel"),
        (
            "agent.toml에 [tunnel]을 적고 `pasu enrol request`로 다시 신청하여, 받은 묶음을 넣으십시오",
            "with [tunnel] in agent.toml make a request with `pasu enrol request`, and take the answer in",
        ),
    ),
    "TUNNEL_GROUP": code(
        "installer",
        ("터널을 쓰는 그룹이 이 박스에 없습니다", "the group of the uplink is not on this box"),
        (
            "`systemd-sysusers`를 하거나 `groupadd --system pasu-uplink`로 만드십시오",
            "run `systemd-sysusers`, or make it with `groupadd --system pasu-uplink`",
        ),
    ),
    "TUNNEL_GROUP_RECORDS": code(
        "installer",
        (
            "[tunnel] group이 녹화가 쓰는 그룹입니다. 규칙이 녹화를 카메라에서 끊게 됩니다",
            "[tunnel] group is a group of recording itself: the rules would cut it off from its cameras",
        ),
        (
            'uplink만의 그룹을 적으십시오. 예: group = "pasu-uplink"',
            'name a group that is the uplink\'s alone, as group = "pasu-uplink"',
        ),
    ),
    "TUNNEL_FOREIGN": code(
        "installer",
        (
            "터널의 이름을 가진 다른 인터페이스가 이 박스에 있습니다",
            "another interface of this box has the tunnel's name",
        ),
        (
            'agent.toml의 [tunnel] interface에 쓰이지 않는 이름을 적으십시오. 예: "pasu0"',
            'write a name that is not in use into [tunnel] interface of agent.toml, as "pasu0"',
        ),
    ),
    "TUNNEL_OVERLAP": code(
        "installer",
        (
            "터널 안의 주소가 카메라 망이나 박스의 다른 망과 겹칩니다",
            "addresses inside the tunnel are those of a camera or of another network of the box",
        ),
        (
            "센터에서 다른 대역으로 터널을 계획하거나 카메라 망의 대역을 바꾸십시오. 겹친 채로는 카메라를 잃습니다",
            "have the centre plan its tunnel elsewhere, or move the cameras' network: cameras would be lost",
        ),
    ),
    "TUNNEL_LINE_CAMERA": code(
        "installer",
        (
            "카메라로 가는 길이 바깥 회선과 같은 인터페이스입니다",
            "a camera is reached by the interface of the line",
        ),
        (
            "카메라를 다른 인터페이스로 옮기거나, agent.toml의 [tunnel] line을 지우십시오",
            "put the cameras on another interface, or take `line` out of [tunnel] in agent.toml",
        ),
    ),
    "TUNNEL_LINE_OTHER": code(
        "installer",
        (
            "터널이 [tunnel] line이 아닌 다른 인터페이스로 나갑니다. 그 인터페이스는 막혀 있지 않습니다",
            "the tunnel leaves by another interface than [tunnel] line, and that one is not barred",
        ),
        (
            "`ip route get`으로 허브에 가는 인터페이스를 보고, agent.toml의 line을 고치십시오",
            "see with `ip route get` which one leads to the hub, and mend `line` in agent.toml",
        ),
    ),
    "TUNNEL_NOT_ROOT": code(
        "types",
        ("터널은 root만 다루고 볼 수 있습니다", "the tunnel is root's alone, to change and to see"),
        (
            "`sudo pasu tunnel ...`로 하십시오. 상태는 `pasu health`에도 있습니다",
            "do it with `sudo pasu tunnel ...`; how it is, `pasu health` says, too",
        ),
    ),
    "TUNNEL_TOOL_MISSING": code(
        "installer",
        ("터널에 필요한 프로그램이 없습니다", "a program that the tunnel needs is missing"),
        (
            "`apt-get install iproute2 nftables wireguard-tools wireguard-go`를 하십시오",
            "run `apt-get install iproute2 nftables wireguard-tools wireguard-go`",
        ),
    ),
    "TUNNEL_COMMAND": code(
        "site",
        ("터널을 다루는 명령이 실패했습니다", "a command about the tunnel failed"),
        (
            "root로 했는지, 리눅스 커널에 TUN 장치와 nftables가 있는지 보십시오",
            "see that root calls it, and that the kernel has TUN devices and nftables",
        ),
    ),
    "TUNNEL_INTERFACE": code(
        "site",
        ("터널의 인터페이스를 다룰 수 없습니다", "the tunnel's interface does not do as it is told"),
        ("`ip link`와 `wg show`를 보십시오", "see `ip link` and `wg show`"),
    ),
    "TUNNEL_SYSCTL": code(
        "site",
        ("커널 설정을 바꿀 수 없습니다", "a setting of the kernel cannot be changed"),
        ("root로 하십시오", "do it as root"),
    ),
    "TUNNEL_KEY_DAMAGED": code(
        "investigator",
        ("터널의 개인키가 없거나 손상되었습니다", "a private key of the tunnel is gone or damaged"),
        (
            "상태 폴더의 tunnel을 옮기고 `pasu enrol request`로 다시 신청하십시오. 녹화는 계속됩니다",
            "move `tunnel` out of the state folder and ask anew with `pasu enrol request`; recording goes on",
        ),
    ),
    "TUNNEL_TERMS_DAMAGED": code(
        "investigator",
        ("터널의 설정 파일을 쓸 수 없습니다", "the tunnel's terms cannot be used"),
        (
            "묶음을 `pasu enrol accept`로 다시 넣거나, `pasu enrol request`로 다시 신청하십시오. 녹화는 계속됩니다",
            "take the bundle in again (`pasu enrol accept`), or ask anew (`pasu enrol request`); recording goes on",
        ),
    ),
    "HUB_EXISTS": code(
        "types",
        ("이 도시에는 터널이 이미 있습니다", "this city has a tunnel already"),
        (
            "`pasu centre tunnel show`로 보십시오. 다르게 계획하려면 --again을 붙이고, 박스마다 다시 등록합니다",
            "see it with `pasu centre tunnel show`; to plan it anew add --again, and enrol each box anew",
        ),
    ),
    "HUB_MISSING": code(
        "types",
        ("이 도시에는 터널이 없습니다", "this city has no tunnel"),
        ("`pasu centre tunnel init`으로 계획하십시오", "plan it with `pasu centre tunnel init`"),
    ),
    "HUB_PLAN": code(
        "types",
        ("터널의 계획에 쓸 수 없는 값이 있습니다", "the plan of the tunnel cannot be"),
        (
            "--endpoint 203.0.113.5:51820 --network 10.77.0.0/16처럼 쓰십시오. 이름은 쓸 수 없습니다",
            "write it like --endpoint 203.0.113.5:51820 --network 10.77.0.0/16; names cannot be used",
        ),
    ),
    "HUB_FULL": code(
        "types",
        ("터널에 빈 주소가 없습니다", "there is no free address in the tunnel"),
        (
            "더 큰 대역으로 새로 계획하십시오: `pasu centre tunnel init --again`",
            "plan it anew in a larger network: `pasu centre tunnel init --again`",
        ),
    ),
}
