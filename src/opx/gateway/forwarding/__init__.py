"""Port forwarding (guide stage 2, MBG Security > Port Forwarding): from the set side's address to hosts of the LAN.

`rules` are what an operator wants and `checking` why some are refused; `repository` keeps them; a `ForwardingDriver`
(`interface`) puts them in force: `userspace` in processes of its own, which need no rights, or `nftables` in the
kernel. `reconciler` makes the driver agree with the repository and says where it does not. Signalling calls nothing
in here, and nothing in here waits for signalling.
"""
