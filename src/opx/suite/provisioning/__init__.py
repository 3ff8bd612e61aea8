"""Makes the gateway agree with the suite's teleworker extensions (guide, stages 4 and 5).

`planner` decides, and knows no socket and no clock; `reconciler` carries out in the suite's main process what it
decides; `repository` keeps what is known of each extension at the gateway, and every process may read it.
"""
