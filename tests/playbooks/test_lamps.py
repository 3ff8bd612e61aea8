"""What a phone's lamps show: bodies that are written anew, with nothing of the inside left in them."""

import re

import pytest

from opx.gateway.signalling.relayed_subscription import FULL_STATE_PAUSE
from opx.sip.bodies.dialog_info import Participant
from opx.sip.replaces import DialogName, Replaces
from opx.sip.subscription import Content
from support.site import ICP, INSIDE, OUTSIDE
from support.watching import DIALOG, Watching, ringing


def test_a_lamp_shows_the_dialogs_with_names_of_the_outside() -> None:
    watching = Watching(first=ringing(4))
    watching.subscribe("dialog", "1002")
    info = watching.dialogs()
    assert (info.entity, info.version, info.full) == (f"sip:1002@{OUTSIDE}", 0, True)
    dialog = info.dialogs[0]
    assert (dialog.state, dialog.direction) == ("early", "recipient")
    assert dialog.local == Participant(f"sip:1002@{OUTSIDE}", "Anna", f"sip:1002@{OUTSIDE}")
    assert dialog.remote.display == "Bob"
    assert dialog.name is not None
    real = DialogName(f"call-7@{ICP}", "tag-of-1002", "tag-of-1009")
    assert watching.site.signalling.aliases.real(dialog.name) == real
    watching.notify(ringing(5, "confirmed", full=False))
    later = watching.dialogs()
    assert (later.version, later.full) == (1, True)
    assert later.dialogs[0].state == "confirmed"
    assert (later.dialogs[0].id, later.dialogs[0].name) == (dialog.id, dialog.name)
    watching.notify(ringing(6, "terminated", full=False))
    assert watching.dialogs().dialogs[0].state == "terminated"


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_call_that_a_lamp_shows_is_picked_up_by_its_name(mirrored: bool) -> None:
    watching = Watching(first=ringing(4))
    watching.subscribe("dialog", "1002")
    name = watching.dialogs().dialogs[0].name
    assert name is not None
    if mirrored:
        name = DialogName(name.call_id, name.from_tag, name.to_tag)
    watching.phone.call("1002", headers=(("replaces", str(Replaces(name, early_only=True))),))
    watching.wire.advance(0.1)
    invite = watching.requests("INVITE", to_icp=True)[-1]
    tags = ("tag-of-1009", "tag-of-1002") if mirrored else ("tag-of-1002", "tag-of-1009")
    assert Replaces.parse(invite.need("replaces")) == Replaces(DialogName(f"call-7@{ICP}", *tags), early_only=True)


def test_a_partial_state_that_was_missed_is_asked_for_but_not_in_a_circle() -> None:
    watching = Watching(first=ringing(4))
    watching.subscribe("dialog", "1002")
    before = len(watching.requests("SUBSCRIBE", to_icp=True))
    for _ in range(5):
        watching.notify(ringing(9, "confirmed", full=False))
    watching.wire.advance(1)
    assert len(watching.requests("SUBSCRIBE", to_icp=True)) == before + 1
    watching.wire.advance(FULL_STATE_PAUSE)
    watching.notify(ringing(9, "confirmed", full=False))
    watching.wire.advance(1)
    assert len(watching.requests("SUBSCRIBE", to_icp=True)) == before + 2


HOSTILE = f"""<?xml version="1.0"?>
<!-- written by pbx.office.example at {ICP} -->
<?route {ICP}?>
<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" xmlns:p="http://{ICP}/ns" version="1" state="full"
  entity="sip:1002@{ICP}" p:host="{ICP}" server="{ICP}">
 <p:server>{ICP}</p:server>
 <dialog id="x@{ICP}" call-id="x@{ICP}" local-tag="t@{ICP}" remote-tag="u@pbx.office.example" direction="initiator"
   host="{ICP}">
  <state event="{ICP}">confirmed</state>
  <replaces call-id="r@{ICP}" local-tag="1" remote-tag="2"/><referred-by>sip:9@{ICP}</referred-by>
  <route-set><hop>sip:{ICP};lr</hop></route-set>
  <local><identity display="1002@{ICP}"><![CDATA[sip:1002@{ICP}]]></identity>
   <target uri="sip:1002@{ICP}:5060;maddr={ICP}?Route={ICP}"><param pname="host" pval="{ICP}"/>
   <param pname="+sip.rendering" pval="{ICP}"/></target><session-description type="application/sdp">c=IN IP4 {ICP}
   </session-description></local>
  <remote><identity display="at &#49;0.9.8.20">tel:1002;phone-context=pbx.office.example</identity>
   <target uri="sip:{ICP}@{ICP}"/></remote>
 </dialog>
 <dialog id="y"><state>early</state><remote><identity display="PBX.office.example">sip:pbx.office.example@x</identity>
   <target uri="http://{ICP}/"/></remote></dialog>
</dialog-info>"""

PRESENCE = f"""<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:p="urn:p" entity="sip:1002@{ICP}">
 <p:person id="{ICP}"><p:note>{ICP}</p:note></p:person>
 <tuple id="h{ICP}"><status><basic>open</basic><p:x>{ICP}</p:x></status><contact>sip:1002@{ICP}</contact>
 <note>Ready</note><note>see http://{ICP}/</note></tuple></presence>"""

SUMMARY = (
    f"Messages-Waiting: yes\r\nMessage-Account: sip:1001@{ICP}\r\nVoice-Message: 1/0\r\nX-Host: {ICP}\r\n\r\n"
    f"To: <sip:1001@{ICP}>\r\nSubject: {ICP}\r\n"
)


@pytest.mark.parametrize(
    ("package", "content"),
    [
        ("dialog", Content(DIALOG, HOSTILE.encode())),
        ("dialog", Content(f"{DIALOG};host={ICP}", HOSTILE.encode("utf-16"))),
        ("presence", Content("application/pidf+xml", PRESENCE.encode())),
        ("message-summary", Content("application/simple-message-summary", SUMMARY.encode())),
    ],
)
def test_nothing_of_the_inside_reaches_the_set_whatever_the_icp_writes(package: str, content: Content) -> None:
    watching = Watching(first=content, icp_host="pbx.office.example")
    subscriber = watching.subscribe(package, "1002")
    watching.notify(content)
    subscriber.unsubscribe()
    watching.wire.advance(1)
    assert len(watching.contents) == 2
    assert all(c.body for c in watching.contents)
    sent = watching.site.set_side_bytes()
    for part in (sent, sent.replace(b"\x00", b"")):
        for secret in (ICP, INSIDE, "10.9.8", "pbx.office", "PBX.office", "icp-1", "tag-of"):
            assert secret.encode() not in part, secret
        # As a word of its own: the tags and nonces of a flow are random digits, and hold any four now and then.
        assert not re.search(rb"\b1001\b", part)


def test_a_text_that_names_no_place_passes_and_one_that_does_is_left_out() -> None:
    watching = Watching(first=Content(DIALOG, HOSTILE.encode()), icp_host="pbx.office.example")
    watching.subscribe("dialog", "1002")
    remotes = {dialog.state: dialog.remote for dialog in watching.dialogs().dialogs}
    assert remotes["early"] == Participant(f"sip:{OUTSIDE}")
    assert remotes["confirmed"] == Participant("tel:1002", target=f"sip:{OUTSIDE}")


@pytest.mark.parametrize(
    "content",
    [
        Content("text/html", b"<a href='http://10.9.8.20'>"),
        Content(DIALOG, b"<dialog-info/>"),
        Content(DIALOG, b'<!DOCTYPE a [<!ENTITY b "c">]><a/>'),
        Content("", b"x"),
    ],
)
def test_a_body_that_cannot_be_written_anew_is_dropped_and_the_timeline_says_why(content: Content) -> None:
    watching = Watching(first=ringing(1))
    watching.subscribe("dialog", "1002")
    watching.notify(content)
    assert len(watching.contents) == 1
    assert [t for t in watching.site.texts() if t.startswith("subscription to dialog of 1002: a body of the ICP was")]
    watching.notify(ringing(2, "confirmed"))
    assert watching.dialogs().dialogs[0].state == "confirmed"
