{{/* Target queue length for one pod: the messages that it processes in `backlogSeconds`. */}}
{{- define "warren.backlogTarget" -}}
{{- mulf .backlogSeconds .messagesPerSecond | ceil | int -}}
{{- end -}}

{{/* Target arrival rate for one pod: 0.7 of its rate, because at full load its queue would only grow. */}}
{{- define "warren.rateTarget" -}}
{{- mulf .messagesPerSecond 0.7 | floor | int | max 1 -}}
{{- end -}}

{{/* Names of the components that scale on their queue; empty if there are none. */}}
{{- define "warren.scaled" -}}
{{- $scaled := list -}}
{{- range $name, $settings := .Values.components -}}
{{- if and $settings.enabled $settings.queue ($settings.autoscaling).enabled -}}{{- $scaled = append $scaled $name -}}{{- end -}}
{{- end -}}
{{- $scaled | sortAlpha | join " " -}}
{{- end -}}

{{/* Labels that identify the series of this release: see observability/monitors.yaml. */}}
{{- define "warren.metricLabels" -}}
{{- dict "namespace" .Release.Namespace "release" .Release.Name | toYaml -}}
{{- end -}}

{{/* Labels of the series of a PodMonitor; the Prometheus Operator adds `namespace`, `pod` and `instance`.
(dict "root" . "job" name) */}}
{{- define "warren.relabelings" -}}
- {targetLabel: job, replacement: {{ .job | quote }}}
- {sourceLabels: [__meta_kubernetes_pod_label_app_kubernetes_io_component], targetLabel: service}
- {targetLabel: release, replacement: {{ .root.Release.Name | quote }}}
{{- end -}}

{{/* Labels that identify the broker's series; the owner of an external broker scrapes it. */}}
{{- define "warren.broker.metricLabels" -}}
{{- if eq .Values.rabbitmq.mode "external" -}}
{{- .Values.rabbitmq.external.metricLabels | toYaml -}}
{{- else -}}
{{- include "warren.metricLabels" . -}}
{{- end -}}
{{- end -}}

{{/* Scale up at once and down slowly, so that a short pause in the load removes no pod. */}}
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
