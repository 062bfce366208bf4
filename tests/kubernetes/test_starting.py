"""An installation: resources are there before their broker is, and that is no Warning until it takes too long."""

from tests.kubernetes.cluster import SECRET, eventually, has
from tests.kubernetes.site import Site
from tests.kubernetes.test_broker_away import port_of, through
from tests.proxy import Proxy


async def test_a_broker_that_is_not_up_yet_is_no_warning(place: Site) -> None:
    operator = await place.operator()
    await place.cluster.delete(SECRET, place.namespace, "broker")
    async with Proxy(port_of(place)).serving() as proxy:
        proxy.refusing = True
        await place.create("shop", queues={"q": {}})
        await place.until("shop", has("SecretMissing"))
        await through(place, proxy)
        await place.until("shop", has("BrokerUnreachable"))
        proxy.heal()
        await place.until("shop")
        for reason in ("SecretMissing", "BrokerUnreachable"):
            assert await place.cluster.events(place.namespace, reason, "Normal"), operator.log
            assert await place.cluster.events(place.namespace, reason, "Warning") == []
        # it was up, so that it is away is news
        proxy.refusing = True
        proxy.cut()
        await place.annotate("shop", look="now")
        await place.until("shop", has("BrokerUnreachable"))
        await eventually(lambda: place.cluster.events(place.namespace, "BrokerUnreachable", "Warning"))


async def test_a_broker_that_does_not_come_is_a_warning_in_the_end(place: Site) -> None:
    await place.operator(startup_seconds="3")
    async with Proxy(port_of(place)).serving() as proxy:
        await through(place, proxy)
        proxy.refusing = True
        await place.create("shop", queues={"q": {}})
        await eventually(lambda: place.cluster.events(place.namespace, "BrokerUnreachable", "Normal"))
        await eventually(lambda: place.cluster.events(place.namespace, "BrokerUnreachable", "Warning"))


async def test_a_mistake_is_a_warning_at_once(place: Site) -> None:
    await place.operator()
    await place.create("shop", bindings=[{"source": "nowhere", "queue": "nothing"}])
    await place.until("shop", has("Invalid"))
    await eventually(lambda: place.cluster.events(place.namespace, "Invalid", "Warning"))
