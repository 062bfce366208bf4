{{/* What holds for the pod of a server: `default`, and instead of it what its own values say. (dict "root" . "own" map) */}}
{{- define "warren.server" -}}
{{- $it := deepCopy .root.Values.default -}}
{{- range $field := list "affinity" "hostAliases" "nodeSelector" "podAnnotations" "podLabels" "priorityClassName" "tolerations" -}}
{{- with index $.own $field -}}{{- $_ := set $it $field . -}}{{- end -}}
{{- end -}}
{{- toYaml $it -}}
{{- end -}}

{{/* Pod Security "restricted". Without a number the platform chooses the user, as OpenShift does. */}}
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

{{/* Where a pod may run and what is known of it, from values: the fields of its spec besides containers and volumes.
(dict "root" . "it" settings "user" number) */}}
{{- define "warren.pod" -}}
{{- $root := .root -}}
{{- $pod := dict "enableServiceLinks" false "securityContext" (include "warren.podSecurity" .user | fromYaml) -}}
{{- with concat (($root.Values.global | default dict).imagePullSecrets | default list) $root.Values.image.pullSecrets | uniq -}}
{{- $_ := set $pod "imagePullSecrets" (include "warren.references" . | fromYamlArray) -}}
{{- end -}}
{{- $it := .it -}}
{{- range $field := list "affinity" "hostAliases" "nodeSelector" "priorityClassName" "tolerations" -}}
{{- with index $it $field -}}{{- $_ := set $pod $field . -}}{{- end -}}
{{- end -}}
{{- toYaml $pod -}}
{{- end -}}

{{/* Labels and annotations of a pod. (dict "it" settings "labels" map "annotations" map); ours win. */}}
{{- define "warren.podMetadata" -}}
{{- $metadata := dict "labels" (merge .labels .it.podLabels) -}}
{{- with merge (.annotations | default dict) .it.podAnnotations -}}
{{- $_ := set $metadata "annotations" . -}}
{{- end -}}
{{- toYaml $metadata -}}
{{- end -}}

{{/* How long a container may take to start before it counts as failed; nothing else is probed before. */}}
{{- define "warren.startup" -}}
periodSeconds: 3
timeoutSeconds: 10
failureThreshold: {{ divf . 3 | ceil | int }}
{{- end -}}

{{/* The pod of a Job, or a Pod itself. (dict "root" . "component" name "account" name "token" bool) */}}
{{- define "warren.task" -}}
serviceAccountName: {{ .account | default (include "warren.full" (dict "root" .root "component" "service")) | quote }}
automountServiceAccountToken: {{ .token | default false | toJson }}
{{- include "warren.pod" (dict "root" .root "it" .root.Values.default "user" .root.Values.default.runAsUser) | nindent 0 }}
{{- end -}}

{{/* The rights of a Role, for the account of the same name. */}}
{{- define "warren.binding" -}}
{{- $name := include "warren.full" . -}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ $name | quote }}}
subjects:
  - {kind: ServiceAccount, name: {{ $name | quote }}, namespace: {{ .root.Release.Namespace | quote }}}
{{- end -}}

{{/* What its container has in common with others. (dict "root" . "component" name "cpu" amount "memory" amount) */}}
{{- define "warren.task.container" -}}
name: {{ .component | quote }}
image: {{ include "warren.image" (dict "root" .root "program" "tools") | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy | quote }}
resources:
  requests: {cpu: {{ .cpu | default "50m" | quote }}, memory: {{ .memory | default "96Mi" | quote }}}
  limits: {memory: 256Mi}
securityContext: {{- include "warren.containerSecurity" . | nindent 2 }}
{{- end -}}
