{{/* Messages that one pod may have before it: as many as it processes in the seconds that anybody may wait. */}}
{{- define "warren.backlogTarget" -}}
{{- mulf .backlogSeconds .messagesPerSecond | ceil | int -}}
{{- end -}}

{{/* Messages a second that one pod is given before there is another: seven tenths of what it can do, since a pod that
always has work has a queue that only grows. */}}
{{- define "warren.rateTarget" -}}
{{- mulf .messagesPerSecond 0.7 | floor | int | max 1 -}}
{{- end -}}

{{/* Names of the components that are scaled by their queue, or nothing. */}}
{{- define "warren.scaled" -}}
{{- $scaled := list -}}
{{- range $name, $it := .Values.components -}}
{{- if and $it.enabled $it.queue ($it.autoscaling).enabled -}}{{- $scaled = append $scaled $name -}}{{- end -}}
{{- end -}}
{{- $scaled | sortAlpha | join " " -}}
{{- end -}}

{{/* Labels that every series of this release has and no series of another one: see monitors.yaml. */}}
{{- define "warren.metricLabels" -}}
{{- dict "namespace" .Release.Namespace "release" .Release.Name | toYaml -}}
{{- end -}}

{{/* What gives the series of a PodMonitor the label `release`; Prometheus's operator gives them `namespace`. */}}
{{- define "warren.relabelings" -}}
- {targetLabel: release, replacement: {{ .Release.Name | quote }}}
{{- end -}}

{{/* The same of the broker's series; a broker that exists is scraped by its owner. */}}
{{- define "warren.broker.metricLabels" -}}
{{- if eq .Values.rabbitmq.mode "external" -}}
{{- .Values.rabbitmq.external.metricLabels | toYaml -}}
{{- else -}}
{{- include "warren.metricLabels" . -}}
{{- end -}}
{{- end -}}

{{/* A crowd comes at once and goes slowly: what has just been started is not stopped at the first lull. */}}
{{- define "warren.scaling.behavior" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  policies:
    - {type: Pods, value: 2, periodSeconds: 15}
    - {type: Percent, value: 100, periodSeconds: 15}
scaleDown:
  stabilizationWindowSeconds: {{ .Values.autoscaling.scaleDownSeconds | int }}
  policies:
    - {type: Pods, value: 1, periodSeconds: 30}
{{- end -}}
