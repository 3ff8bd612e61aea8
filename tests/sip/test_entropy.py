"""Random bytes in bulk."""

import os

from opx.sip.entropy import BULK, Entropy, random_bytes, random_hex


def test_no_byte_is_given_twice_and_none_is_missing() -> None:
    entropy = Entropy()
    taken = [entropy.take(7) for _ in range(3 * BULK // 7)]
    assert {len(piece) for piece in taken} == {7}
    assert len(set(taken)) == len(taken)


def test_names_are_in_hex() -> None:
    name = random_hex(6)
    assert len(name) == 12 and int(name, 16) >= 0


def test_a_child_process_gives_other_bytes() -> None:
    random_bytes(1)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, random_bytes(16))
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 16) != random_bytes(16)
    os.close(read)
    os.close(write)
