"""Writes docs/settings.md from the settings of the services, and the table in docs/messaging/settings.md from those of
the messaging library: `make settings`."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec

from services.shared.chassis.settings import ENV_PREFIX, ProcessSettings
from warren_messaging.settings import ServiceSettings

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "settings.md"
LIBRARY_PAGE = ROOT / "docs" / "messaging" / "settings.md"
BEGIN, END = "<!-- `make settings` writes this table -->\n", "<!-- end of the table -->\n"
TABLE_HEAD = "| variable | default | possible | meaning |\n|---|---|---|---|\n"

HEAD = """# Settings

`make settings` writes this page from the settings of the services; the last section is written by hand in
`devtools/settings_page.py`. A process reads its settings from the environment once, when it starts, and does not start
with a wrong one. Variables that end in `_FILE` or `_CREDENTIALS` name files, which are read again at each connect.
"""

BY_HAND = """
## Programs of a developer's machine

| variable | meaning |
|---|---|
| `WARREN_URL` | address of the order API for `warren` |
| `WARREN_TOKEN` | the bearer token that `warren` sends |
| `WARREN_PORT` | the port of the order API with Docker Compose |
| `WARREN_IMAGES`, `WARREN_TAG` | registry and tag of the images with Docker Compose |
| `WARREN_AUDIT_URL`, `WARREN_MANAGEMENT_URL` | addresses for `warren`; default: those of `warren up` |
| `WARREN_TRACES_URL`, `WARREN_PROMETHEUS_URL` | Jaeger and Prometheus for `warren`; default: those of `warren up` |
| `WARREN_CACHE` | the cache folder; default `~/.cache/warren` |
| `WARREN_SERVERS` | `docker` or `debian`: the source of private PostgreSQL and RabbitMQ servers |
| `WARREN_KEEP` | `1` keeps data and logs of the servers that tests start |
| `WARREN_TEST_SEED` | the seed of random tests |
| `WARREN_TEST_SERVERS`, `WARREN_MUTANT_REPORT`, `WARREN_INSTALLED` | set by test runs for their child processes |
| `WARREN_OWN_ENGINE` | if set, `make test` starts a Docker Engine where none answers |
"""


def settings() -> list[type[ProcessSettings]]:
    """Return every settings class of the services, the common ones first."""
    for file in sorted((ROOT / "services").glob("*/settings.py")):
        importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    importlib.import_module("services.shared.chassis.http.auth")
    return list(_with_children(ProcessSettings))


def page() -> str:
    parts = [HEAD]
    for kind in settings():
        rows = list(_rows(kind))
        if rows:
            where = kind.__module__.replace(".", "/") + ".py"
            base = "" if kind is ProcessSettings else f", with all of `{kind.__bases__[0].__name__}`"
            title = kind.__module__.removeprefix("services.").removesuffix(".settings").removeprefix("shared.")
            text = f" {first}" if (first := _first_paragraph(kind)) else ""
            parts.append(f"\n## {title}: {kind.__name__}\n\nIn `{where}`{base}.{text}\n")
            parts.append(TABLE_HEAD + "".join(rows))
    return "\n".join(part.strip("\n") + "\n" for part in [*parts, BY_HAND])


def library_page() -> str:
    """Return docs/messaging/settings.md with the table of what `Service.from_environment` reads."""
    before, _, rest = LIBRARY_PAGE.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    return before + BEGIN + TABLE_HEAD + "".join(_rows(ServiceSettings, prefix="SHOP_")) + end + after


def _with_children(kind: type[ProcessSettings]) -> Iterator[type[ProcessSettings]]:
    if kind.__module__.startswith("services."):
        yield kind
    for child in sorted(kind.__subclasses__(), key=lambda each: (each.__module__, each.__name__)):
        yield from _with_children(child)


def _first_paragraph(kind: type[ProcessSettings]) -> str:
    text = inspect.cleandoc(kind.__doc__ or "")
    return " ".join(text.split("\n\n")[0].split())


def _rows(kind: type[ServiceSettings], prefix: str = ENV_PREFIX) -> Iterator[str]:
    meanings = (_meanings(ServiceSettings) if kind is ProcessSettings else {}) | _meanings(kind)
    fields = "|".join(field.name for field in msgspec.structs.fields(kind))
    for field in msgspec.structs.fields(kind):
        if field.name in kind.__annotations__ or kind is ProcessSettings:
            value = str(field.default).removeprefix(f"{ROOT}/")
            default = "required" if field.required else "not set" if value in {"", ".", "None"} else f"`{value}`"
            meaning = re.sub(
                rf"`({fields})`", lambda name: f"`{prefix}{name[1].upper()}`", meanings.get(field.name, "")
            )
            meaning = meaning.replace("|", "\\|")
            yield f"| `{prefix}{field.name.upper()}` | {default} | {_possible(field.type)} | {meaning} |\n"


def _meanings(kind: type[ServiceSettings]) -> dict[str, str]:
    """Return the docstring below each field; Python keeps it only in the source."""
    body = next(n.body for n in ast.parse(inspect.getsource(kind)).body if isinstance(n, ast.ClassDef))
    found = {}
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            found[field.target.id] = " ".join(str(ast.literal_eval(text.value)).split())
    return found


def _possible(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    metas = [meta for meta in getattr(kind, "__metadata__", ()) if isinstance(meta, msgspec.Meta)]
    limits = [
        f"{sign} {getattr(meta, name):,}".replace(".0", "")
        for meta in metas
        for name, sign in (("gt", "&gt;"), ("ge", "&ge;"), ("lt", "&lt;"), ("le", "&le;"))
        if getattr(meta, name) is not None
    ]
    plain = {int: "number", float: "number", str: "text", Path: "path", bool: "`true`, `false`"}
    base = get_args(kind)[0] if metas or type(None) in get_args(kind) else kind
    return " ".join([plain.get(base, "text"), ", ".join(limits)]).strip()


if __name__ == "__main__":
    PAGE.write_text(page())
    LIBRARY_PAGE.write_text(library_page())
