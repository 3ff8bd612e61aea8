"""The application suite: provisioning, handset configuration, client services and consoles.

So far a placeholder that holds the suite's place and port on the office LAN and says so to whoever asks.
"""
