{{/* Monitoring and tracing: see templates/observability and monitors.yaml. */}}

{{/* The URL to which processes send spans, empty if tracing is off. */}}
{{- define "warren.otlpEndpoint" -}}
{{- if .Values.observability.otlpEndpoint -}}
{{- .Values.observability.otlpEndpoint -}}
{{- else if .Values.observability.enabled -}}
{{- printf "http://%s-collector:4318" (include "warren.name" .) -}}
{{- end -}}
{{- end -}}

{{/* The variables of OpenTelemetry's SDK in a process; empty if tracing is off. The name of the pod comes from the variable
POD_NAME, which a list of variables has before these. */}}
{{- define "warren.tracing" -}}
{{- $root := . -}}
{{- with include "warren.otlpEndpoint" . -}}
{{- $attributes := list "service.namespace=warren" (printf "k8s.namespace.name=%s" $root.Release.Namespace) "k8s.pod.name=$(POD_NAME)" "service.instance.id=$(POD_NAME)" -}}
{{- $variables := dict
  "OTEL_EXPORTER_OTLP_ENDPOINT" .
  "OTEL_TRACES_SAMPLER" "parentbased_traceidratio"
  "OTEL_TRACES_SAMPLER_ARG" (include "warren.plain" $root.Values.observability.tracing.ratio)
  "OTEL_RESOURCE_ATTRIBUTES" (join "," $attributes)
-}}
{{- toYaml $variables -}}
{{- end -}}
{{- end -}}

{{/* Whether the database's metrics are exported: those of an external one are its operators' task. */}}
{{- define "warren.databaseExporter" -}}
{{- if and .Values.observability.enabled (eq .Values.postgresql.mode "simple") -}}yes{{- end -}}
{{- end -}}

{{/* Pods that may scrape metrics, as peers of a NetworkPolicy. */}}
{{- define "warren.scrapers" -}}
- namespaceSelector:
    matchLabels: {{- toYaml .Values.networkPolicy.metricsFrom | nindent 6 }}
{{- if .Values.observability.enabled }}
{{- include "warren.peer" (dict "root" . "component" "prometheus") | nindent 0 }}
{{- end }}
{{- end -}}

{{/* The egress rule of a process that sends spans. */}}
{{- define "warren.egress.traces" -}}
{{- with .Values.observability.otlpEndpoint }}
{{- $port := regexFind ":[0-9]+$" (regexFind "^https?://[^/?#]+" .) | trimPrefix ":" }}
- to: {{- toYaml $.Values.networkPolicy.tracesTo | nindent 4 }}
  ports: [{protocol: TCP, port: {{ $port | default (hasPrefix "https:" . | ternary "443" "80") | int }}}]
{{- else }}
{{- if .Values.observability.enabled }}
- to: {{- include "warren.peer" (dict "root" . "component" "collector") | nindent 4 }}
  ports: [{protocol: TCP, port: 4318}]
{{- end }}
{{- end }}
{{- end -}}

{{/* Fields that the containers of the monitoring servers share. (dict "root" . "component" name "path" of the health check
"port" its name); "own" are the values with image and resources, by default observability.<component>. */}}
{{- define "warren.observability.container" -}}
{{- $own := .own | default (index .root.Values.observability .component) -}}
name: {{ .component | quote }}
image: {{ include "warren.reference" (dict "root" .root "image" $own.image) | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy | quote }}
resources: {{- include "warren.resources" $own.resources | nindent 2 }}
securityContext: {{- include "warren.containerSecurity" .root | nindent 2 }}
startupProbe:
  httpGet: {path: {{ .path | quote }}, port: {{ .port | quote }}}
  {{- include "warren.startup" .root.Values.default.startupSeconds | nindent 2 }}
readinessProbe:
  httpGet: {path: {{ .path | quote }}, port: {{ .port | quote }}}
  timeoutSeconds: 5
livenessProbe:
  httpGet: {path: {{ .path | quote }}, port: {{ .port | quote }}}
  timeoutSeconds: 10
  failureThreshold: 6
{{- end -}}

{{/* The pod's metadata of a monitoring server; a changed configuration starts it again. (dict "root" . "component" name
"configuration" text) */}}
{{- define "warren.observability.podMetadata" -}}
{{- $annotations := dict "checksum/configuration" (sha256sum .configuration) -}}
{{- include "warren.podMetadata" (dict "settings" .root.Values.default "labels" (include "warren.labels" . | fromYaml) "annotations" $annotations) -}}
{{- end -}}

{{/* A label selector in the form of a query. */}}
{{- define "warren.query" -}}
{{- $pairs := list -}}
{{- range $label, $value := . -}}{{- $pairs = append $pairs (printf "%s=%s" $label $value) -}}{{- end -}}
{{- join "," $pairs -}}
{{- end -}}

{{/* The ConfigMap of a dashboard. (dict "root" . "path" of its file) */}}
{{- define "warren.dashboard" -}}
{{- printf "%s-dashboard-%s" (include "warren.name" .root) (base .path | trimSuffix ".json") -}}
{{- end -}}

{{/* All dashboards, as sources of a projected volume. */}}
{{- define "warren.dashboards" -}}
{{- $sources := list -}}
{{- range $path, $_ := .Files.Glob "dashboards/*.json" -}}
{{- $sources = append $sources (dict "configMap" (dict "name" (include "warren.dashboard" (dict "root" $ "path" $path)))) -}}
{{- end -}}
{{- toYaml $sources -}}
{{- end -}}
