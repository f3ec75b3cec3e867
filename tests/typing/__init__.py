"""
How a user's code types.  Nothing here is run: mypy reads it.
"""
