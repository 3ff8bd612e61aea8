"""What approved phones show and tell beside calls: XML pages, directories, action URIs, images.

`desk` is what pages work with, `pages` the route that they are found by; `home`, `directory`, `hot_desk` and `setup` are
the pages, `actions` takes what phones tell, `extras` points phones at all of it.
"""
