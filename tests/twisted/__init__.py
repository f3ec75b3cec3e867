"""
Twisted's own tests, run over this library's connections.
"""
