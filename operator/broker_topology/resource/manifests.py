"""Reads topologies from YAML files.

A file holds one or more documents. Every `.yaml` or `.yml` file in a folder must hold topologies, except the
kustomization: a misspelt `kind` is refused, not skipped.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from broker_topology.errors import InvalidTopology
from broker_topology.findings import Finding, Origin
from broker_topology.resource.decode import decode
from broker_topology.resource.model import LoadedTopology, Topology

KUSTOMIZATION_NAMES = frozenset({"kustomization.yaml", "kustomization.yml", "Kustomization"})

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]  # the C loader is there or not, depending on the platform
    """PyYAML's safe loader, except that a duplicate key is an error instead of a silent overwrite."""


def _mapping(loader: Any, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = loader.construct_object(key_node, deep=True)
        if isinstance(key, str | int | bool | float):
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is written twice", key_node.start_mark
                )
            seen.add(key)
    loader.flatten_mapping(node)
    result: dict[Any, Any] = loader.construct_mapping(node, deep=True)
    return result


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def load(paths: Iterable[str | Path]) -> list[LoadedTopology]:
    """Loads every `Topology` in the given files and folders, in a stable order. `rules` checks the graph.

    Raises `InvalidTopology` with the errors of all files.
    """
    loaded: list[LoadedTopology] = []
    findings: list[Finding] = []
    for file in _files(paths, findings):
        before = len(findings)
        documents = list(_parse(_read(file, findings), str(file), findings))
        if not documents and len(findings) == before:
            findings.append(Finding(Origin(str(file)), "", "holds no Topology"))
        loaded += documents
    if findings:
        raise InvalidTopology(findings)
    return loaded


def parse(text: str, name: str = "<text>") -> list[LoadedTopology]:
    """Parses the text of one file, like `load`; findings name the file `name`."""
    findings: list[Finding] = []
    loaded = list(_parse(text, name, findings))
    if findings:
        raise InvalidTopology(findings)
    return loaded


def _files(paths: Iterable[str | Path], findings: list[Finding]) -> Iterator[Path]:
    seen: set[Path] = set()
    for path in map(Path, paths):
        try:
            inside = _inside(path)
        except OSError as exc:
            findings.append(Finding(Origin(str(path)), "", f"cannot be read: {exc.strerror}"))
            continue
        if not inside:
            findings.append(Finding(Origin(str(path)), "", "the folder holds no .yaml file"))
        findings += _missing_resources(path)
        for file in inside:
            if file.resolve() not in seen:
                seen.add(file.resolve())
                yield file


def _inside(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(
        file for file in path.iterdir() if file.suffix in {".yaml", ".yml"} and file.name not in KUSTOMIZATION_NAMES
    )


def _missing_resources(folder: Path) -> Iterator[Finding]:
    """Yields the files that a kustomization in the folder names and that do not exist."""
    for kustomization in (folder / name for name in sorted(KUSTOMIZATION_NAMES)):
        if not kustomization.is_file():
            continue
        findings: list[Finding] = []
        for data in _yaml_documents(_read(kustomization, findings), str(kustomization), findings):
            resources = data.get("resources") if isinstance(data, dict) else None
            for resource in resources if isinstance(resources, list) else []:
                if isinstance(resource, str) and _is_local_file(resource) and not (folder / resource).is_file():
                    message = f"names {resource}, which does not exist"
                    findings.append(Finding(Origin(str(kustomization)), "", message))
        yield from findings


def _is_local_file(resource: str) -> bool:
    """Returns whether it is a file: only kustomize can resolve folders and addresses."""
    return resource.endswith((".yaml", ".yml")) and "://" not in resource


def _read(file: Path, findings: list[Finding]) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "is not UTF-8 text"
        findings.append(Finding(Origin(str(file)), "", f"cannot be read: {reason}"))
        return None


def _yaml_documents(text: str | None, name: str, findings: list[Finding]) -> list[Any]:
    try:
        return [] if text is None else list(yaml.load_all(text, Loader=_Loader))
    except (yaml.YAMLError, RecursionError) as exc:
        findings.append(Finding(Origin(name), "", _yaml_error(exc)))
        return []


def _parse(text: str | None, name: str, findings: list[Finding]) -> Iterator[LoadedTopology]:
    for position, data in enumerate(_yaml_documents(text, name, findings), start=1):
        if data is None:  # a trailing `---`
            continue
        origin = Origin(name, position)
        if isinstance(data, dict) and isinstance(metadata := data.get("metadata"), dict):
            origin = Origin(name, position, str(metadata.get("name", "")))
        topology, errors = decode(data, Topology, origin)
        findings += errors
        if topology is not None:
            yield LoadedTopology(origin, topology)


def _yaml_error(exc: Exception) -> str:
    """PyYAML's error on one line, with its position first."""
    mark = getattr(exc, "problem_mark", None)
    problem = getattr(exc, "problem", None) or "nested too deeply"
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
    return f"not valid YAML: {place}{problem}"


def with_vhost(topologies: Iterable[LoadedTopology], vhost: str) -> list[LoadedTopology]:
    """Returns the same resources in another virtual host."""
    return [with_spec(item, vhost=vhost) for item in topologies]


def with_spec(item: LoadedTopology, **fields: Any) -> LoadedTopology:
    """Returns the same resource with other values of these fields of its spec."""
    replace = msgspec.structs.replace
    return replace(item, topology=replace(item.topology, spec=replace(item.spec, **fields)))
