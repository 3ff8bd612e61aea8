"""Signalling: the registrar of the set side, the registrations at the ICPs, and calls between the two.

Everything here works in memory and without waiting; `service` one floor up brings it the sockets, the database's
content and the relay.
"""
