{{/* How values become YAML. Texts are quoted where they are written (`quote`, `toYaml`, `toJson`), whole numbers end in
`int`, and both kinds go through "warren.plain" where either may come; tests/charts/test_quoting.py finds what does not.
A line that is one action between `{{-` and `-}}` hands a text to the template that includes it, which quotes it. */}}

{{/* A value as people write it: a number without an exponent (1000000 and not 1e+06). */}}
{{- define "warren.plain" -}}
{{- kindIs "string" . | ternary . (toJson .) -}}
{{- end -}}

{{/* Requests and limits: amounts as texts, which is how Kubernetes writes them itself. */}}
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
