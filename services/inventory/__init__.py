"""The inventory service: owns the stock of each article. It reserves all lines of an order or none, sells them when the
order is paid, and releases them when it is cancelled."""
