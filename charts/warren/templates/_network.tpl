{{/* Parts of NetworkPolicies. */}}

{{/* Metadata and selector of a policy for the pods of one component. (dict "root" . "component" name) */}}
{{- define "warren.policy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{- include "warren.metadata" (merge (dict "weight" "-20") .) | nindent 2 }}
spec:
  podSelector:
    matchLabels: {{- include "warren.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
{{- end -}}

{{/* The pods of one component as a peer. (dict "root" . "component" name) */}}
{{- define "warren.peer" -}}
- podSelector:
    matchLabels: {{- include "warren.selector" . | nindent 6 }}
{{- end -}}

{{- define "warren.egress.dns" -}}
- to: {{- toYaml .Values.networkPolicy.dns | nindent 4 }}
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end -}}

{{- define "warren.egress.apiServer" -}}
- to:
    {{- include "warren.networks" .Values.networkPolicy.apiServer.cidrs | nindent 4 }}
  ports:
    {{- range .Values.networkPolicy.apiServer.ports }}
    - {protocol: TCP, port: {{ . | int }}}
    {{- end }}
{{- end -}}

{{- define "warren.egress.database" -}}
- to:
    {{- if eq .Values.postgresql.mode "external" }}
    {{- include "warren.networks" .Values.postgresql.external.cidrs | nindent 4 }}
    {{- else }}
    {{- include "warren.peer" (dict "root" . "component" "postgresql") | nindent 4 }}
    {{- end }}
  ports:
    - {protocol: TCP, port: {{ include "warren.database.port" . | int }}}
{{- end -}}

{{- define "warren.egress.broker" -}}
- to:
    {{- if eq .Values.rabbitmq.mode "external" }}
    {{- include "warren.networks" .Values.rabbitmq.external.cidrs | nindent 4 }}
    {{- else }}
    - podSelector:
        matchLabels: {{- include "warren.broker.selector" . | nindent 10 }}
    {{- end }}
  ports:
    - {protocol: TCP, port: {{ include "warren.broker.port" . | int }}}
{{- end -}}

{{/* Labels that select the broker's pods: the Cluster Operator uses its own. */}}
{{- define "warren.broker.selector" -}}
{{- if eq .Values.rabbitmq.mode "clusterOperator" -}}
app.kubernetes.io/name: {{ include "warren.broker.host" . | quote }}
app.kubernetes.io/component: rabbitmq
{{- else -}}
{{- include "warren.selector" (dict "root" . "component" "rabbitmq") | nindent 0 }}
{{- end -}}
{{- end -}}

{{/* Egress rules of a component besides database and broker. (dict "root" . "settings" values) */}}
{{- define "warren.egress.own" -}}
{{- if eq .settings.service "email" }}
{{- if .root.Values.mail.host }}
- to:
    {{- include "warren.networks" .root.Values.mail.cidrs | nindent 4 }}
  ports: [{protocol: TCP, port: {{ .root.Values.mail.port | int }}}]
{{- else }}
- to: {{- include "warren.peer" (dict "root" .root "component" "sinks") | nindent 4 }}
  ports: [{protocol: TCP, port: 2525}]
{{- end }}
{{- end }}
{{- if eq .settings.service "sms" }}
{{- if .root.Values.sms.url }}
{{- $host := regexFind "^https://[^/?#]+" .root.Values.sms.url }}
- to:
    {{- include "warren.networks" .root.Values.sms.cidrs | nindent 4 }}
  ports: [{protocol: TCP, port: {{ regexFind ":[0-9]+$" $host | trimPrefix ":" | default "443" | int }}}]
{{- else }}
- to: {{- include "warren.peer" (dict "root" .root "component" "sinks") | nindent 4 }}
  ports: [{protocol: TCP, port: 8025}]
{{- end }}
{{- end }}
{{- with .settings.egress }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end -}}
