"""Tells phones by SIP NOTIFY that there is something new for them: through the gateway, or their node in the LAN.

`queue` says who is told when, `ways` carries it, `desk` finds out who has to be told, and what came of it. Runs in the
handsets process.
"""
