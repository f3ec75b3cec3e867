"""
Invalid input for the protocol of transfers with receipts.
"""
