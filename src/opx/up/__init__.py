"""Running the programs together on one machine, as processes; and the demo of a first call.

It starts the programs by their commands and never imports one.
"""
