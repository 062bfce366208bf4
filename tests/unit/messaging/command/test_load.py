"""MODULE:SERVICE names a service, or the error states what is there instead."""

from pathlib import Path

import pytest

from warren_messaging import ConfigurationError
from warren_messaging.command.load import ServiceNotFound, load_service


@pytest.mark.parametrize("target", ["cafe:service", "cafe:build", "cafe:Parts.inner"])
def test_an_object_a_function_and_an_attribute_name_a_service(project: Path, target: str) -> None:
    assert load_service(target).name == "coffee"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("cafe", "'cafe' is not MODULE:SERVICE, such as shop:service"),
        ("cafe.py:service", "'cafe.py:service' is not MODULE:SERVICE, such as cafe:service"),
        ("src/cafe.py:service", "such as src.cafe:service"),
        (":service", "is not MODULE:SERVICE"),
        ("cafe:", "is not MODULE:SERVICE"),
        ("cafe:9", "is not MODULE:SERVICE"),
        ("tea:service", "there is no module 'tea' in"),
        ("cafe.bar:service", "there is no module 'cafe.bar' in"),
        ("cafe:servic", "module 'cafe' has no 'servic'; its services are cafe:service"),
        ("cafe:service.nothing", "module 'cafe' has no 'service.nothing'"),
        ("cafe:Ordered", "cafe:Ordered is the class Ordered, not a Service"),
        ("cafe:__name__", "cafe:__name__ is a str, not a Service"),
        ("cafe:on_ordered", "cannot be called without arguments: TypeError"),
        ("json:loads", "cannot be called without arguments"),
        ("json:decoder", "json:decoder is a module, not a Service; the module has no Service"),
    ],
)
def test_what_is_no_service_is_described(project: Path, target: str, message: str) -> None:
    with pytest.raises(ServiceNotFound) as caught:
        load_service(target)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nothere", "ModuleNotFoundError: No module named 'nothere' ({folder}/broken.py, line 1)"),
        ("\nx = 1 / 0", "ZeroDivisionError: division by zero ({folder}/broken.py, line 2)"),
        ("def (", "SyntaxError: invalid syntax (broken.py, line 1)"),
        ("raise SystemExit('no')", "SystemExit: no ({folder}/broken.py, line 1)"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
    ],
)
def test_a_module_that_fails_names_the_line(project: Path, text: str, message: str) -> None:
    (project / "broken.py").write_text(text)
    with pytest.raises(ServiceNotFound) as caught:
        load_service("broken:service")
    expected = f"module 'broken' cannot be imported: {message.format(folder=project)}"
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_errors_of_the_library_keep_their_text(project: Path) -> None:
    twice = 'service.consume("coffee.queue", {})'
    (project / "twice.py").write_text(f"from cafe import service\n{twice}\n")
    with pytest.raises(ConfigurationError, match=r"service coffee consumes coffee\.queue twice"):
        load_service("twice:service")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def service():\n    raise SystemExit(5)", "SystemExit: 5 ({folder}/broken.py, line 2)"),
        ("def __getattr__(name):\n    raise KeyError(name)", "broken:service cannot be read: KeyError: 'service'"),
    ],
)
def test_a_service_that_cannot_be_reached_names_the_line(project: Path, text: str, message: str) -> None:
    (project / "broken.py").write_text(text)
    with pytest.raises(ServiceNotFound) as caught:
        load_service("broken:service")
    assert message.format(folder=project) in str(caught.value)
