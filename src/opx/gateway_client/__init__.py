"""A client of the gateway's web services, for any program: it meets the gateway on the wire and imports nothing of it.

`access` gets a token with an administrator's help (guide stage 4, step 2), `client.GatewayClient` works with it.
"""
