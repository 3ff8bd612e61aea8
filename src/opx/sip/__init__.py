"""A SIP library without sockets and without a clock (RFC 3261 and what it needs around it).

For anybody: it imports nothing else of opx. From the bottom up:

- `grammar`, `uri`, `address`, `headers`, `message`, `parser`, `framing`: messages, decoded only as far as asked;
- `digest`, `nonces`: authentication, both sides;
- `timers`, `machines`, `transactions`, `layer`: transactions, as tables;
- `dialog`, `exchange`, `agent`, `session`, `registration`: what a user agent does with them;
- `transport`: the only part that knows sockets.
"""
