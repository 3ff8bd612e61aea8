"""The suite's console: its pages, each at the place in the menu that the guide gives it, in a process of its own.

A room of pages is a function of a `desk.Desk` that gives a `Room`; `rooms` lists them all. `service` wires the process.
"""
