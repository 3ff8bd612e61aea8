"""What the site is: gateway, PBXs with their nodes and SIP extensions, client locations (guide stages 1, 4 and 5).

`records` says what these are and what may be stored, `repository` keeps them. Every other room starts from here.
"""
