"""OPX, off-premises extensions: desk phones, softphones and apps outside the office on the office's PBX."""

__version__ = "0.1.0"
