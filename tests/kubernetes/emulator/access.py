"""Authorization by the rules of Roles and ClusterRoles, as RBAC evaluates them."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.kubernetes.emulator.objects import Object, ObjectStore, StatusError

ADMIN = "admin"
RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class AccessRequest:
    """The attributes of a request that RBAC decides by."""

    user: str
    verb: str
    group: str
    resource: str
    """With the subresource: `topologies/status`."""
    namespace: str
    name: str

    def __str__(self) -> str:
        where = f" in namespace {self.namespace}" if self.namespace else " in the whole cluster"
        group = f".{self.group}" if self.group else ""
        return f"{self.verb} {self.resource}{group}{where}"


class RbacAuthorizer:
    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self.requests: list[AccessRequest] = []

    def check(self, request: AccessRequest) -> None:
        """Records the request. Raises `StatusError` if it is not allowed."""
        self.requests.append(request)
        if request.user != ADMIN and not any(_covers(rule, request) for rule in self._rules(request)):
            text = f'{request.resource} is forbidden: User "{request.user}" cannot {request}'
            raise StatusError(403, "Forbidden", text)

    def _rules(self, request: AccessRequest) -> Iterator[Object]:
        bindings = [(each, "") for each in self._objects.of(f"clusterrolebindings.{RBAC}", None)]
        if namespace := request.namespace:
            bindings += [(each, namespace) for each in self._objects.of(f"rolebindings.{RBAC}", namespace)]
        for binding, namespace in bindings:
            if _binds(binding, request.user):
                reference = binding["roleRef"]
                kind, scope = ("roles", namespace) if reference["kind"] == "Role" else ("clusterroles", "")
                yield from self._objects.get((f"{kind}.{RBAC}", scope, reference["name"]))["rules"]


def _binds(binding: Object, user: str) -> bool:
    return any(
        each["kind"] == "ServiceAccount" and f"system:serviceaccount:{each['namespace']}:{each['name']}" == user
        for each in binding["subjects"]
    )


def _covers(rule: Object, request: AccessRequest) -> bool:
    return (
        request.group in rule["apiGroups"]
        and request.resource in rule["resources"]
        and request.verb in rule["verbs"]
        and (not rule.get("resourceNames") or request.name in rule["resourceNames"])
    )
