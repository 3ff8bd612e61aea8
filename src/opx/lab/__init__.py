"""The lab: internet, two homes behind NAT, a gateway and an office LAN as network namespaces on one machine.

For tests and for trying things by hand. It starts the programs by their commands and never imports one. Everything of a
lab lives in the namespaces of one holder process and ends with it, whatever ends it; nothing leaves them.
"""
