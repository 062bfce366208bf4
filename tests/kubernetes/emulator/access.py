"""Who may do what: the rules of Roles and ClusterRoles, evaluated as RBAC does."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.kubernetes.emulator.objects import Object, ObjectStore, StatusError

ADMIN = "admin"


@dataclass(frozen=True)
class AccessRequest:
    """One request, in the words of RBAC."""

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
        self.log: list[AccessRequest] = []

    def check(self, attempt: AccessRequest) -> None:
        """Raises `StatusError`. Every attempt is remembered."""
        self.log.append(attempt)
        if attempt.user == ADMIN or any(_covers(rule, attempt) for rule in self._rules(attempt)):
            return
        raise StatusError(
            403,
            "Forbidden",
            f'{attempt.resource} is forbidden: User "{attempt.user}" cannot {attempt}',
        )

    def _rules(self, attempt: AccessRequest) -> Iterator[Object]:
        for binding in self._objects.of("clusterrolebindings.rbac.authorization.k8s.io", None):
            if _binds(binding, attempt.user):
                yield from self._role(binding, "")
        if attempt.namespace:
            for binding in self._objects.of("rolebindings.rbac.authorization.k8s.io", attempt.namespace):
                if _binds(binding, attempt.user):
                    yield from self._role(binding, attempt.namespace)

    def _role(self, binding: Object, namespace: str) -> list[Object]:
        reference = binding["roleRef"]
        kind, home = ("roles", namespace) if reference["kind"] == "Role" else ("clusterroles", "")
        role = self._objects.get((f"{kind}.rbac.authorization.k8s.io", home, reference["name"]))
        rules: list[Object] = role["rules"]
        return rules


def _binds(binding: Object, user: str) -> bool:
    return any(
        each["kind"] == "ServiceAccount" and f"system:serviceaccount:{each['namespace']}:{each['name']}" == user
        for each in binding["subjects"]
    )


def _covers(rule: Object, attempt: AccessRequest) -> bool:
    return (
        attempt.group in rule["apiGroups"]
        and attempt.resource in rule["resources"]
        and attempt.verb in rule["verbs"]
        and (not rule.get("resourceNames") or attempt.name in rule["resourceNames"])
    )
