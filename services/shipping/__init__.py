"""Prepares the parcel of a paid order, sees it delivered, and says whether it can still be stopped.

Owns the table `shipments`. Whether a parcel has left is decided here and nowhere else: that is why shipping is asked
first when an order is to be cancelled, and why its refusal is final.
"""
