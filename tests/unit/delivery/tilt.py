"""Evaluates a Tiltfile without Tilt: real Starlark with built-in functions that record their calls.

Their parameters are those of Tilt's own functions (docs.tilt.dev/api.html), so an unknown one is an error.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import starlark
import yaml

PRELUDE = """\
os = struct(getenv = _getenv)
config = struct(define_string = _define, define_bool = _define, parse = _parse)
TRIGGER_MODE_MANUAL = "manual"
TRIGGER_MODE_AUTO = "auto"
"""
Call = dict[str, Any]


class Tilt:
    """`local` returns the output of a command; `arguments` are those after `tilt up --`."""

    def __init__(self, root: Path, local: Callable[[list[str]], str], **arguments: str | bool) -> None:
        self.images: dict[str, Call] = {}
        self.resources: dict[str, Call] = {}
        self.buttons: dict[str, Call] = {}
        self.objects: list[dict[str, Any]] = []
        self.settings: Call = {}
        self.watched: list[str] = []
        self._root = root
        self._local = local
        self._arguments = arguments
        self._defined: set[str] = set()

    def evaluate(self, text: str, environment: dict[str, str] | None = None) -> None:
        """Raises starlark.StarlarkError with the line of the error."""
        module = starlark.Module()
        for name in dir(self):
            if name.startswith("do_"):
                module.add_callable(name.removeprefix("do_"), getattr(self, name))
        module.add_callable("_getenv", lambda name, default=None: (environment or {}).get(name, default))
        module.add_callable("_define", lambda name, args=False, usage="": self._defined.add(name))
        module.add_callable("_parse", self._parsed)
        # The dialect of Tilt: no types, no f-strings.
        dialect = starlark.Dialect.standard()
        dialect.enable_def = dialect.enable_lambda = dialect.enable_top_level_stmt = True
        dialect.enable_keyword_only_arguments = dialect.enable_load = False
        dialect.enable_f_strings = False
        known = starlark.Globals.extended_by([starlark.LibraryExtension.StructType])
        starlark.eval(module, starlark.parse("prelude", PRELUDE, dialect), known)
        starlark.eval(module, starlark.parse("Tiltfile", text, dialect), known)

    def _parsed(self) -> dict[str, str | bool]:
        assert self._arguments.keys() <= self._defined
        return self._arguments

    # Settings

    def do_version_settings(self, check_updates: bool = True, constraint: str = "") -> None:
        self.settings["version"] = constraint

    def do_allow_k8s_contexts(self, contexts: list[str]) -> None:
        self.settings["contexts"] = contexts

    def do_update_settings(self, max_parallel_updates: int = 3, k8s_upsert_timeout_secs: int = 30) -> None:
        self.settings["parallel"] = max_parallel_updates

    # Files and commands

    def do_read_yaml(self, path: str) -> Any:
        return yaml.safe_load((self._root / path).read_text())

    def do_read_file(self, path: str) -> str:
        return (self._root / path).read_text()

    def do_watch_file(self, path: str) -> None:
        assert (self._root / path).exists()
        self.watched.append(path)

    def do_local(self, command: list[str], quiet: bool = False, dir: str = "") -> str:  # noqa: A002 - Tilt's name
        return self._local(command)

    def do_decode_yaml_stream(self, text: str) -> list[Any]:
        return list(yaml.safe_load_all(text))

    def do_encode_yaml_stream(self, objects: list[Any]) -> str:
        return yaml.safe_dump_all(objects)

    def do_encode_yaml(self, object: Any) -> str:  # noqa: A002 - Tilt's name
        return yaml.safe_dump(object)

    # Images

    def do_docker_build(
        self,
        ref: str,
        context: str,
        build_args: dict[str, str] | None = None,
        dockerfile: str = "Dockerfile",
        live_update: list[Any] | None = None,
        ignore: list[str] | None = None,
        only: list[str] | None = None,
        target: str = "",
        network: str = "",
        secret: list[str] | None = None,
    ) -> None:
        assert ref not in self.images
        assert all((self._root / path).exists() for path in only or [])
        self.images[ref] = {
            "arguments": build_args or {},
            "live": live_update or [],
            "only": only or [],
            "secret": secret or [],
            "target": target,
        }

    def do_sync(self, local_path: str, remote_path: str) -> list[str]:
        assert (self._root / local_path).exists()
        assert remote_path.startswith("/")
        return ["sync", local_path, remote_path]

    def do_fall_back_on(self, files: list[str]) -> list[Any]:
        return ["fall_back_on", files]

    def do_run(self, cmd: str, trigger: list[str] | None = None, echo_off: bool = False) -> list[str]:
        return ["run", cmd]

    # Resources

    def do_k8s_yaml(self, yaml_: str, allow_duplicates: bool = False) -> None:
        self.objects += [object_ for object_ in yaml.safe_load_all(yaml_) if object_]

    def do_k8s_resource(
        self,
        workload: str = "",
        new_name: str = "",
        port_forwards: list[Any] | None = None,
        trigger_mode: str = "auto",
        resource_deps: list[str] | None = None,
        objects: list[str] | None = None,
        auto_init: bool = True,
        pod_readiness: str = "",
        links: list[Any] | None = None,
        labels: list[str] | None = None,
    ) -> None:
        name = new_name or workload
        assert name not in self.resources
        self.resources[name] = {
            "after": resource_deps or [],
            "forwards": port_forwards or [],
            "labels": labels or [],
            "links": links or [],
            "objects": objects or [],
            "trigger": trigger_mode,
            "workload": workload,
        }

    def do_port_forward(
        self, local_port: int, container_port: int, name: str = "", link_path: str = "", host: str = ""
    ) -> dict[str, Any]:
        return {"local": local_port, "container": container_port, "name": name, "path": link_path}

    def do_link(self, url: str, name: str = "") -> dict[str, str]:
        return {"url": url, "name": name}

    def do_local_resource(
        self,
        name: str,
        cmd: str = "",
        trigger_mode: str = "auto",
        resource_deps: list[str] | None = None,
        auto_init: bool = True,
        allow_parallel: bool = False,
        labels: list[str] | None = None,
    ) -> None:
        assert name not in self.buttons
        self.buttons[name] = {
            "after": resource_deps or [],
            "alone": auto_init,
            "command": cmd,
            "labels": labels or [],
            "trigger": trigger_mode,
        }
