"""What an engineer needs to find a fault: call records, the messages of a call, alarms, metrics.

`recorder` and `alarms` run inside signalling and only collect; `writer` one floor up keeps what they give. Pages and
commands read through `repository`. Masking of secrets stands in one place, `masking`, and comes before anything leaves.
"""
