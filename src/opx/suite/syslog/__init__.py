"""What phones of the office LAN say of themselves by syslog: kept per phone, shown on its page, and never obeyed.

`message` reads a line, `receiver` takes lines from the network, `repository` keeps them.
"""
