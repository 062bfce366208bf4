{{/* Addresses and certificates of the servers. */}}
{{- define "warren.broker.host" -}}
{{- if eq .Values.rabbitmq.mode "external" -}}
{{- required "rabbitmq.external.host: where is the broker?" .Values.rabbitmq.external.host -}}
{{- else -}}
{{- printf "%s-rabbitmq" (include "warren.name" .) -}}
{{- end -}}
{{- end -}}

{{- define "warren.broker.port" -}}
{{- eq .Values.rabbitmq.mode "external" | ternary .Values.rabbitmq.external.port 5671 -}}
{{- end -}}

{{/* The broker's host name as seen from another namespace. */}}
{{- define "warren.broker.fullHost" -}}
{{- if eq .Values.rabbitmq.mode "external" -}}
{{- include "warren.broker.host" . -}}
{{- else -}}
{{- printf "%s.%s.svc" (include "warren.broker.host" .) .Release.Namespace -}}
{{- end -}}
{{- end -}}

{{- define "warren.broker.managementPort" -}}
{{- eq .Values.rabbitmq.mode "external" | ternary .Values.rabbitmq.external.managementPort 15671 -}}
{{- end -}}

{{/* The parameters of a scrape of /metrics/detailed: the series of each queue. */}}
{{- define "warren.broker.queueSeries" -}}
family: [queue_coarse_metrics, queue_consumer_count]
vhost: [{{ .Values.rabbitmq.vhost | quote }}]
{{- end -}}

{{- define "warren.database.host" -}}
{{- if eq .Values.postgresql.mode "external" -}}
{{- required "postgresql.external.host: where is the database?" .Values.postgresql.external.host -}}
{{- else -}}
{{- printf "%s-postgresql" (include "warren.name" .) -}}
{{- end -}}
{{- end -}}

{{- define "warren.database.port" -}}
{{- eq .Values.postgresql.mode "external" | ternary .Values.postgresql.external.port 5432 -}}
{{- end -}}

{{/* The database's address without the role; each service adds its own. */}}
{{- define "warren.database.address" -}}
{{- printf "%s:%s/%s" (include "warren.database.host" .) (include "warren.database.port" .) .Values.postgresql.database -}}
{{- end -}}

{{/* ca.crt of a server as a source of a projected volume: a ConfigMap, or with cert-manager, which creates no ConfigMap, one
key of the server's Secret. */}}
{{- define "warren.database.trustSource" -}}
{{- $certified := and .Values.trust.certManager.enabled (eq .Values.postgresql.mode "simple") -}}
{{- include "warren.trustSource" (dict "configMap" .Values.postgresql.external.caConfigMap "secret" ($certified | ternary "postgresql-tls" "")) -}}
{{- end -}}
{{- define "warren.broker.trustSource" -}}
{{- $certified := and .Values.trust.certManager.enabled (ne .Values.rabbitmq.mode "external") -}}
{{- include "warren.trustSource" (dict "configMap" .Values.rabbitmq.external.caConfigMap "secret" ($certified | ternary "rabbitmq-tls" "")) -}}
{{- end -}}
{{- define "warren.sinks.trustSource" -}}
{{- include "warren.trustSource" (dict "configMap" "" "secret" (.Values.trust.certManager.enabled | ternary "sinks-tls" "")) -}}
{{- end -}}
{{- define "warren.trustSource" -}}
{{- if .secret -}}
secret: {name: {{ .secret | quote }}}
{{- else -}}
configMap: {name: {{ .configMap | default "warren-trust" | quote }}}
{{- end -}}
{{- end -}}

{{/* The sources of a pod's projected volume of certificates. (dict "root" . "sinks" bool "broker" bool) */}}
{{- define "warren.trust" -}}
{{- $files := dict "database.crt" (include "warren.database.trustSource" .root | fromYaml) -}}
{{- if .broker }}{{- $_ := set $files "broker.crt" (include "warren.broker.trustSource" .root | fromYaml) -}}{{- end -}}
{{- if .sinks }}{{- $_ := set $files "sinks.crt" (include "warren.sinks.trustSource" .root | fromYaml) -}}{{- end -}}
{{- $sources := list -}}
{{- range $file, $source := $files -}}
{{- range $kind, $reference := $source -}}
{{- $item := dict "key" "ca.crt" "path" $file -}}
{{- $sources = append $sources (dict $kind (dict "name" $reference.name "items" (list $item))) -}}
{{- end -}}
{{- end -}}
{{- toYaml $sources -}}
{{- end -}}

{{/* The servers' certificates: Secret and names. */}}
{{- define "warren.certificates" -}}
{{- $domain := printf "%s.svc" .Release.Namespace -}}
{{- if ne .Values.rabbitmq.mode "external" }}
{{- $broker := printf "%s-rabbitmq" (include "warren.name" .) }}
{{- $nodes := printf "*.%s-nodes.%s" $broker $domain }}
rabbitmq-tls:
  names: {{ list $broker (printf "%s.%s" $broker $domain) (printf "%s.%s.cluster.local" $broker $domain) $nodes (printf "%s.cluster.local" $nodes) "localhost" | toJson }}
{{- end }}
{{- if eq .Values.postgresql.mode "simple" }}
{{- $database := printf "%s-postgresql" (include "warren.name" .) }}
postgresql-tls:
  names: {{ list $database (printf "%s.%s" $database $domain) "localhost" | toJson }}
{{- end }}
{{- if .Values.sinks.enabled }}
{{- $sinks := printf "%s-sinks" (include "warren.name" .) }}
sinks-tls:
  names: {{ list $sinks (printf "%s.%s" $sinks $domain) | toJson }}
{{- end }}
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

{{/* A component's settings, completed from `default`. (dict "root" . "name" name) */}}
{{- define "warren.component" -}}
{{- mergeOverwrite (deepCopy .root.Values.default) (deepCopy (index .root.Values.components .name)) | toYaml -}}
{{- end -}}

{{/* The role that owns the tables. */}}
{{- define "warren.database.owner" -}}
{{- eq .Values.postgresql.mode "external" | ternary .Values.postgresql.external.owner "postgres" -}}
{{- end -}}

{{/* Number of broker connections that the pods of one service may open: see `limits` in the files of topology/.
(dict "root" . "service" name) */}}
{{- define "warren.topology.connections" -}}
{{- $pods := 0 }}
{{- range $name, $component := .root.Values.components }}
{{- if and $component (eq (toString $component.service) $.service) }}
{{- $replicas := int ($component.replicas | default $.root.Values.default.replicas) }}
{{- with $component.autoscaling }}
{{- if .enabled }}
{{- $replicas = max $replicas (int .maximum) }}
{{- end }}
{{- end }}
{{- $pods = add $pods $replicas 1 }}
{{- end }}
{{- end }}
{{- mul 4 $pods -}}
{{- end -}}
