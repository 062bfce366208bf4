{{/* Additions to the pod template of the Cluster Operator's StatefulSet.
(dict "root" . "settings" settings "pod" fields of "warren.pod") */}}
{{- define "warren.broker.template" -}}
{{- $values := .root.Values.rabbitmq -}}
{{- $spec := pick .pod "hostAliases" "nodeSelector" "priorityClassName" -}}
{{- $selector := dict "matchLabels" (include "warren.broker.selector" .root | fromYaml) -}}
{{- /* Kubernetes ignores drained and tainted nodes for the spread, so their brokers may move to another node. */ -}}
{{- $even := dict "maxSkew" 1 "topologyKey" "kubernetes.io/hostname" "whenUnsatisfiable" $values.spread "nodeTaintsPolicy" "Honor" -}}
{{- $spread := list -}}
{{- range $values.topologySpreadConstraints | default (gt (int $values.replicas) 1 | ternary (list $even) list) -}}
{{- $spread = append $spread (merge . (dict "labelSelector" $selector)) -}}
{{- end -}}
{{- with $spread -}}{{- $_ := set $spec "topologySpreadConstraints" . -}}{{- end -}}
{{- $broker := dict "name" "rabbitmq" "startupProbe" (include "warren.broker.startup" .root | fromYaml) -}}
{{- if not $values.runAsUser -}}
{{- /* Empty security contexts replace those of the Cluster Operator, which set a user id. */ -}}
{{- $_ := set $broker "securityContext" dict -}}
{{- $_ := set $spec "securityContext" dict -}}
{{- $_ := set $spec "initContainers" (list (dict "name" "setup-container" "securityContext" dict)) -}}
{{- end -}}
{{- $template := dict "spec" (set $spec "containers" (list $broker)) -}}
{{- $metadata := dict -}}
{{- with .settings.podAnnotations -}}{{- $_ := set $metadata "annotations" . -}}{{- end -}}
{{- with .settings.podLabels -}}{{- $_ := set $metadata "labels" . -}}{{- end -}}
{{- with $metadata -}}{{- $_ := set $template "metadata" . -}}{{- end -}}
{{- toYaml $template -}}
{{- end -}}

{{/* The Cluster Operator's check with a longer timeout: its 5 seconds are too short for rabbitmqctl on a busy machine. A
node must not serve before the others have joined, because queues declared before that would have one member. */}}
{{- define "warren.broker.startup" -}}
exec:
  command: [rabbitmqctl, eval, "true = rabbit_nodes:reached_target_cluster_size()."]
periodSeconds: 10
timeoutSeconds: 60
failureThreshold: {{ divf .Values.rabbitmq.startupSeconds 10 | ceil | int }}
{{- end -}}

{{/* Configuration files of the broker in mode `simple`; a change restarts it. */}}
{{- define "warren.broker.configuration" -}}
enabled_plugins: |
  [rabbitmq_management,rabbitmq_prometheus,rabbitmq_shovel,rabbitmq_shovel_management,rabbitmq_stream].
rabbitmq.conf: |
  listeners.tcp = none
  listeners.ssl.default = 5671
  ssl_options.cacertfile = /run/warren/tls/ca.crt
  ssl_options.certfile = /run/warren/tls/tls.crt
  ssl_options.keyfile = /run/warren/tls/tls.key
  ssl_options.verify = verify_none
  ssl_options.fail_if_no_peer_cert = false
  management.ssl.port = 15671
  management.ssl.cacertfile = /run/warren/tls/ca.crt
  management.ssl.certfile = /run/warren/tls/tls.crt
  management.ssl.keyfile = /run/warren/tls/tls.key
  prometheus.ssl.port = 15691
  prometheus.ssl.cacertfile = /run/warren/tls/ca.crt
  prometheus.ssl.certfile = /run/warren/tls/tls.crt
  prometheus.ssl.keyfile = /run/warren/tls/tls.key
  default_user = admin
  default_user_tags.administrator = true
  disk_free_limit.absolute = 200MB
  log.file = false
  log.console = true
  # At other levels a channel error logs the whole malformed message. Clients log the reason why they are
  # refused.
  log.channel.level = critical
{{- end -}}
