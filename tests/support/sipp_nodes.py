"""sipp as a node of a PBX: it takes registrations, answers OPTIONS, and takes calls or refuses them."""

from pathlib import Path

from support.programs import OutsideProgram
from support.sipp import SDP


def _answer(status: str, *lines: str, body: str = "", to_tag: bool = True) -> str:
    head = "\n".join(
        (
            f"SIP/2.0 {status}",
            "[last_Via:]",
            "[last_From:]",
            "[last_To:]" + (";tag=[call_number]n" if to_tag else ""),
            "[last_Call-ID:]",
            "[last_CSeq:]",
            *lines,
        )
    )
    kind = "Content-Type: application/sdp\n" if body else ""
    return f"<send><![CDATA[\n{head}\n{kind}Content-Length: [len]\n\n{body}]]></send>"


CHALLENGE = 'WWW-Authenticate: Digest realm="sipp", nonce="{}[call_number]", algorithm=MD5'
"""Of a registrar and callee, for calls, too: sipp checks no Proxy-Authorization."""
CONTACT = "Contact: <sip:[local_ip]:[local_port]>"


def _node(call: str) -> str:
    """Whatever comes first decides what kind of dialog it is."""
    return f"""<?xml version="1.0"?>
<scenario name="node">
  <recv request="OPTIONS" optional="true" next="options"/>
  <recv request="REGISTER" optional="true" next="register"/>
  <recv request="INVITE"/>
  {call}
  <label id="options"/>
  {_answer("200 OK")}
  <nop next="end"/>
  <label id="register"/>
  {_answer("401 Unauthorized", CHALLENGE.format("r"))}
  <recv request="REGISTER"><action>
    <verifyauth assign_to="known" username="USER" password="PASSWORD"/>
  </action></recv>
  <nop next="registered" test="known"/>
  {_answer("403 Forbidden")}
  <nop next="end"/>
  <label id="registered"/>
  {_answer("200 OK", "[last_Contact:]", "Expires: 3600")}
  <label id="end"/>
</scenario>
"""


REFUSES = _node(f"""{_answer("503 Service Unavailable")}
  <recv request="ACK" next="end"/>""")

TAKES = _node(f"""{_answer("401 Unauthorized", CHALLENGE.format("i"))}
  <recv request="ACK"/>
  <recv request="INVITE"><action>
    <verifyauth assign_to="known" username="USER" password="PASSWORD"/>
  </action></recv>
  <nop next="taken" test="known"/>
  {_answer("403 Forbidden")}
  <recv request="ACK" next="end"/>
  <label id="taken"/>
  {_answer("180 Ringing", CONTACT)}
  {_answer("200 OK", CONTACT, body=SDP).replace("<send>", '<send retrans="500">')}
  <recv request="ACK"/>
  <recv request="BYE"/>
  {_answer("200 OK", to_tag=False)}
  <nop next="end"/>""")


def node(folder: Path, address: str, scenario: str, username: str, password: str) -> OutsideProgram:
    """One node at port 5060 of `address`, for as long as it is not stopped. `output` tells what came."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "node.xml"
    file.write_text(scenario.replace("USER", username).replace("PASSWORD", password))
    return OutsideProgram(
        [
            *("sipp", "-sf", str(file), "-i", address, "-p", "5060", "-mi", address, "-mp", "16000", "-nostdin"),
            *("-trace_msg", "-message_file", str(folder / "messages.txt"), "-timeout", "60"),
            *("-trace_err", "-error_file", str(folder / "errors.txt")),
        ],
        folder / "node.txt",
        cwd=folder,
    )


def received(folder: Path, what: str) -> int:
    """How many requests of a method, or responses with a status, a node has seen."""
    file = folder / "messages.txt"
    text = file.read_text(errors="replace") if file.exists() else ""
    return sum(1 for line in text.splitlines() if line.startswith(f"{what} "))
