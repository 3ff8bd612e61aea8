"""RTP for endpoints: packets, G.711, tones, WAV files, and a session that plays and records.

For the PBX node, phones and tests; the gateway's relay passes packets on without reading them.
"""
