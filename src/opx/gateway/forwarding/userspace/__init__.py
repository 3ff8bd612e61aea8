"""The forwarding driver that needs no rights: sockets, in worker processes of its own.

`driver` is the gateway's end. A `worker` is one thread around `loop`: it carries TCP connections (`tcp`) and UDP flows
(`udp`) by the routes that `engine` was given. Bulk stays in the kernel: a direction that has moved much goes through a
pipe by splice(2).
"""
