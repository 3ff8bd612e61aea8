"""sipp as an office phone at the PBX node: it registers, calls, answers, and echoes what it hears."""

from collections.abc import Sequence
from pathlib import Path

from support.programs import OutsideProgram

PORT = 5062
MEDIA_PORT = 16000

REGISTER = """<?xml version="1.0"?>
<scenario name="register">
  <send><![CDATA[
REGISTER sip:[remote_ip] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
Max-Forwards: 70
From: <sip:[service]@[remote_ip]>;tag=[call_number]r
To: <sip:[service]@[remote_ip]>
Call-ID: [call_id]
CSeq: 1 REGISTER
Contact: <sip:[service]@[local_ip]:[local_port]>;expires=300
Content-Length: 0

]]></send>
  <recv response="401" auth="true"/>
  <send><![CDATA[
REGISTER sip:[remote_ip] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
Max-Forwards: 70
From: <sip:[service]@[remote_ip]>;tag=[call_number]r
To: <sip:[service]@[remote_ip]>
Call-ID: [call_id]
CSeq: 2 REGISTER
[authentication username=USER password=PASSWORD]
Contact: <sip:[service]@[local_ip]:[local_port]>;expires=300
Content-Length: 0

]]></send>
  <recv response="200"/>
</scenario>
"""

SDP = """v=0
o=sipp 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000
a=sendrecv
"""

ANSWER = f"""<?xml version="1.0"?>
<scenario name="answer">
  <recv request="INVITE"/>
  <send><![CDATA[
SIP/2.0 180 Ringing
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:[local_ip]:[local_port]>
Content-Length: 0

]]></send>
  <send retrans="500"><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:[local_ip]:[local_port]>
Content-Type: application/sdp
Content-Length: [len]

{SDP}]]></send>
  <recv request="ACK"/>
  <recv request="BYE" timeout="30000"/>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
</scenario>
"""

CALL = f"""<?xml version="1.0"?>
<scenario name="call">
  <send retrans="500"><![CDATA[
INVITE sip:TARGET@[remote_ip] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
Max-Forwards: 70
From: <sip:[service]@[remote_ip]>;tag=[call_number]i
To: <sip:TARGET@[remote_ip]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:[service]@[local_ip]:[local_port]>
Content-Type: application/sdp
Content-Length: [len]

{SDP}]]></send>
  <recv response="100" optional="true"/>
  <recv response="407" auth="true"/>
  <send><![CDATA[
ACK sip:TARGET@[remote_ip] SIP/2.0
[last_Via:]
Max-Forwards: 70
From: <sip:[service]@[remote_ip]>;tag=[call_number]i
[last_To:]
Call-ID: [call_id]
CSeq: 1 ACK
Content-Length: 0

]]></send>
  <send retrans="500"><![CDATA[
INVITE sip:TARGET@[remote_ip] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
Max-Forwards: 70
From: <sip:[service]@[remote_ip]>;tag=[call_number]i
To: <sip:TARGET@[remote_ip]>
Call-ID: [call_id]
CSeq: 2 INVITE
[authentication username=USER password=PASSWORD]
Contact: <sip:[service]@[local_ip]:[local_port]>
Content-Type: application/sdp
Content-Length: [len]

{SDP}]]></send>
  <recv response="100" optional="true"/>
  <recv response="180" optional="true"/>
  <recv response="183" optional="true"/>
  <recv response="200" rrs="true" timeout="30000"/>
  <send><![CDATA[
ACK [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
Max-Forwards: 70
From: <sip:[service]@[remote_ip]>;tag=[call_number]i
[last_To:]
Call-ID: [call_id]
CSeq: 2 ACK
Content-Length: 0

]]></send>
  <pause milliseconds="LENGTH"/>
  <send retrans="500"><![CDATA[
BYE [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
Max-Forwards: 70
From: <sip:[service]@[remote_ip]>;tag=[call_number]i
[last_To:]
Call-ID: [call_id]
CSeq: 3 BYE
Content-Length: 0

]]></send>
  <recv response="200"/>
</scenario>
"""


class Sipp:
    """An extension of the PBX node at `pbx`, played by sipp from `local`. `prefix` runs it in another place."""

    def __init__(
        self, folder: Path, *, local: str, pbx: str, number: str, password: str, prefix: Sequence[str] = ()
    ) -> None:
        self._folder = folder
        self._local = local
        self._pbx = pbx
        self._number = number
        self._password = password
        self._prefix = prefix
        folder.mkdir(parents=True, exist_ok=True)

    def register(self) -> OutsideProgram:
        """Registers and ends; status 0 when that went well."""
        return self._run("register", REGISTER)

    def answer(self) -> OutsideProgram:
        """Waits for one call, answers it and echoes its audio."""
        return self._run("answer", ANSWER)

    def call(self, target: str, milliseconds: int) -> OutsideProgram:
        """Calls `target`, echoes its audio, and hangs up in the end."""
        return self._run("call", CALL.replace("TARGET", target).replace("LENGTH", str(milliseconds)))

    def play(self, name: str, scenario: str) -> OutsideProgram:
        """Goes through a scenario of the test's own; TARGET and the like are filled in already."""
        return self._run(name, scenario)

    def _run(self, name: str, scenario: str, more: Sequence[str] = ()) -> OutsideProgram:
        file = self._folder / f"{name}.xml"
        file.write_text(scenario.replace("USER", self._number).replace("PASSWORD", self._password))
        arguments = [
            *self._prefix,
            *("sipp", f"{self._pbx}:5060", "-sf", str(file), "-s", self._number, "-m", "1", "-nostdin"),
            *("-i", self._local, "-p", str(PORT), "-mi", self._local, "-mp", str(MEDIA_PORT), "-rtp_echo"),
            *("-trace_err", "-error_file", str(self._folder / f"{name}-errors.txt"), "-timeout", "60", *more),
        ]
        return OutsideProgram(arguments, self._folder / f"{name}.txt", cwd=self._folder)
