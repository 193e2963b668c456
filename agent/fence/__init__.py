"""The fence on the cameras' side: no camera begins a connection to the box, and the box forwards nothing to anybody.

`rules` are what the kernel is told; `side` finds out where the cameras are, and puts them into force there.
A box has it with or without a tunnel.
"""
