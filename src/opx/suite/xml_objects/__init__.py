"""What a 69xx shows beside calls: the Aastra XML objects (XML API for Aastra SIP phones, PA-001011), typed.

`markup` escapes and bounds, `parts` is what objects are made of, `screens` are those that are seen, `orders` those that
are not. Any room may build one; the handset server and the gateway's NOTIFY carry it.
"""
