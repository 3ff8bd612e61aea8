"""A home router that forgets its NAT mappings, as at a restart: `python -m opx.lab.rebinding` within its host."""

import errno
import socket
import struct

NETLINK_NETFILTER = 12
CT_DELETE = (1 << 8) | 2
"""Of the connection tracking subsystem (linux/netfilter/nfnetlink_conntrack.h); without a tuple it means all."""
REQUEST_WITH_ANSWER = 0x1 | 0x4
HEADER = struct.Struct("=IHHII")
FAMILY = struct.Struct("=BBH")
ANSWER_LIMIT = 5.0


def forget_mappings() -> None:
    """Flush this network namespace's connection tracking table. OSError when the kernel refuses."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as link:
        link.settimeout(ANSWER_LIMIT)
        body = FAMILY.pack(socket.AF_UNSPEC, 0, 0)
        link.send(HEADER.pack(HEADER.size + len(body), CT_DELETE, REQUEST_WITH_ANSWER, 1, 0) + body)
        answer = link.recv(4096)
    failure = -struct.unpack_from("=i", answer, HEADER.size)[0]
    if failure:
        raise OSError(failure, f"the kernel did not flush its connections: {errno.errorcode.get(failure, failure)}")


if __name__ == "__main__":
    forget_mappings()
