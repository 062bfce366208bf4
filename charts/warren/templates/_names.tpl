{{- define "warren.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of a component's objects. (dict "root" . "component" name) */}}
{{- define "warren.full" -}}
{{- printf "%s-%s" (include "warren.name" .root) .component -}}
{{- end -}}

{{/* Labels that select the pods of a component; they never change. (dict "root" . "component" name) */}}
{{- define "warren.selector" -}}
app.kubernetes.io/name: warren
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component | quote }}
{{- end -}}

{{- define "warren.labels" -}}
{{- include "warren.selector" . | nindent 0 }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: warren
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | quote }}
{{- end -}}

{{/* The metadata of an object. (dict "root" . "component" name); optional: "name" instead of the component's, "more" for
additional labels, "hook" with "weight" for objects that Helm creates before or after all others. */}}
{{- define "warren.metadata" -}}
name: {{ .name | default (include "warren.full" .) | quote }}
namespace: {{ .root.Release.Namespace | quote }}
labels: {{- merge (include "warren.labels" . | fromYaml) (.more | default dict) | toYaml | nindent 2 }}
{{- if .hook }}
annotations:
  helm.sh/hook: {{ .hook | quote }}
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
  {{- with .weight }}
  helm.sh/hook-weight: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* An image reference with the registry of `global.imageRegistry`. (dict "root" . "image" reference) */}}
{{- define "warren.reference" -}}
{{- $parts := splitList "/" .image -}}
{{- $registry := (.root.Values.global | default dict).imageRegistry -}}
{{- if and $registry (gt (len $parts) 1) (regexMatch "[.:]|^localhost$" (first $parts)) -}}
{{- $parts = rest $parts -}}
{{- end -}}
{{- empty $registry | ternary $parts (prepend $parts $registry) | join "/" -}}
{{- end -}}

{{/* One of our own images. (dict "root" . "image" name) */}}
{{- define "warren.image" -}}
{{- $values := .root.Values.image -}}
{{- $digest := index $values.digests .image -}}
{{- $version := empty $digest | ternary (printf ":%s" ($values.tag | default .root.Chart.AppVersion)) (printf "@%s" $digest) -}}
{{- include "warren.reference" (dict "root" .root "image" (printf "%s/%s%s" $values.prefix .image $version)) -}}
{{- end -}}
