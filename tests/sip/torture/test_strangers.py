"""Torture messages from the internet at a gateway: a stranger learns nothing, and nothing reaches an ICP."""

import pytest

from opx.sip.flow import Flow
from opx.sip.message import Response
from opx.sip.parser import parse
from support.site import ICP, INSIDE, OUTSIDE, Site
from support.torture import MESSAGES

STRANGER = ("203.0.113.99", 5060)


def heard_by_a_stranger(site: Site, data: bytes) -> list[Response]:
    site.signalling.set_agent.receive(data, Flow("UDP", (OUTSIDE, 5060), STRANGER))
    site.wire.deliver()
    told = [carried for carried in site.wire.log if carried.target == STRANGER]
    assert all(isinstance(carried.message, Response) for carried in told)
    return [carried.message for carried in told if isinstance(carried.message, Response)]


@pytest.mark.parametrize("name", MESSAGES)
def test_a_stranger_is_refused_with_one_answer_and_the_icp_hears_nothing(name: str) -> None:
    site = Site()
    before = len(site.wire.log)
    answers = heard_by_a_stranger(site, MESSAGES[name].data)
    asked_for_options = MESSAGES[name].data.startswith(b"OPTIONS")
    assert len(answers) <= 1
    assert all(answer.status >= 400 or asked_for_options for answer in answers)
    assert all(carried.target == STRANGER for carried in site.wire.log[before:])
    for address in (ICP, INSIDE):
        assert address.encode() not in b"".join(answer.encode() for answer in answers)


@pytest.mark.parametrize(("name", "status"), [("regaut01", 401), ("esc01", 407), ("wsinv", 481), ("baddn", 400)])
def test_a_stranger_is_asked_for_credentials_once_the_request_is_lawful(name: str, status: int) -> None:
    assert [answer.status for answer in heard_by_a_stranger(Site(), MESSAGES[name].data)] == [status]


def test_the_answer_can_be_read_by_whoever_reads_sip() -> None:
    for message in MESSAGES.values():
        for answer in heard_by_a_stranger(Site(), message.data):
            assert parse(answer.encode()).encode() == answer.encode()
