"""The web services: consumers and their tokens (guide stage 4), and the HTTP API that they use.

`service.WebServices` is what a console or command line calls; `api.app` makes the application that is served over
HTTPS. What it needs of other rooms it takes as the Protocols of `ports`. The client is `opx.gateway_client`.
"""
