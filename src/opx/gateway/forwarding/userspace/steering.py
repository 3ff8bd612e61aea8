"""Several workers listen on one port; the kernel gives all of a source to one of them, so that its limit is exact."""

import ctypes
import socket
import struct

SO_ATTACH_REUSEPORT_CBPF = 51
_LOAD_WORD, _MODULO, _RETURN = 0x20, 0x94, 0x16
"""BPF_LD|BPF_W|BPF_ABS, BPF_ALU|BPF_MOD|BPF_K, BPF_RET|BPF_A."""
_SOURCE_ADDRESS = 0xFFF00000 + 12
"""SKF_NET_OFF, and where the source stands in an IPv4 header."""


def steer_by_source(sock: socket.socket, workers: int) -> None:
    """For the whole group of sockets on this one's port. OSError.

    While one of the workers is away the kernel spreads what was its part.
    """
    instructions = struct.pack(
        "=HBBIHBBIHBBI", _LOAD_WORD, 0, 0, _SOURCE_ADDRESS, _MODULO, 0, 0, workers, _RETURN, 0, 0, 0
    )
    code = ctypes.create_string_buffer(instructions)
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, struct.pack("@HP", 3, ctypes.addressof(code)))
