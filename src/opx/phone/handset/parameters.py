"""The parameters that a handset knows, by the names that provisioners write, and which values they take."""

from __future__ import annotations

import re

_PLAIN = """
download protocol | tftp server | tftp path | alternate tftp server | http server | http path | http port
https server | https path | https port | ftp server | ftp path | ftp username | ftp password | https client method
https redirect http get | https block http post xml | https validate certificates | https validate hostname
https validate expires | https user certificates | http digest username | http digest password
http digest force login | firmware server | upgrade uri | inactive minet present | contact rcs | auto resync mode
auto resync time | auto resync max delay | auto resync days | admin password | user password | admin password hash
user password hash | log server ip | log server port | upload system info server | upload system info manual option
upload system info on crash | crash file retrieval | tagging enabled | vlan id | priority map
qos eth port 1 priority | priority non-ip | dhcp | dhcp userclass | dhcp config option override | lldp
lldp interval | lldp optional inventory management tlvs | tos sip | tos rtp | tos rtcp | mac | ip | subnet mask
default gateway | dns1 | dns2 | use alternate tftp server | rtcp summary reports | time server disabled
time server1 | time server2 | time server3 | time zone name | time zone code | time zone minutes | time format
date format | dst config | dst minutes | dst start relative date | dst end relative date | dst start month
dst end month | dst start day | dst end day | dst start week | dst end week | dst start hour | dst end hour
tone set | language | input language | web language | country | language 1 | language 2 | language 3 | language 4
directory 1 | directory 2 | directory disabled | web interface enabled | options password enabled
options simple menu | options menu hidden items | xml application uri | xml application title
xml application post list | xml get timeout | xml beep notification | xml status scroll delay | xml key redirection
xml lock override | directory script | services script | callers list script | redial script | voicemail script
options script | xfer script | conf script | icom script | redial disabled | callers list disabled
call transfer disabled | conference disabled | callers list | redial list | background image | image server uri
screen saver time | screen saver image | idle screen mode | idle screen font color | screen saver mode
brightness level | bl on time | contrast level | display dtmf digits | display name | ring tone | headset tx gain
handset volume | speaker volume | ringer volume | preferred line | preferred line timeout | call waiting
call waiting tone | stuttered disabled | mwi led line | goodbye cancels incoming call | play a ring splash
dnd key mode | call forward key mode | call forward disabled | live dialpad | lock phone on idle | phone lock
emergency dial plan | backlight mode | directed call pickup | speaker phone mode | collapsed softkey screen
collapsed context user softkey screen | collapsed more softkey screen | keys noise suppression
softkey selection list | topsoftkey selection list | suppress dtmf playback | missed calls indicator disabled
action uri startup | action uri registered | action uri registration event | action uri incoming
action uri outgoing | action uri offhook | action uri onhook | action uri connected | action uri disconnected
action uri xml sip notify | action uri poll | action uri poll interval | action uri blf | action uri blf pickup
ldap server | ldap server name | ldap port | ldap base dn | ldap user name | ldap password | ldap search filter
ldap enabled | paging group listening | 802.1x | eap type | sip dial plan | sip dial plan terminator
sip digit timeout | sip transport protocol | sips persistent tls | sip persistent tls keep alive
sips trusted certificates | sips root and intermediate certificates | sips local certificate | sips private key
sip registration retry timer | sip registration timeout retry timer | sip registration renewal timer
sip session timer | sip rport | sip whitelist | sip xml notify event | sip explicit mwi subscription
sip explicit mwi subscription period | sip blf subscription period | sip customized codec | sip out-of-band dtmf
sip allow auto answer | sip intercom type | sip intercom mute mic | sip intercom allow barge in
sip outbound support | sip gruu | sip use basic codecs | sip silence suppression | sip send mac | sip send line
sip update callerid | sip forward callerid | sip transaction timer | sip local port | sip local tls port
sip rtp port | sip nat ip | sip nat port | sip nat rtp port | sip pai | sip diversion display
sip require user in contact | sip aastra id | sip subscription timeout retry timer
sip subscription failed retry timer | sip contact matching | sip accept out of order requests | sip keepalive timer
sip blf subscription failed retry timer | sip bla subscription period | sip dtmf method | sip ignore status code
sip refer-to with replaces | sip early media mute mic | sip accept replaces | sip join support | sip nat keepalive
sip splitting char | sip updatable | sip notify opt reject | sip display mode | sip dns srv
sip symmetric udp signaling | sip centralized conf
"""
_LINE = """
proxy ip | proxy port | backup proxy ip | backup proxy port | outbound proxy | outbound proxy port
backup outbound proxy | backup outbound proxy port | registrar ip | registrar port | backup registrar ip
backup registrar port | user name | auth name | password | display name | screen name | screen name 2 | mode | vmail
registration period | dtmf method | srtp mode | park pickup config | bla number | call waiting | allow auto answer
explicit mwi subscription | explicit mwi subscription period | centralized conf | contact user | ring tone
dial plan
"""
_KEY = "type | value | label | line | states | locked | icon | ring splash | default | transfer mode | notification"


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for part in text.strip().splitlines() for name in part.split("|") if name.strip())


KEY_TYPES = _names(
    """
none | line | speeddial | speeddialxfer | speeddialconf | blf | blfxfer | blfconf | blflist | list | xml | dnd
directory | services | park | pickup | icom | phonelock | conf | xfer | empty | delete | hotdesklogin
discreetringing | callers | callforward | save | redial | speeddialmwi | mobile | lcr | flash | sprecode | acd
history | voicemail | paging | filter
"""
)
_BOOLEANS = _names(
    """
https validate certificates | https validate hostname | https validate expires | http digest force login | dhcp | lldp
web interface enabled | options simple menu | tagging enabled | contact rcs | sip rport | sip whitelist
sip xml notify event | directory disabled | sip out-of-band dtmf
"""
)
_WHOLE = _names(
    """
http port | https port | log server port | sip transport protocol | auto resync mode | auto resync max delay
action uri poll interval | time zone minutes | dst config | xml get timeout | sip registration retry timer
sip registration timeout retry timer | vlan id | sip session timer | sip blf subscription period
"""
)
_DIGITS = frozenset(("admin password", "user password"))
_PROTOCOLS = frozenset(("TFTP", "FTP", "HTTP", "HTTPS"))

PLAIN = _names(_PLAIN)
LINE = _names(_LINE)
KEY = _names(_KEY)
_LINE_NAME = re.compile(r"sip (?:line(?P<line>[1-9]|1\d|2[0-4]) )?(?P<rest>.+)")
_KEY_NAME = re.compile(
    r"(?:(?:topsoftkey|softkey|prgkey|hardkey)(?P<number>[1-9]\d?)|expmod[1-3] key[1-9]\d?) (?P<rest>.+)"
)
_MORE = re.compile(r"log module .+|line[1-9]\d? ring tone|map .+ key to")


def known(name: str) -> bool:
    """Whether a handset has a parameter of that name, in lower case."""
    if name in PLAIN:
        return True
    if (found := _LINE_NAME.fullmatch(name)) is not None and found["rest"] in LINE:
        return True
    if (found := _KEY_NAME.fullmatch(name)) is not None and found["rest"] in KEY:
        return True
    return _MORE.fullmatch(name) is not None


def trouble(name: str, value: str) -> str:
    """Why a handset would not take this value for this parameter, "" when it does. An empty value unsets."""
    if not known(name):
        return f"unknown parameter {name}"
    if not value:
        return ""
    if name in _BOOLEANS and value not in ("0", "1"):
        return f"{name}: expected 0 or 1"
    if name in _WHOLE and not re.fullmatch(r"-?\d{1,6}", value):
        return f"{name}: expected a number"
    if name in _DIGITS and not (value.isascii() and value.isdigit()):
        return f"{name}: expected digits only"
    if name == "download protocol" and value.upper() not in _PROTOCOLS:
        return f"{name}: expected TFTP, FTP, HTTP or HTTPS"
    if _KEY_NAME.fullmatch(name) and name.endswith(" type") and value not in KEY_TYPES:
        return f"{name}: there is no key type {value}"
    if name.endswith((" proxy port", " registrar port")) and not re.fullmatch(r"\d{1,5}", value):
        return f"{name}: expected a port"
    return ""
