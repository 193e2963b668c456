"""Signed commands: the envelope, the city's key ring, who may order what, and the judgement. Nothing here acts.

See docs/formats.md, "Key ring" and "Command"; agent/storage/keep/orders.py carries commands out.
"""
