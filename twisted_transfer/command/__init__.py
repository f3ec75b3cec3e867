"""
The program ``twisted-transfer``.
"""
