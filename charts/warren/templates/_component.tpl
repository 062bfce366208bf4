{{/* The environment of a process. (dict "root" . "settings" values) */}}
{{- define "warren.environment" -}}
{{- $root := .root -}}
{{- $environment := dict
  "WARREN_DATABASE_URL" (printf "postgresql://%s@%s" .settings.service (include "warren.database.address" $root))
  "WARREN_DATABASE_PASSWORD_FILE" "/run/warren/database/password"
  "WARREN_DATABASE_CA_FILE" "/run/warren/trust/database.crt"
  "WARREN_BROKER_URL" (printf "amqps://%s:%s/%s" (include "warren.broker.host" $root) (include "warren.broker.port" $root) $root.Values.rabbitmq.vhost)
  "WARREN_BROKER_CREDENTIALS" "/run/warren/broker"
  "WARREN_BROKER_CA_FILE" "/run/warren/trust/broker.crt"
  "WARREN_SHUTDOWN_SECONDS" (sub (int .settings.terminationGracePeriodSeconds) (add (int .settings.preStopSeconds) 2) | toString)
-}}
{{- if .settings.http -}}
{{- $_ := set $environment "WARREN_TOKEN_KEY_FILE" "/run/warren/token/password" -}}
{{- end -}}
{{- if eq .settings.service "email" -}}
{{- $sinks := empty $root.Values.mail.host -}}
{{- $_ := set $environment "WARREN_SMTP_HOST" ($root.Values.mail.host | default (printf "%s-sinks" (include "warren.name" $root))) -}}
{{- $_ := set $environment "WARREN_SMTP_PORT" ($sinks | ternary 2525 $root.Values.mail.port | toString) -}}
{{- $_ := set $environment "WARREN_SMTP_SENDER" $root.Values.mail.sender -}}
{{- $_ := set $environment "WARREN_SMTP_CA_FILE" ($sinks | ternary "/run/warren/trust/sinks.crt" "/etc/ssl/certs/ca-certificates.crt") -}}
{{- if $root.Values.mail.credentialsSecret -}}
{{- $_ := set $environment "WARREN_SMTP_CREDENTIALS" "/run/warren/mail" -}}
{{- end -}}
{{- end -}}
{{- if eq .settings.service "sms" -}}
{{- $_ := set $environment "WARREN_SMS_URL" ($root.Values.sms.url | default (printf "https://%s-sinks:8025/messages" (include "warren.name" $root))) -}}
{{- if not $root.Values.sms.url -}}
{{- $_ := set $environment "WARREN_SMS_CA_FILE" "/run/warren/trust/sinks.crt" -}}
{{- end -}}
{{- if $root.Values.sms.tokenSecret -}}
{{- $_ := set $environment "WARREN_SMS_TOKEN_FILE" "/run/warren/sms/token" -}}
{{- end -}}
{{- end -}}
{{- $variables := list -}}
{{- with include "warren.tracing" $root | fromYaml -}}
{{- $_ := merge $environment . -}}
{{- $variables = append $variables (dict "name" "POD_NAME" "valueFrom" (dict "fieldRef" (dict "fieldPath" "metadata.name"))) -}}
{{- end -}}
{{- $own := .settings.env | default list -}}
{{- $named := dict -}}
{{- range $own -}}{{- $_ := set $named .name true -}}{{- end -}}
{{- range $name, $value := mergeOverwrite $environment .settings.environment -}}
{{- if not (hasKey $named $name) -}}
{{- $variables = append $variables (dict "name" $name "value" (include "warren.plain" $value)) -}}
{{- end -}}
{{- end -}}
{{- concat $variables $own | toYaml -}}
{{- end -}}

{{/* Additional Secrets of one component, as name: Secret. (dict "root" . "settings" values) */}}
{{- define "warren.secrets" -}}
{{- $secrets := dict "broker" (printf "%s-rabbitmq" .settings.service) "database" (printf "%s-postgres" .settings.service) -}}
{{- if .settings.http -}}
{{- $_ := set $secrets "token" (include "warren.tokenSecret" .root) -}}
{{- end -}}
{{- if and (eq .settings.service "email") .root.Values.mail.credentialsSecret -}}
{{- $_ := set $secrets "mail" .root.Values.mail.credentialsSecret -}}
{{- end -}}
{{- if and (eq .settings.service "sms") .root.Values.sms.tokenSecret -}}
{{- $_ := set $secrets "sms" .root.Values.sms.tokenSecret -}}
{{- end -}}
{{- merge $secrets (.settings.secrets | default dict) | toYaml -}}
{{- end -}}

{{/* Fields that all containers of a component share. (dict "root" . "settings" values) */}}
{{- define "warren.component.container" -}}
image: {{ include "warren.image" (dict "root" .root "image" .settings.service) | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy | quote }}
env: {{- include "warren.environment" . | nindent 2 }}
{{- with .settings.envFrom }}
envFrom: {{- toYaml . | nindent 2 }}
{{- end }}
resources: {{- include "warren.resources" .settings.resources | nindent 2 }}
securityContext: {{- include "warren.containerSecurity" .root | nindent 2 }}
volumeMounts:
  - {name: trust, mountPath: /run/warren/trust, readOnly: true}
  {{- range $name := include "warren.secrets" . | fromYaml | keys | sortAlpha }}
  - {name: {{ $name | quote }}, mountPath: {{ printf "/run/warren/%s" $name | quote }}, readOnly: true}
  {{- end }}
  {{- with .settings.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Topology spread constraints of a component's pods. (dict "root" . "settings" values "component" name) */}}
{{- define "warren.spread" -}}
{{- $selector := dict "matchLabels" (include "warren.selector" . | fromYaml) -}}
{{- $even := dict "maxSkew" 1 "topologyKey" "kubernetes.io/hostname" "whenUnsatisfiable" "ScheduleAnyway" -}}
{{- $spread := list -}}
{{- range .settings.topologySpreadConstraints | default (.settings.topologySpread | ternary (list $even) list) -}}
{{- $spread = append $spread (merge . (dict "labelSelector" $selector)) -}}
{{- end -}}
{{- toYaml $spread -}}
{{- end -}}
