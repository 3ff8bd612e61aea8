"""Replaces and Refer-To."""

import pytest

from opx.sip.errors import RemoteProtocolError
from opx.sip.replaces import DialogName, ReferTo, Replaces

DIALOG = DialogName("12345@192.168.118.3", "12345", "5FFE-3994")


def test_replaces_is_read_and_written() -> None:
    replaces = Replaces.parse("12345@192.168.118.3;to-tag=12345;from-tag=5FFE-3994;early-only")
    assert replaces == Replaces(DIALOG, early_only=True)
    assert Replaces.parse(str(replaces)) == replaces


@pytest.mark.parametrize(
    "text", ["", "a b;to-tag=1;from-tag=2", "x;to-tag=1", "x;from-tag=1", f"{'x' * 1100};to-tag=1"]
)
def test_a_malformed_replaces_is_an_error(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Replaces.parse(text)


def test_refer_to_carries_the_replaces_escaped() -> None:
    text = "<sip:bob@biloxi.example.net?Replaces=12345%40192.168.118.3%3Bto-tag%3D12345%3Bfrom-tag%3D5FFE-3994>"
    refer_to = ReferTo.parse(text)
    assert refer_to.number == "bob"
    assert refer_to.replaces == Replaces(DIALOG)
    assert str(refer_to.uri) == "sip:bob@biloxi.example.net"
    assert ReferTo.parse(str(refer_to)) == refer_to


def test_refer_to_without_replaces() -> None:
    assert ReferTo.parse("sip:1002@pbx") == ReferTo(ReferTo.parse("<sip:1002@pbx>").uri)
    assert ReferTo.parse("<tel:+4912345;phone-context=x>").number == "+4912345"


@pytest.mark.parametrize("text", ["<mailto:a@b>", "<sip:1002@pbx;method=BYE>", "<sip:1002@pbx?Replaces=x>", "nobody"])
def test_refer_to_that_asks_for_no_call_is_an_error(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        ReferTo.parse(text)
