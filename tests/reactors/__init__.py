"""
Tests over real sockets, on every reactor.
"""
