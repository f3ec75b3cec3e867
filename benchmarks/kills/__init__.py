"""
Transfers in which either side is killed.
"""
