"""What the programs' web faces share: certificates, the HTTPS server, and the console's frame; imports no program.

A program builds its console with `console.build_console` out of its own pages (`pages.Room`) and tables (`tables`).
"""
