"""Bodies of notifications: read into models and written anew, whatever was put into them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opx.sip.bodies import xml
from opx.sip.bodies.dialog_info import NAMESPACE, DialogInfo, DialogTable, Participant, WatchedDialog
from opx.sip.bodies.message_summary import MessageCount, MessageSummary
from opx.sip.bodies.pidf import Presence, PresenceTuple
from opx.sip.bodies.xml import Element, XmlError
from opx.sip.replaces import DialogName

RINGING = WatchedDialog(
    "d1",
    "early",
    DialogName("c1", "t1", "t2"),
    "recipient",
    "",
    180,
    12,
    Participant("sip:1002@pbx", "Anna & <Co>", "sip:1002@pbx", "yes"),
    Participant("sip:1001@pbx", '"Bob"'),
)

DOCUMENT = b"""<?xml version="1.0"?>
<!-- a comment -->
<d:dialog-info xmlns:d="urn:ietf:params:xml:ns:dialog-info" xmlns:x="urn:other" version="7" state="partial"
   entity="sip:1002@pbx" x:extra="1">
 <x:dialog id="not ours"><x:state>confirmed</x:state></x:dialog>
 <d:dialog id="d1" call-id="c1" local-tag="t1" remote-tag="t2" direction="recipient">
  <d:state code="180">early</d:state><d:duration>12</d:duration><x:secret>10.0.0.1</x:secret>
  <d:local><d:identity display="Anna &amp; &lt;Co&gt;">sip:1002@pbx</d:identity>
    <d:target uri="sip:1002@pbx"><d:param pname="+sip.rendering" pval="yes"/></d:target></d:local>
  <d:remote><d:identity display='"Bob"'><![CDATA[sip:1001@pbx]]></d:identity></d:remote>
 </d:dialog>
</d:dialog-info>"""


def test_dialog_state_is_read_with_any_prefix_and_nothing_of_other_namespaces() -> None:
    assert DialogInfo.parse(DOCUMENT) == DialogInfo("sip:1002@pbx", 7, False, (RINGING,))


def test_dialog_state_is_written_as_it_is_read() -> None:
    info = DialogInfo("sip:1002@pbx", 3, True, (RINGING, WatchedDialog("d2", "terminated", event="remote-bye")))
    assert DialogInfo.parse(info.encode()) == info
    assert b'xmlns="urn:ietf:params:xml:ns:dialog-info"' in info.encode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not xml",
        "<a>",
        f'<dialog-info xmlns="{NAMESPACE}" state="full"/>',
        f'<dialog-info xmlns="{NAMESPACE}" state="half" version="1"/>',
        '<dialog-info state="full" version="1"/>',
        f'<dialog-info xmlns="{NAMESPACE}" state="full" version="1"><dialog id="1"/></dialog-info>',
        f'<dialog-info xmlns="{NAMESPACE}" state="full" version="1"><dialog><state>odd</state></dialog></dialog-info>',
        f'<presence xmlns="{NAMESPACE}" version="1" state="full"/>',
    ],
)
def test_what_is_no_dialog_state_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        DialogInfo.parse(text.encode())


BOMB = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 9))


@pytest.mark.parametrize(
    ("what", "document"),
    [
        ("entities that grow", f'<!DOCTYPE a [<!ENTITY e0 "x">{BOMB}]><a>&e8;</a>'),
        ("a file of this machine", '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/hostname">]><a>&f;</a>'),
        ("a document type elsewhere", '<!DOCTYPE a SYSTEM "http://192.0.2.1/a.dtd"><a/>'),
        ("an entity that is not known", "<a>&f;</a>"),
        ("too deep", "<a>" * 17 + "</a>" * 17),
        ("too many elements", "<a>" + "<b/>" * 2000 + "</a>"),
        ("too many attributes", "<a " + " ".join(f'a{n}=""' for n in range(33)) + "/>"),
        ("too large", "<a>" + "x" * 33000 + "</a>"),
        ("an encoding that nobody knows", '<?xml version="1.0" encoding="rot13"?><a/>'),
    ],
)
def test_documents_that_would_cost_or_reach_something_are_refused(what: str, document: str) -> None:
    with pytest.raises(XmlError):
        xml.parse(document.encode())


def test_encodings_that_xml_knows_are_read() -> None:
    for encoding in ("utf-8", "utf-16", "iso-8859-1"):
        text = f'<?xml version="1.0" encoding="{encoding}"?><a>Zoë</a>'
        assert xml.parse(text.encode(encoding)).text == "Zoë"


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail_otherwise(data: bytes) -> None:
    for parse in (xml.parse, DialogInfo.parse, Presence.parse, MessageSummary.parse):
        try:
            parse(data)
        except ValueError:
            continue


@given(st.text(), st.text())
def test_any_text_is_written_so_that_it_cannot_become_markup(text: str, attribute: str) -> None:
    root = Element("a", "", {"x": attribute}, ["(", text, ")", Element("b")])
    read = xml.parse(xml.write(root))
    assert [part.name for part in read.content if isinstance(part, Element)] == ["b"]
    assert list(read.attributes) == ["x"]


def test_partial_documents_add_up_to_what_is() -> None:
    table = DialogTable()
    one, two = WatchedDialog("1", "confirmed"), WatchedDialog("2", "early")
    assert table.take(DialogInfo("sip:a@b", 4, True, (one,)))
    assert table.take(DialogInfo("sip:a@b", 5, False, (two,)))
    assert list(table.dialogs) == [one, two]
    over = WatchedDialog("1", "terminated")
    assert table.take(DialogInfo("sip:a@b", 6, False, (over,)))
    assert list(table.dialogs) == [over, two]
    assert table.take(DialogInfo("", 7, False, ()))
    assert list(table.dialogs) == [two]
    assert table.entity == "sip:a@b"
    assert table.take(DialogInfo("sip:a@b", 0, True, ()))
    assert list(table.dialogs) == []


def test_a_document_that_was_missed_is_noticed() -> None:
    table = DialogTable()
    assert not table.take(DialogInfo("sip:a@b", 4, False, ()))
    assert table.take(DialogInfo("sip:a@b", 9, True, ()))
    assert not table.take(DialogInfo("sip:a@b", 11, False, ()))
    assert not table.take(DialogInfo("sip:a@b", 11, False, ()))


def test_a_message_summary_keeps_counts_and_loses_what_is_not_known() -> None:
    body = (
        b"Messages-Waiting: yes\r\nMessage-Account: sip:1001@10.0.0.1\r\nvoice-message: 2/8 (1/2)\r\n"
        b"X-Server: 10.0.0.1\r\nFax-Message:0/1\r\n\r\nTo: <sip:1001@10.0.0.1>\r\n\r\n"
    )
    summary = MessageSummary.parse(body)
    counts = (MessageCount("voice-message", 2, 8, (1, 2)), MessageCount("fax-message", 0, 1))
    assert summary == MessageSummary(True, "sip:1001@10.0.0.1", counts)
    assert summary.encode() == (
        b"Messages-Waiting: yes\r\nMessage-Account: sip:1001@10.0.0.1\r\n"
        b"Voice-Message: 2/8 (1/2)\r\nFax-Message: 0/1\r\n"
    )
    assert MessageSummary.parse(b"Messages-Waiting: no\n") == MessageSummary(False)


@pytest.mark.parametrize("body", [b"", b"Messages-Waiting: maybe", b"Messages-Waiting: yes\r\nVoice-Message: many"])
def test_what_is_no_message_summary_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        MessageSummary.parse(body)


def test_presence_keeps_status_contact_and_notes() -> None:
    body = b"""<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:r="urn:ietf:params:xml:ns:pidf:rpid"
      entity="sip:1002@pbx"><r:person><r:activities><r:away/></r:activities></r:person>
      <tuple id="a"><status><basic>open</basic></status><contact priority="1">sip:1002@pbx</contact>
      <note>Ready</note></tuple><tuple id="b"><status/></tuple><note xml:lang="en">On the phone</note></presence>"""
    presence = Presence.parse(body)
    tuples = (PresenceTuple("a", True, "sip:1002@pbx", ("Ready",)), PresenceTuple("b", None))
    assert presence == Presence("sip:1002@pbx", tuples, ("On the phone",))
    assert Presence.parse(presence.encode()) == presence
