"""TFTP for the office LAN, read only: a phone's first firmware and what it needs before it can speak HTTPS.

`transfer` is one file on its way, without any network; `server` carries it over UDP. What there is to read, the handset
server says.
"""
