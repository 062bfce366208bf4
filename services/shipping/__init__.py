"""The shipping service: prepares the parcels of paid orders, tracks their delivery, and decides which can be stopped.

Owns the table `shipments`. A cancellation asks shipping first, since it alone knows whether the parcel has left.
"""
