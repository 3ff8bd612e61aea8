"""The handset configuration server: what phones fetch over HTTPS 8202, and over HTTP 8203 in the LAN (guide stage 6).

A request walks: `identify` (which phone, by its User-Agent) and `sides` (inside or outside) -> `book` (what is known of
it, in memory) -> `authority` (may it have secrets) -> a `Route` of `http` (a file, a page) -> the answer, and the
outcome on the phone's timeline. `service` wires it into a process of its own.

Who adds what phones may fetch implements `http.Route`; who changes what is known of phones uses
`repository.PhoneRepository` and publishes `topics.PHONES`.
"""
