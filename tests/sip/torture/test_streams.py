"""Torture messages over a stream, where what follows one message is the next."""

import pytest

from opx.sip.errors import RemoteProtocolError
from opx.sip.framing import Keepalive, StreamFramer
from opx.sip.message import Request
from support.torture import RFC4475


def framed(name: str) -> StreamFramer:
    framer = StreamFramer()
    framer.feed(RFC4475[name].data)
    return framer


def test_dblreq_is_two_requests() -> None:
    framer = framed("dblreq")
    first, between, second = framer.next(), framer.next(), framer.next()
    assert isinstance(first, Request) and isinstance(second, Request)
    assert (first.method, first.body) == ("REGISTER", b"")
    assert between is Keepalive.PONG
    assert (second.method, len(second.body)) == ("INVITE", 150)


def test_clerr_waits_for_more() -> None:
    framer = framed("clerr")
    assert framer.next() is None
    assert framer.partial


@pytest.mark.parametrize("name", ["ncl", "mcl01"])
def test_a_length_that_cannot_be_told_ends_the_stream(name: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        framed(name).next()
    assert caught.value.status == 400
    assert caught.value.request is not None


def test_inv2543_needs_a_length_here() -> None:
    with pytest.raises(RemoteProtocolError):
        framed("inv2543").next()
