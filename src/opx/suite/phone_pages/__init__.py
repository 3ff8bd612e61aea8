"""What approved phones show and tell beside calls: XML pages, directories, action URIs, images.

`desk` is what pages work with, `pages` the route by which they are found; `home`, `directory`, `hot_desk`, `setup` are
the pages, `actions` takes what phones tell, `extras` points phones at all of it, `room` brings it to the server.
"""
