"""The gateway's web face: console and web services API over HTTPS, in a process of its own.

`service` wires it, `process` is the process's entry; the gateway's main process keeps it (`opx.kept`).
"""
