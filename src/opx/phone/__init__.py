"""Phones to try the system with: a softphone that registers, calls, answers, plays and records.

For tests, the demo and diagnosis. It meets the gateway and the PBX node on the wire only.
"""
