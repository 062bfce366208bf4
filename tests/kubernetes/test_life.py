"""From creation to deletion."""

from tests.kubernetes.cluster import SECRET, condition, is_ready, texts_of
from tests.kubernetes.site import Site


async def test_a_new_resource_becomes_ready_when_the_broker_holds_it(place: Site) -> None:
    await place.operator()
    await place.create(
        "shop",
        exchanges={"events": {"type": "topic"}},
        queues={"shop.queue": {}},
        bindings=[{"source": "events", "queue": "shop.queue", "routingKey": "order.*"}],
        users={place.user("shop"): {"secretName": "shop-rabbitmq", "permissions": {"read": "^shop"}}},
    )
    ready = await place.until("shop")
    assert set(await place.at_broker("queues")) == {"shop.queue"}
    status = ready["status"]
    assert status["summary"]["wanted"] == status["summary"]["held"] == len(status["objects"])
    assert {each["state"] for each in status["objects"]} == {"Ready"}
    assert status["broker"]["address"] == place.address.management_url
    assert condition(ready, "Drifted")["status"] == "False"
    secret = await place.cluster.get(SECRET, place.namespace, "shop-rabbitmq")
    assert secret is not None
    assert texts_of(secret)["username"] == place.user("shop")
    assert texts_of(secret)["password"] not in place.logs()
    (owner,) = secret["metadata"]["ownerReferences"]
    assert owner["uid"] == ready["metadata"]["uid"]


async def test_a_changed_spec_is_written_and_what_it_no_longer_names_is_pruned(place: Site) -> None:
    await place.operator()
    await place.create("shop", queues={"old": {}, "kept": {}})
    await place.until("shop")
    await place.change("shop", queues={"old": None, "new": {"maxLength": 10}})
    await place.until("shop")
    queues = await place.at_broker("queues")
    assert set(queues) == {"kept", "new"}
    assert queues["new"]["arguments"]["x-max-length"] == 10


async def test_a_deleted_resource_takes_its_objects_along(place: Site) -> None:
    operator = await place.operator()
    await place.create("shop", queues={"q": {}}, users={place.user("u"): {"secretName": "u"}})
    await place.until("shop", is_ready)
    await place.delete("shop")
    await place.until_gone("shop")
    assert await place.at_broker("queues") == {}
    assert await place.at_broker("users") == {}
    await place.cluster.until_gone(SECRET, place.namespace, "u")
    assert operator.told("released")
