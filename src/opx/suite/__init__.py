"""The application suite: site settings, provisioning of the gateway, handset configuration, and consoles.

`service` is the main process: it provisions the gateway, and keeps the processes of the other faces, `console` (pages
for administrators) and `handsets` (what phones fetch). Each reads and writes the one database; what one changes the
others hear of from the main process's bulletin (`opx.kept.bulletin`).
"""
