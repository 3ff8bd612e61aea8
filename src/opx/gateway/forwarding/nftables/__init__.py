"""The forwarding driver in the kernel: DNAT and SNAT, by one nftables table of OPX's own.

`ruleset` writes the table as text, `nft` hands it over in one transaction, `conntrack` (netlink) tells whom a
connection comes from and ends those whose rule is gone, `foreign` names rules of others that drop ours, `machine` is
what else there is to ask of this machine. `driver` puts them together. Python sees no packet.
"""
