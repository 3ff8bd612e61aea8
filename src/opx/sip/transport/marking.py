"""DSCP on sockets (RFC 2474): how a network is asked to treat their packets."""

import socket


def mark(sock: socket.socket, dscp: int) -> None:
    """Have all that leaves by `sock` carry `dscp`, 0 to 63."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
