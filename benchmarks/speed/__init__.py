"""
How fast this library is, beside the programs and libraries that do as much.
"""
