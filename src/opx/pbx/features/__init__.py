"""What an extension can do beyond calling: one module per feature, without a socket or a clock.

`states.py` holds what is switched on, `codes.py` says which feature a dialled number means. The node asks the other
modules when a call comes, and they act on its calls through `pbx.calls`.
"""
