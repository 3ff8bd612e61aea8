"""Calls through a gateway whose messages are spoilt on their way, on either side and at any time."""

import contextlib
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from opx.sip.errors import LocalProtocolError
from opx.sip.flow import Address
from support.site import ICP, INSIDE, Site, description

SPOILT = (
    b"",
    b"\x00",
    b"\xff",
    b'"',
    b"<",
    b">",
    b";",
    b",",
    b" ",
    b"%00",
    b"\r\n",
    b"1" * 30,
    b";tag=",
    b"\r\nRecord-Route: <sip:%00;lr>\r\n",
    b"\r\nContact: <sip:%00@x>\r\n",
    b"\r\nContact: *\r\n",
    b"\r\nRequire: 100rel\r\nRSeq: 1\r\n",
    b"\r\nSession-Expires: 1;refresher=x\r\n",
    b"\r\nContent-Type: multipart/mixed;boundary=x\r\n",
)

Spoiling = dict[int, tuple[float, int, bytes]]
"""By a datagram's number: where in it, how many bytes are taken, and what comes in their place."""

SPOILINGS = st.dictionaries(
    st.integers(0, 40),
    st.tuples(st.floats(0, 1), st.sampled_from((0, 1, 3, 40)), st.sampled_from(SPOILT)),
    min_size=1,
    max_size=12,
)


class Spoiler:
    """Alters the datagrams of a wire by their numbers."""

    def __init__(self, spoiling: Spoiling) -> None:
        self._spoiling = spoiling
        self._number = -1

    def __call__(self, source: Address, target: Address, data: bytes) -> bytes:
        self._number += 1
        if self._number not in self._spoiling:
            return data
        place, taken, put = self._spoiling[self._number]
        start = int(place * len(data))
        return data[:start] + put + data[start + taken :]


def play(site: Site, spoiling: Spoiling, steps: Sequence[str]) -> None:
    """A registered phone and its office, with what they do from then on spoilt."""
    phone = site.phone(1)
    phone.register()
    site.wire.rewrite = Spoiler(spoiling)
    for step in steps:
        sessions = [*phone.sessions, *site.icp.sessions]
        with contextlib.suppress(LocalProtocolError, IndexError, KeyError):
            match step:
                case "phone calls":
                    phone.call("1002")
                case "office calls":
                    site.icp.call("1001")
                case "answer":
                    sessions[-1].accept(description("10.9.8.101", 6100))
                case "offer":
                    sessions[0].offer(description("192.168.1.7", 40002))
                case "hang up":
                    sessions[-1].hang_up()
        site.wire.advance(0.6, step=0.3)
    site.wire.advance(40, step=4)


@settings(max_examples=60)
@given(
    SPOILINGS,
    st.lists(st.sampled_from(("phone calls", "office calls", "answer", "offer", "hang up")), min_size=2, max_size=6),
)
def test_nothing_is_raised_and_nothing_of_the_inside_shown(spoiling: Spoiling, steps: list[str]) -> None:
    site = Site()
    play(site, spoiling, steps)
    shown = site.set_side_bytes()
    assert ICP.encode() not in shown
    assert INSIDE.encode() not in shown
