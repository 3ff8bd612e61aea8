"""The firmware library: files for handsets, on disk, with what is known of them in the database.

`head` reads a file's version, `store` takes files in and gives them out. Firmware page and handset server use it.
"""
