"""An emulated 69xx: what a person can type into one, its boot, its lines, its keys and screen.

It learns everything else as a real handset does, from its configuration server and over SIP. One handset
(`handset.Handset`) or thousands in a process (`fleet.Fleet`); `cfg` and `parameters` are strict and tell of everything
in a file that a handset would not understand, which makes them an oracle for tests of a configuration server.
"""
