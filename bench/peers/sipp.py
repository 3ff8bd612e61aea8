"""sipp as the load: scenarios of the SIP bench, and what it says of a run."""

from dataclasses import dataclass
from pathlib import Path

PASSWORD = "Bench-Password-1"

REGISTER = """<?xml version="1.0"?>
<scenario name="register">
  <send retrans="500"><![CDATA[
REGISTER sip:[remote_ip] SIP/2.0
Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch];rport
Max-Forwards: 70
From: <sip:[field0]@[remote_ip]>;tag=[call_number]
To: <sip:[field0]@[remote_ip]>
Call-ID: [call_id]
CSeq: 1 REGISTER
Contact: <sip:[field0]@[local_ip]:[local_port]>
Expires: 300
User-Agent: bench
Content-Length: 0

]]></send>
  <recv response="401" auth="true"/>
  <send retrans="500"><![CDATA[
REGISTER sip:[remote_ip] SIP/2.0
Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch];rport
Max-Forwards: 70
From: <sip:[field0]@[remote_ip]>;tag=[call_number]
To: <sip:[field0]@[remote_ip]>
Call-ID: [call_id]
CSeq: 2 REGISTER
[field1]
Contact: <sip:[field0]@[local_ip]:[local_port]>
Expires: 300
User-Agent: bench
Content-Length: 0

]]></send>
  <recv response="200"/>
</scenario>
"""

REGISTRAR = """<?xml version="1.0"?>
<scenario name="take every registration">
  <recv request="REGISTER"/>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
[last_Contact:]
Expires: 3600
Content-Length: 0

]]></send>
</scenario>
"""


@dataclass(frozen=True, slots=True)
class SippResult:
    """What sipp counted over a run."""

    succeeded: int
    failed: int
    retransmissions: int


def read_statistics(path: Path) -> SippResult:
    """The last line of a `-trace_stat` file."""
    header, *lines = path.read_text().strip().splitlines()
    values = dict(zip(header.split(";"), lines[-1].split(";"), strict=False))
    return SippResult(int(values["SuccessfulCall(C)"]), int(values["FailedCall(C)"]), int(values["Retransmissions(C)"]))


def write_users(path: Path, usernames: list[str]) -> None:
    """sipp's CSV, walked through in order."""
    lines = (f"{name};[authentication username={name} password={PASSWORD}];\n" for name in usernames)
    path.write_text("SEQUENTIAL\n" + "".join(lines))
