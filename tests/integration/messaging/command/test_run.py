"""`warren-messaging run` on real servers."""

import signal

from tests.coffee_shop import CoffeeShop, wait_until

TEA = """
from coffee import CoffeeServed
from warren_messaging import Service

async def on_coffee_served(event, uow):
    await uow.connection.execute("INSERT INTO served (order_id, cups) VALUES ($1, $2)", event.subject, -event.data.cups)
    return []

# The source ends in the name of the broker user.
service = Service.from_environment("tea", "COFFEE_", source="/coffee")
service.consume("tea.queue", {CoffeeServed: on_coffee_served})
"""


def test_services_run_together_until_ctrl_c_and_finish_their_work(shop: CoffeeShop) -> None:
    (shop.folder / "tea.py").write_text(TEA)
    shop.run("migrations", "apply", "coffee:service")
    shop.sql("CREATE TABLE served (order_id uuid NOT NULL, cups integer NOT NULL)")
    for service in ("coffee:service", "tea:service"):
        assert shop.run("topology", service, "--declare").returncode == 0
    with shop.running("warren-messaging", "run", "coffee:service", "tea:service") as process:
        shop.run_program("python", "order.py", "2")
        wait_until(lambda: shop.sql("SELECT cups FROM served ORDER BY 1") == [(-2,), (2,)], "the order is not served")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    output = (shop.folder / "output").read_text()
    assert "Traceback" not in output
    assert "INFO warren_messaging: " in output


def test_what_prevents_the_start_is_one_line(shop: CoffeeShop) -> None:
    unreachable = "postgresql://coffee:secret@127.0.0.1:1/coffee"
    for environment, code, message in (
        ({"COFFEE_DATABASE_URL": unreachable, "COFFEE_STARTUP_SECONDS": "0"}, 69, "coffee: database at postgresql://"),
        ({}, 78, "coffee: database at "),  # the migrations are not applied
        ({"COFFEE_BROKER_URL": None}, 78, "coffee: settings: COFFEE_BROKER_URL is not set"),
    ):
        done = shop.run("run", "coffee:service", **environment)
        assert done.returncode == code, done.stderr
        assert done.stderr.splitlines()[-1].startswith(message)
        assert "Traceback" not in done.stderr
    shop.run("migrations", "apply", "coffee:service")
    done = shop.run("run", "coffee:service")
    assert done.returncode == 78
    assert "coffee.queue" in done.stderr.splitlines()[-1], "the missing queue is named"
