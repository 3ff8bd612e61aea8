"""The gateway's console: its pages, each at the place in the menu that the guide gives it. Used by `gateway.web`.

A room of pages is a function of a `desk.Desk` that gives a `Room`; `rooms` lists them all.
"""
