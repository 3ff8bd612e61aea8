"""A PBX node: extensions, a registrar, calls between them, an echo and a milliwatt tone, and a management API.

It gives the gateway an office to work with; real sites put their own PBX in its place. The other programs meet it on
the wire only.
"""
