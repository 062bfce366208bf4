{{/* Rules for values in YAML. Texts are quoted (`quote`, `toYaml`, `toJson`), whole numbers end in `int`, and a value that may
be either goes through "warren.plain"; tests/charts/test_quoting.py reports violations. A line that is one action between
`{{-` and `-}}` returns a text to the including template, which quotes it. */}}

{{/* A value as text; numbers without an exponent (1000000, not 1e+06). */}}
{{- define "warren.plain" -}}
{{- kindIs "string" . | ternary . (toJson .) -}}
{{- end -}}

{{/* Requests and limits; amounts are texts, as Kubernetes normalises them. */}}
{{- define "warren.resources" -}}
{{- $resources := deepCopy . -}}
{{- range $kind := list "requests" "limits" -}}
{{- range $resource, $amount := index $resources $kind -}}
{{- $_ := set (index $resources $kind) $resource (include "warren.plain" $amount) -}}
{{- end -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* Networks as peers of a NetworkPolicy. */}}
{{- define "warren.networks" -}}
{{- range . }}
- ipBlock: {cidr: {{ . | quote }}}
{{- end }}
{{- end -}}

{{/* Names of Secrets as a list of references. */}}
{{- define "warren.references" -}}
{{- range . }}
- {name: {{ . | quote }}}
{{- end }}
{{- end -}}
