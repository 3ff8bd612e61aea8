"""Keymap and configuration profiles: what administrators give handsets beyond their accounts.

`records` says what a profile is and may hold, `repository` keeps them, `library` merges those that concern a phone
(default < model < handset) in memory for the handset server.
"""
