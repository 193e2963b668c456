"""The tunnel to the centre: WireGuard, and the guard that lets nothing of the uplink leave by any other way.

terms    what the centre's bundle says of the tunnel, and what is refused in it (pure)
conf     the interface's configuration, box and hub (pure)
ruleset  the guard's nftables rules, and whether a listing is what they should be (pure)
dump     what `wg show IF dump` says, and what is wrong with it (pure)
units    what systemd and sysctl are to be told (pure)
keys     the box's key pairs, on its disk
guard    is the guard in force now?
link     making and removing the interface
bind     sockets that leave by one interface only
watch    the life of `pasu tunnel watch`
"""
