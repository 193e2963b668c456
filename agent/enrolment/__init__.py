"""Enrolment: how a box and a city come to know each other's public keys. No secret ever travels.

form    what is exchanged: the box's request, the city's bundle (pure)
qr      a request as a QR code, to be photographed off a screen
base45  the letters it is written in (pure)
box     the box's side, on its disk
"""
