"""The border gateway: the one program that faces the internet.

Rooms: `signalling` (who may register, and calls), `media` (the relay). `service` wires, starts and stops them. The
other programs meet it on the wire only.
"""
