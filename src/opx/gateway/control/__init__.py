"""Questions to the running gateway, and orders: a Unix socket between signalling and the gateway's other processes.

`protocol` says what can be asked, `server` listens inside signalling, `live` answers from its memory, `client` asks.
Whoever asks depends on `protocol.Control`, so that a test may stand in for signalling.
"""
