"""What a description may ask for: audio is carried, fax by T.38, video and encrypted streams are not."""

import pytest

from opx import sdp
from opx.sip import events
from support.site import Phone, Site, description

FAX = b"v=0\r\no=- 1 2 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=image 6010 udptl t38\r\n"
ENCRYPTED = FAX.replace(b"image 6010 udptl t38", b"audio 6010 RTP/SAVP 0")
VIDEO = b"m=video 6020 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"


def established() -> tuple[Site, Phone]:
    site = Site()
    phone = site.phone(1)
    phone.register()
    phone.call("1002")
    site.icp.sessions[0].accept(description("10.9.8.101", 6100))
    site.wire.deliver()
    return site, phone


@pytest.mark.parametrize("offer", [FAX, ENCRYPTED])
def test_a_call_with_nothing_that_is_carried_gets_488_and_the_icp_hears_nothing(offer: bytes) -> None:
    site = Site()
    phone = site.phone(1)
    phone.register()
    phone.call("1002", offer)
    assert phone.events[-1] == events.Refused(488)
    assert site.icp.sessions == []
    assert any("no stream of it is carried" in text for text in site.texts())


@pytest.mark.parametrize("side", ["set", "icp"])
def test_a_change_to_fax_gets_488_at_once_and_the_call_goes_on(side: str) -> None:
    site, phone = established()
    ours, theirs = (phone, site.icp) if side == "set" else (site.icp, phone)
    orders, heard = list(site.desk.orders), list(theirs.events)
    ours.sessions[0].offer(FAX)
    site.wire.deliver()
    assert ours.events[-1] == events.OfferRefused(488)
    assert (site.desk.orders, theirs.events) == (orders, heard)
    ours.sessions[0].offer(description("192.168.1.7", 40000, sdp.Direction.SENDONLY, 2))
    site.wire.deliver()
    assert isinstance(theirs.events[-1], events.Offered)


def test_video_is_refused_and_audio_goes_on() -> None:
    site = Site()
    phone = site.phone(1)
    phone.register()
    phone.call("1002", description("192.168.1.7", 40000) + VIDEO)
    session = site.icp.sessions[0]
    audio, video = sdp.parse(session.offers.remote).media
    assert (audio.kind, video.kind, video.port) == ("audio", "video", 0)
    assert audio.port
    answer = b"m=video 0 RTP/AVP 96\r\n"
    session.accept(description("10.9.8.101", 6100) + answer)
    site.wire.deliver()
    kinds = [(media.kind, bool(media.port)) for media in sdp.parse(phone.sessions[0].offers.remote).media]
    assert kinds == [("audio", True), ("video", False)]
