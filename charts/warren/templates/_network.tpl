{{/* Parts of NetworkPolicies. What is selected and what is allowed are both Kubernetes' own words. */}}

{{/* The head of a policy for the pods of one component. (dict "root" . "component" name) */}}
{{- define "warren.policy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "warren.name" .root }}-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "warren.labels" . | nindent 4 }}
  {{- with .hook }}
  annotations:
    helm.sh/hook: {{ . }}
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
    helm.sh/hook-weight: "-20"
  {{- end }}
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
    {{- range .Values.networkPolicy.apiServer.cidrs }}
    - ipBlock: {cidr: {{ . }}}
    {{- end }}
  ports:
    {{- range .Values.networkPolicy.apiServer.ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end -}}

{{- define "warren.egress.database" -}}
- to:
    {{- if eq .Values.postgresql.mode "external" }}
    {{- range .Values.postgresql.external.cidrs }}
    - ipBlock: {cidr: {{ . }}}
    {{- end }}
    {{- else }}
    {{- include "warren.peer" (dict "root" . "component" "postgresql") | nindent 4 }}
    {{- end }}
  ports:
    - {protocol: TCP, port: {{ include "warren.database.port" . }}}
{{- end -}}

{{- define "warren.egress.broker" -}}
- to:
    {{- if eq .Values.rabbitmq.mode "external" }}
    {{- range .Values.rabbitmq.external.cidrs }}
    - ipBlock: {cidr: {{ . }}}
    {{- end }}
    {{- else }}
    - podSelector:
        matchLabels: {{- include "warren.broker.selector" . | nindent 10 }}
    {{- end }}
  ports:
    - {protocol: TCP, port: {{ include "warren.broker.port" . }}}
{{- end -}}

{{/* What selects the broker's pods: the cluster operator gives its own labels to those that it makes. */}}
{{- define "warren.broker.selector" -}}
{{- if eq .Values.rabbitmq.mode "clusterOperator" -}}
app.kubernetes.io/name: {{ include "warren.broker.host" . }}
app.kubernetes.io/component: rabbitmq
{{- else -}}
{{ include "warren.selector" (dict "root" . "component" "rabbitmq") }}
{{- end -}}
{{- end -}}

{{/* What a component calls besides database and broker. (dict "root" . "it" component) */}}
{{- define "warren.egress.own" -}}
{{- if eq .it.service "email" }}
{{- if .root.Values.mail.host }}
- to:
    {{- range .root.Values.mail.cidrs }}
    - ipBlock: {cidr: {{ . }}}
    {{- end }}
  ports: [{protocol: TCP, port: {{ .root.Values.mail.port }}}]
{{- else }}
- to: {{- include "warren.peer" (dict "root" .root "component" "sinks") | nindent 4 }}
  ports: [{protocol: TCP, port: 2525}]
{{- end }}
{{- end }}
{{- if eq .it.service "sms" }}
{{- if .root.Values.sms.url }}
{{- $host := (urlParse .root.Values.sms.url).host }}
- to:
    {{- range .root.Values.sms.cidrs }}
    - ipBlock: {cidr: {{ . }}}
    {{- end }}
  ports: [{protocol: TCP, port: {{ contains ":" $host | ternary (splitList ":" $host | last) "443" }}}]
{{- else }}
- to: {{- include "warren.peer" (dict "root" .root "component" "sinks") | nindent 4 }}
  ports: [{protocol: TCP, port: 8025}]
{{- end }}
{{- end }}
{{- with .it.egress }}
{{ toYaml . }}
{{- end }}
{{- end -}}
