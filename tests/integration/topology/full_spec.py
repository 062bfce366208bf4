"""A resource with every kind of object."""

SPEC = {
    "vhostSettings": {"description": "orders", "tags": ["shop"], "defaultQueueType": "quorum"},
    "vhostLimits": {"maxQueues": 50, "maxConnections": 20},
    "exchanges": {
        "events": {"type": "topic", "alternateExchange": "rest"},
        "rest": {"type": "fanout"},
        "dlx": {"type": "direct"},
    },
    "queues": {
        "q": {"deadLetter": {"exchange": "dlx", "routingKey": "park"}, "deliveryLimit": 1000},
        "parking": {"deliveryLimit": -1},
        "history": {"type": "stream", "maxAge": "7D"},
        "old/kind": {"type": "classic"},
    },
    "superStreams": {"invoices": {"partitions": 2, "maxAge": "1D"}},
    "bindings": [
        {"source": "events", "queue": "q", "routingKey": "order.*"},
        {"source": "events", "exchange": "rest", "routingKey": "#"},
        {"source": "rest", "queue": "history"},
        {"source": "rest", "queue": "old/kind", "arguments": {"tier": "gold"}},
        {"source": "dlx", "queue": "parking", "routingKey": "park"},
    ],
    "users": {
        "writer": {
            "secretName": "writer",
            "tags": ["monitoring"],
            "permissions": {"write": "^events$", "read": "^q$"},
            "topicPermissions": [{"exchange": "events", "write": "^order\\."}],
            "limits": {"maxConnections": 5, "maxChannels": 50},
        }
    },
    "policies": {"short": {"pattern": "^parking$", "applyTo": "quorum_queues", "definition": {"max-length": 9}}},
    "operatorPolicies": {"cap": {"pattern": "^q$", "applyTo": "queues", "definition": {"max-length-bytes": 10**9}}},
}
OBJECTS = 1 + 2 + 4 + 6 + 7 + 1 + 2 + 1 + 1 + 1 + 1
