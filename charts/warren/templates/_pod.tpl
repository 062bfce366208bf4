{{/* Settings of a server's pod: its own values, else those of `default`. (dict "root" . "own" map) */}}
{{- define "warren.server" -}}
{{- $settings := deepCopy .root.Values.default -}}
{{- range $field := list "affinity" "hostAliases" "nodeSelector" "podAnnotations" "podLabels" "priorityClassName" "tolerations" -}}
{{- with index $.own $field -}}{{- $_ := set $settings $field . -}}{{- end -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{/* Pod Security "restricted". Without a user id the platform chooses one, as on OpenShift. */}}
{{- define "warren.podSecurity" -}}
{{- $security := dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- with . -}}
{{- $_ := merge $security (dict "runAsUser" (int .) "runAsGroup" (int .) "fsGroup" (int .) "fsGroupChangePolicy" "OnRootMismatch") -}}
{{- end -}}
{{- toYaml $security -}}
{{- end -}}

{{- define "warren.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Fields of a pod's spec from values, except containers and volumes.
(dict "root" . "settings" settings "user" number) */}}
{{- define "warren.pod" -}}
{{- $root := .root -}}
{{- $pod := dict "enableServiceLinks" false "securityContext" (include "warren.podSecurity" .user | fromYaml) -}}
{{- with concat (($root.Values.global | default dict).imagePullSecrets | default list) $root.Values.image.pullSecrets | uniq -}}
{{- $_ := set $pod "imagePullSecrets" (include "warren.references" . | fromYamlArray) -}}
{{- end -}}
{{- $settings := .settings -}}
{{- range $field := list "affinity" "hostAliases" "nodeSelector" "priorityClassName" "tolerations" -}}
{{- with index $settings $field -}}{{- $_ := set $pod $field . -}}{{- end -}}
{{- end -}}
{{- toYaml $pod -}}
{{- end -}}

{{/* Labels and annotations of a pod. (dict "settings" settings "labels" map "annotations" map); the chart's own have precedence. */}}
{{- define "warren.podMetadata" -}}
{{- $metadata := dict "labels" (merge .labels .settings.podLabels) -}}
{{- with merge (.annotations | default dict) .settings.podAnnotations -}}
{{- $_ := set $metadata "annotations" . -}}
{{- end -}}
{{- toYaml $metadata -}}
{{- end -}}

{{/* The time limit of a startup probe; other probes start after it has succeeded. */}}
{{- define "warren.startup" -}}
periodSeconds: 3
timeoutSeconds: 10
failureThreshold: {{ divf . 3 | ceil | int }}
{{- end -}}

{{/* The pod of a Job, or a Pod itself. (dict "root" . "component" name "account" name "token" bool) */}}
{{- define "warren.task" -}}
serviceAccountName: {{ .account | default (include "warren.full" (dict "root" .root "component" "service")) | quote }}
automountServiceAccountToken: {{ .token | default false | toJson }}
{{- include "warren.pod" (dict "root" .root "settings" .root.Values.default "user" .root.Values.default.runAsUser) | nindent 0 }}
{{- end -}}

{{/* Binds a Role to the ServiceAccount of the same name. */}}
{{- define "warren.binding" -}}
{{- $name := include "warren.full" . -}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ $name | quote }}}
subjects:
  - {kind: ServiceAccount, name: {{ $name | quote }}, namespace: {{ .root.Release.Namespace | quote }}}
{{- end -}}

{{/* Fields that the containers of all Jobs share. (dict "root" . "component" name "cpu" amount "memory" amount) */}}
{{- define "warren.task.container" -}}
name: {{ .component | quote }}
image: {{ include "warren.image" (dict "root" .root "image" "tools") | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy | quote }}
resources:
  requests: {cpu: {{ .cpu | default "50m" | quote }}, memory: {{ .memory | default "96Mi" | quote }}}
  limits: {memory: 256Mi}
securityContext: {{- include "warren.containerSecurity" . | nindent 2 }}
{{- end -}}
