"""Further processes of a program: started by its main process, started again when they fail, never left behind.

`keeper` is the main process's end, `process` what such a process's entry runs. Their only link is a Unix socket.
"""
