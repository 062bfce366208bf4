"""An emulated API server for the requests of kopf, the operator and the tests.

It has resource versions and a history, so a watch continues where a listing ended; it checks roles, and applies schema,
defaults and CEL rules of a definition. It has no paging, no admission webhooks, and no field managers in server-side
apply.
"""

import asyncio
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.kubernetes.emulator import patches
from tests.kubernetes.emulator.access import ADMIN, RBAC, AccessRequest, RbacAuthorizer
from tests.kubernetes.emulator.objects import Object, ObjectStore, StatusError, WatchEvent
from tests.kubernetes.emulator.schema import StructuralSchema


@dataclass(frozen=True)
class ApiResource:
    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    status: bool = False

    @property
    def resource(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


BUILT_IN = (
    ApiResource("", "v1", "namespaces", "Namespace", namespaced=False),
    ApiResource("", "v1", "secrets", "Secret"),
    ApiResource("", "v1", "events", "Event"),
    ApiResource("", "v1", "serviceaccounts", "ServiceAccount"),
    ApiResource(RBAC, "v1", "roles", "Role"),
    ApiResource(RBAC, "v1", "rolebindings", "RoleBinding"),
    ApiResource(RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False),
    ApiResource(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    ApiResource(
        "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
    ),
    ApiResource("apps", "v1", "deployments", "Deployment"),
    ApiResource("rabbitmq.com", "v1beta1", "rabbitmqclusters", "RabbitmqCluster", status=True),
)
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


class ApiServerEmulator:
    """Listens on a free loopback port. `tokens` maps bearer tokens to user names."""

    def __init__(self) -> None:
        self.objects = ObjectStore()
        self.authorizer = RbacAuthorizer(self.objects)
        self.tokens = {"admin-token": ADMIN}
        self.url = ""
        self.before_request: Callable[[AccessRequest], None] = lambda _: None
        """Called before each request; may raise `StatusError`."""
        self._api_resources = {(each.api, each.plural): each for each in BUILT_IN}
        self._schemas: dict[str, StructuralSchema] = {}
        self._watches: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> "ApiServerEmulator":
        app = web.Application(client_max_size=4 * 1024**2)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._server = TestServer(app)
        await self._server.start_server(access_log=None, shutdown_timeout=0.1)
        self.url = str(self._server.make_url("")).rstrip("/")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.break_watches()
        await self._server.close()

    def install(self, definition: Object) -> None:
        """Adds the kind of a CustomResourceDefinition."""
        spec = definition["spec"]
        version = spec["versions"][0]
        api_resource = ApiResource(
            spec["group"], version["name"], spec["names"]["plural"], spec["names"]["kind"], status=True
        )
        self._api_resources[api_resource.api, api_resource.plural] = api_resource
        self._schemas[api_resource.resource] = StructuralSchema(version["schema"]["openAPIV3Schema"])

    def uninstall(self, definition: Object) -> None:
        spec = definition["spec"]
        del self._api_resources[f"{spec['group']}/{spec['versions'][0]['name']}", spec["names"]["plural"]]

    def break_watches(self, *, expired: bool = False) -> None:
        """Cuts every watch. With `expired` none can continue from its version, as after a compaction."""
        if expired:
            self.objects.version += 1
            self.objects.compacted = self.objects.version
        for task in list(self._watches):
            task.cancel()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._route(request)
        except StatusError as exc:
            return web.json_response(exc.body, status=exc.status)

    async def _route(self, request: web.Request) -> web.StreamResponse:
        user = self._user(request)
        parts = [part for part in request.path.split("/") if part]
        if (found := self._discovery(parts)) is not None:
            return web.json_response(found)
        api, rest = (parts[1], parts[2:]) if parts[0] == "api" else ("/".join(parts[1:3]), parts[3:])
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        api_resource = self._api_resources.get((api, rest[0]))
        if api_resource is None:
            raise StatusError(404, "NotFound", "the server could not find the requested resource")
        name, subresource = [*rest, "", ""][1:3]
        verb = self._verb(request, name)
        plural = f"{api_resource.plural}/{subresource}" if subresource else api_resource.plural
        access = AccessRequest(user, verb, api_resource.group, plural, namespace, name)
        self.before_request(access)
        self.authorizer.check(access)
        if plural == "serviceaccounts/token":
            return web.json_response({"status": {"token": self._token(namespace, name)}}, status=201)
        if subresource not in {"", "status"} or (subresource and not api_resource.status):
            raise StatusError(404, "NotFound", "the server could not find the requested resource")
        if verb == "watch":
            return await self._watch(request, api_resource, namespace)
        return await self._handle_object(
            request, verb, api_resource, (api_resource.resource, namespace, name), subresource
        )

    def _token(self, namespace: str, name: str) -> str:
        self.objects.get(("serviceaccounts", namespace, name))
        token = secrets.token_urlsafe(16)
        self.tokens[token] = f"system:serviceaccount:{namespace}:{name}"
        return token

    def _user(self, request: web.Request) -> str:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self.tokens:
            raise StatusError(401, "Unauthorized", "Unauthorized")
        return self.tokens[token]

    @staticmethod
    def _verb(request: web.Request, name: str) -> str:
        if request.method == "GET":
            return "watch" if request.query.get("watch") == "true" else "get" if name else "list"
        return {"POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}[request.method]

    def _discovery(self, parts: list[str]) -> Object | None:
        api_resources = self._api_resources.values()
        if parts == ["version"]:
            return {"major": "1", "minor": "36", "gitVersion": "v1.36.0-emulated"}
        if parts == ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        if parts == ["apis"]:
            versions = {
                api_resource.group: {"groupVersion": api_resource.api, "version": api_resource.version}
                for api_resource in api_resources
                if api_resource.group
            }
            groups = [{"name": name, "versions": [each], "preferredVersion": each} for name, each in versions.items()]
            return {"kind": "APIGroupList", "groups": groups}
        if len(parts) == (2 if parts[0] == "api" else 3):
            api = "/".join(parts[1:])
            listed = [
                {
                    "name": api_resource.plural + suffix,
                    "kind": api_resource.kind,
                    "namespaced": api_resource.namespaced,
                    "verbs": VERBS,
                }
                | {"singularName": api_resource.kind.lower()}
                for api_resource in api_resources
                if api_resource.api == api
                for suffix in (["", "/status"] if api_resource.status else [""])
            ]
            if not listed:
                raise StatusError(404, "NotFound", "the server could not find the requested resource")
            return {"kind": "APIResourceList", "groupVersion": api, "resources": listed}
        return None

    async def _handle_object(
        self, request: web.Request, verb: str, api_resource: ApiResource, key: tuple[str, str, str], subresource: str
    ) -> web.Response:
        if verb == "list":
            items = [each for each in self.objects.of(key[0], key[1] or None) if _selects(request, each)]
            metadata = {"resourceVersion": str(self.objects.version)}
            return web.json_response(
                {
                    "apiVersion": api_resource.api,
                    "kind": f"{api_resource.kind}List",
                    "metadata": metadata,
                    "items": items,
                }
            )
        if verb == "get":
            return web.json_response(self.objects.get(key))
        if verb == "delete":
            return web.json_response(self.objects.delete(key))
        body = json.loads(await request.text())
        if request.content_type == "application/apply-patch+yaml":
            if not request.query.get("fieldManager") or request.query.get("force") != "true":
                raise StatusError(409, "Conflict", "another field manager may own the fields")
            verb = verb if key in self.objects.held else "create"
        schema = self._schemas.get(api_resource.resource)
        if verb == "create":
            body = {"apiVersion": api_resource.api, "kind": api_resource.kind} | body
            body.pop("status", None) if api_resource.status else None
            return web.json_response(
                self.objects.create(key[0], key[1], schema.admitted(body, None) if schema else body), status=201
            )

        def change(before: Object) -> Object:
            patch = patches.applied if isinstance(body, list) else patches.merged
            after = body if verb == "update" else patch(before, body)
            return schema.admitted(after, before) if schema else after

        stored = self.objects.update(key, change, status=subresource == "status", has_status=api_resource.status)
        return web.json_response(stored)

    async def _watch(self, request: web.Request, api_resource: ApiResource, namespace: str) -> web.StreamResponse:
        name = dict(part.split("=") for part in request.query.get("fieldSelector", "").split(",") if part).get(
            "metadata.name"
        )

        def matches(event: WatchEvent) -> bool:
            event_resource, event_namespace, event_name = event.key
            same_kind = event_resource == api_resource.resource
            return same_kind and namespace in {"", event_namespace} and name in {None, event_name}

        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        task = asyncio.current_task()
        assert task is not None
        self._watches.add(task)
        try:
            async with asyncio.timeout(float(request.query.get("timeoutSeconds", "300"))):
                await self._stream(response, request.query.get("resourceVersion"), matches)
        except (TimeoutError, ConnectionResetError):
            pass
        except asyncio.CancelledError:
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._watches.discard(task)
        return response

    async def _stream(
        self, response: web.StreamResponse, since: str | None, matches: Callable[[WatchEvent], bool]
    ) -> None:
        async def send(kind: str, body: Object) -> None:
            await response.write(json.dumps({"type": kind, "object": body}).encode() + b"\n")

        if since in {None, "", "0"}:
            position = len(self.objects.history)
            for key, body in list(self.objects.held.items()):
                if matches(WatchEvent(0, "ADDED", key, body)):
                    await send("ADDED", body)
        else:
            if int(since or 0) < self.objects.compacted:
                gone = StatusError(410, "Expired", f"too old resource version: {since}")
                await send("ERROR", gone.body)
                return
            position = next(
                (index for index, each in enumerate(self.objects.history) if each.version > int(since or 0)),
                len(self.objects.history),
            )
        while True:
            changed = self.objects.changed
            while position < len(self.objects.history):
                event = self.objects.history[position]
                position += 1
                if matches(event):
                    await send(event.kind, event.body)
            await changed.wait()


def _selects(request: web.Request, body: Object) -> bool:
    selector = [part.split("=") for part in request.query.get("labelSelector", "").split(",") if part]
    return all(body["metadata"].get("labels", {}).get(key) == value for key, value in selector)
