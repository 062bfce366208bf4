{{/* Texts are quoted as in the parent chart: see its templates/_text.tpl. */}}

{{- define "topology-operator.name" -}}
{{- printf "%s-topology-operator" .Release.Name | trunc 52 | trimAll "-." -}}
{{- end -}}

{{- define "topology-operator.selector" -}}
app.kubernetes.io/name: topology-operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "topology-operator.labels" -}}
{{- include "topology-operator.selector" . | nindent 0 }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: warren
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end -}}

{{/* The metadata of an object. (dict "root" . "name" name); optional: "cluster" for an object without a namespace, "more" for
additional labels, "hook" with "weight" for objects that Helm creates before an upgrade. */}}
{{- define "topology-operator.metadata" -}}
name: {{ .name | quote }}
{{- if not .cluster }}
namespace: {{ .namespace | default .root.Release.Namespace | quote }}
{{- end }}
{{- $part := dict "app.kubernetes.io/component" (empty .hook | ternary "operator" "definition") }}
labels: {{- merge $part (include "topology-operator.labels" .root | fromYaml) (.more | default dict) | toYaml | nindent 2 }}
{{- if .hook }}
annotations:
  helm.sh/hook: pre-upgrade
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
  helm.sh/hook-weight: {{ .weight | quote }}
{{- end }}
{{- end -}}

{{- define "topology-operator.image" -}}
{{- $image := .Values.image -}}
{{- $parts := splitList "/" $image.prefix -}}
{{- $registry := (.Values.global | default dict).imageRegistry -}}
{{- if $registry -}}
{{- if and (gt (len $parts) 1) (regexMatch "[.:]|^localhost$" (first $parts)) -}}
{{- $parts = rest $parts -}}
{{- end -}}
{{- $parts = prepend $parts $registry -}}
{{- end -}}
{{- $version := empty $image.digest | ternary (printf ":%s" ($image.tag | default .Chart.AppVersion)) (printf "@%s" $image.digest) -}}
{{- printf "%s/%s%s" (join "/" $parts) $image.name $version -}}
{{- end -}}

{{/* The namespaces in the operator's syntax: "release" is its own namespace, an empty list means all. */}}
{{- define "topology-operator.namespaces" -}}
{{- $served := list -}}
{{- range .Values.clusterWide | ternary list .Values.namespaces -}}{{- $served = append $served (eq . "release" | ternary $.Release.Namespace .) -}}{{- end -}}
{{- $served | uniq | join "," -}}
{{- end -}}

{{/* The same roles as in operator/rbac; a test compares them. */}}
{{- define "topology-operator.rules.topologies" -}}
# patch: the finalizer.
- apiGroups: [warren.dev]
  resources: [topologies]
  verbs: [list, watch, patch]
- apiGroups: [warren.dev]
  resources: [topologies/status]
  verbs: [patch]
{{- end -}}

{{- define "topology-operator.rules.namespaced" -}}
# Brokers' addresses and users' passwords: read by name; the role may not list them.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, watch, create, patch]
- apiGroups: [rabbitmq.com]
  resources: [rabbitmqclusters]
  verbs: [get, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end -}}

{{- define "topology-operator.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Fields of a pod's spec from values. Without a user id the platform chooses one, as on OpenShift. */}}
{{- define "topology-operator.pod" -}}
{{- $security := dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- with .Values.runAsUser -}}
{{- $_ := merge $security (dict "runAsUser" (int .) "runAsGroup" (int .)) -}}
{{- end -}}
{{- $pod := dict "enableServiceLinks" false "securityContext" $security -}}
{{- $secrets := list -}}
{{- range concat ((.Values.global | default dict).imagePullSecrets | default list) .Values.image.pullSecrets | uniq -}}
{{- $secrets = append $secrets (dict "name" .) -}}
{{- end -}}
{{- with $secrets -}}{{- $_ := set $pod "imagePullSecrets" . -}}{{- end -}}
{{- range $field := list "affinity" "hostAliases" "nodeSelector" "priorityClassName" "tolerations" -}}
{{- with index $.Values $field -}}{{- $_ := set $pod $field . -}}{{- end -}}
{{- end -}}
{{- toYaml $pod -}}
{{- end -}}

{{- define "topology-operator.environment" -}}
{{- $settings := dict
  "TOPOLOGY_OPERATOR_NAMESPACES" (include "topology-operator.namespaces" .)
  "TOPOLOGY_OPERATOR_LOG_FORMAT" .Values.log.format
  "TOPOLOGY_OPERATOR_LOG_LEVEL" .Values.log.level
  "TOPOLOGY_OPERATOR_CONCURRENCY" .Values.concurrency
-}}
{{- $variables := list -}}
{{- range $name, $value := mergeOverwrite $settings (deepCopy .Values.environment) -}}
{{- $variables = append $variables (dict "name" $name "value" (kindIs "string" $value | ternary $value (toJson $value))) -}}
{{- end -}}
{{- toYaml $variables -}}
{{- end -}}

{{/* Requests and limits; amounts are texts, as Kubernetes normalises them. */}}
{{- define "topology-operator.resources" -}}
{{- $resources := deepCopy .Values.resources -}}
{{- range $kind := list "requests" "limits" -}}
{{- range $resource, $amount := index $resources $kind -}}
{{- $_ := set (index $resources $kind) $resource (kindIs "string" $amount | ternary $amount (toJson $amount)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* A binding to an account of this release. (dict "root" . "kind" ClusterRole|Role "name" name "account" name) */}}
{{- define "topology-operator.binding" -}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: {{ .kind | quote }}, name: {{ .name | quote }}}
subjects:
  - {kind: ServiceAccount, name: {{ .account | quote }}, namespace: {{ .root.Release.Namespace | quote }}}
{{- end -}}

{{- define "topology-operator.egress.apiServer" -}}
- to:
    {{- range .Values.networkPolicy.apiServer.cidrs }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
  ports:
    {{- range .Values.networkPolicy.apiServer.ports }}
    - {protocol: TCP, port: {{ . | int }}}
    {{- end }}
{{- end -}}
