"""Finds the service that a command line names as MODULE:SERVICE."""

import importlib
import inspect
import os
import sys
import traceback
from functools import reduce
from types import ModuleType

from warren_messaging.errors import MessagingError
from warren_messaging.service import Service


class ServiceNotFound(Exception):
    """The command line names no service; the message states what is there instead."""


def load_service(target: str) -> Service:
    """Return the Service that MODULE:SERVICE names: an object of the module, or a function without parameters that
    returns one.

    Modules are also looked for in the working folder. Raises ServiceNotFound, and the MessagingErrors of the module.
    """
    name, _, path = target.partition(":")
    file = name.endswith(".py")
    if file or not all(part.isidentifier() for part in [*name.split("."), *path.split(".")]):
        example = name.removesuffix(".py").replace("/", ".").strip(".") if file else "shop"
        raise ServiceNotFound(f"{target!r} is not MODULE:SERVICE, such as {example}:{path or 'service'}")
    module = _imported(name)
    try:
        found = reduce(getattr, path.split("."), module)
    except AttributeError:
        raise ServiceNotFound(f"module {name!r} has no {path!r}; {_services_of(module)}") from None
    except Exception as error:
        raise ServiceNotFound(f"{target} cannot be read: {_reason(error)}") from error
    if inspect.isroutine(found):
        found = _called(found, target)
    if not isinstance(found, Service):
        raise ServiceNotFound(f"{target} is {_described(found)}, not a Service; {_services_of(module)}")
    return found


def _imported(name: str) -> ModuleType:
    folder = str(os.getcwd())  # noqa: PTH109 - an entry of sys.path is text
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except MessagingError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise ServiceNotFound(f"there is no module {error.name!r} in {folder}, nor is it installed") from error
        raise ServiceNotFound(f"module {name!r} cannot be imported: {_reason(error)}") from error
    except (Exception, SystemExit) as error:
        raise ServiceNotFound(f"module {name!r} cannot be imported: {_reason(error)}") from error


def _called(function: object, target: str) -> object:
    try:
        return function()  # type: ignore[operator]
    except MessagingError:
        raise
    except (Exception, SystemExit) as error:
        raise ServiceNotFound(
            f"{target} is a function and cannot be called without arguments: {_reason(error)}"
        ) from error


def _reason(error: BaseException) -> str:
    """The error with the last line of the module that led to it."""
    text = f"{type(error).__name__}: {error}".replace("\n", " ")
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "importlib" not in frame.filename and frame.filename != __file__]
    return text if isinstance(error, SyntaxError) or not own else f"{text} ({own[-1].filename}, line {own[-1].lineno})"


def _services_of(module: ModuleType) -> str:
    names = [name for name, value in vars(module).items() if isinstance(value, Service)]
    if not names:
        return "the module has no Service"
    return f"its services are {', '.join(f'{module.__name__}:{name}' for name in names)}"


def _described(value: object) -> str:
    kind = type(value).__name__
    return f"the class {value.__name__}" if inspect.isclass(value) else f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
