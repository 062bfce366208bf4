{{- define "warren.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* What selects the pods of a component; never changes. (dict "root" . "component" name) */}}
{{- define "warren.selector" -}}
app.kubernetes.io/name: warren
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "warren.labels" -}}
{{ include "warren.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: warren
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* (dict "root" . "program" name) */}}
{{- define "warren.image" -}}
{{ .root.Values.image.prefix }}/{{ .program }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end -}}

{{/* Pod Security "restricted", for a user that is a number. */}}
{{- define "warren.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "warren.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "warren.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Where the servers are. */}}
{{- define "warren.broker.host" -}}
{{- if eq .Values.rabbitmq.mode "external" -}}
{{ required "rabbitmq.external.host: where is the broker?" .Values.rabbitmq.external.host }}
{{- else -}}
{{ include "warren.name" . }}-rabbitmq
{{- end -}}
{{- end -}}

{{- define "warren.broker.port" -}}
{{- eq .Values.rabbitmq.mode "external" | ternary .Values.rabbitmq.external.port 5671 -}}
{{- end -}}

{{- define "warren.database.host" -}}
{{- if eq .Values.postgresql.mode "external" -}}
{{ required "postgresql.external.host: where is the database?" .Values.postgresql.external.host }}
{{- else -}}
{{ include "warren.name" . }}-postgresql
{{- end -}}
{{- end -}}

{{- define "warren.database.port" -}}
{{- eq .Values.postgresql.mode "external" | ternary .Values.postgresql.external.port 5432 -}}
{{- end -}}

{{/* Without the role, which each service has of its own. */}}
{{- define "warren.database.address" -}}
{{ include "warren.database.host" . }}:{{ include "warren.database.port" . }}/{{ .Values.postgresql.database }}
{{- end -}}

{{/* ConfigMaps with ca.crt. */}}
{{- define "warren.database.trust" -}}
{{- .Values.postgresql.external.caConfigMap | default "warren-trust" -}}
{{- end -}}
{{- define "warren.broker.trust" -}}
{{- .Values.rabbitmq.external.caConfigMap | default "warren-trust" -}}
{{- end -}}

{{- define "warren.database.adminSecret" -}}
{{- .Values.postgresql.external.adminSecret | default "postgresql-admin" -}}
{{- end -}}

{{- define "warren.tokenSecret" -}}
{{- .Values.auth.existingSecret | default "token-key" -}}
{{- end -}}

{{/* Every service that has a database schema, once. */}}
{{- define "warren.services" -}}
{{- $services := list -}}
{{- range .Values.components -}}{{- if .enabled -}}{{- $services = append $services .service -}}{{- end -}}{{- end -}}
{{- $services | uniq | sortAlpha | join " " -}}
{{- end -}}

{{/* A component with what `default` says where it is silent. (dict "root" . "name" name) */}}
{{- define "warren.component" -}}
{{- $own := index .root.Values.components .name -}}
{{- mergeOverwrite (deepCopy .root.Values.default) (deepCopy $own) | toYaml -}}
{{- end -}}
