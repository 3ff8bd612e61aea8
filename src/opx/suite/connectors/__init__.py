"""How extensions are read from PBXs: a connector for each kind of PBX, and the periodic reading.

A connector knows one PBX and nothing of the suite's database; `reading` brings what it reads into the site settings.
"""
