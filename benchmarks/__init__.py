"""
Programs that measure this library, or attack it for longer than a test can.

``python -m benchmarks``, in the root of the repository, lists them.
"""
