{{- define "topology-operator.name" -}}
{{- printf "%s-topology-operator" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "topology-operator.selector" -}}
app.kubernetes.io/name: topology-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "topology-operator.labels" -}}
{{ include "topology-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: warren
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "topology-operator.image" -}}
{{ .Values.image.prefix }}/{{ .Values.image.name }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* The namespaces as the operator reads them: "release" is where it is installed, none are all. */}}
{{- define "topology-operator.namespaces" -}}
{{- $served := list -}}
{{- range .Values.clusterWide | ternary list .Values.namespaces -}}{{- $served = append $served (eq . "release" | ternary $.Release.Namespace .) -}}{{- end -}}
{{- $served | uniq | join "," -}}
{{- end -}}

{{/* The roles are those of operator/rbac; a test compares. */}}
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
# Brokers' addresses, users' passwords: one by one, by name; there is no right to list them.
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

{{- define "topology-operator.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* A binding to an account of this release. (dict "root" . "kind" ClusterRole|Role "name" name "account" name) */}}
{{- define "topology-operator.binding" -}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: {{ .kind }}, name: {{ .name }}}
subjects:
  - {kind: ServiceAccount, name: {{ .account }}, namespace: {{ .root.Release.Namespace }}}
{{- end -}}
