"""From a delivery to a committed effect and an acknowledgement."""
