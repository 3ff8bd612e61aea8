"""The media relay: RTP between a set and its ICP, by ports that are opened per call.

Signalling asks a `MediaDriver` (`interface`) once for ports and tells it once where each side is; what happens per
packet stays in here. `userspace` is the driver that needs no rights, `worker` runs it in processes of its own and
`client` spreads the calls over them. A kernel driver and rtpengine fit the same interface: it says where packets may
come from, never what a packet holds.
"""
