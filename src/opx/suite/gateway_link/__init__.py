"""The suite's way to the gateway's web services: every process that asks the gateway does so through here.

`link` keeps one client for a process, as the site settings say; `exchange` gets a token with the administrator's help
(guide stage 4, step 2); `troubles` says in words what is in the way.
"""
