{{/* What a process is told. (dict "root" . "it" component "name" name) */}}
{{- define "warren.environment" -}}
{{- $root := .root -}}
{{- $settings := dict
  "WARREN_DATABASE_URL" (printf "postgresql://%s@%s" .it.service (include "warren.database.address" $root))
  "WARREN_DATABASE_PASSWORD_FILE" "/run/warren/database/password"
  "WARREN_DATABASE_CA_FILE" "/run/warren/trust/database.crt"
  "WARREN_BROKER_URL" (printf "amqps://%s:%s/%s" (include "warren.broker.host" $root) (include "warren.broker.port" $root) $root.Values.rabbitmq.vhost)
  "WARREN_BROKER_CREDENTIALS" "/run/warren/broker"
  "WARREN_BROKER_CA_FILE" "/run/warren/trust/broker.crt"
  "WARREN_SHUTDOWN_SECONDS" (sub (int .it.grace) (add (int .it.preStopSeconds) 2) | toString)
-}}
{{- if .it.http -}}
{{- $_ := set $settings "WARREN_TOKEN_KEY_FILE" "/run/warren/token/password" -}}
{{- end -}}
{{- if eq .it.service "email" -}}
{{- $sinks := empty $root.Values.mail.host -}}
{{- $_ := set $settings "WARREN_SMTP_HOST" ($root.Values.mail.host | default (printf "%s-sinks" (include "warren.name" $root))) -}}
{{- $_ := set $settings "WARREN_SMTP_PORT" ($sinks | ternary 2525 $root.Values.mail.port | toString) -}}
{{- $_ := set $settings "WARREN_SMTP_SENDER" $root.Values.mail.sender -}}
{{- $_ := set $settings "WARREN_SMTP_CA_FILE" ($sinks | ternary "/run/warren/trust/sinks.crt" "/etc/ssl/certs/ca-certificates.crt") -}}
{{- if $root.Values.mail.credentialsSecret -}}
{{- $_ := set $settings "WARREN_SMTP_CREDENTIALS" "/run/warren/mail" -}}
{{- end -}}
{{- end -}}
{{- if eq .it.service "sms" -}}
{{- $_ := set $settings "WARREN_SMS_URL" ($root.Values.sms.url | default (printf "https://%s-sinks:8025/messages" (include "warren.name" $root))) -}}
{{- if not $root.Values.sms.url -}}
{{- $_ := set $settings "WARREN_SMS_CA_FILE" "/run/warren/trust/sinks.crt" -}}
{{- end -}}
{{- if $root.Values.sms.tokenSecret -}}
{{- $_ := set $settings "WARREN_SMS_TOKEN_FILE" "/run/warren/sms/token" -}}
{{- end -}}
{{- end -}}
{{- $own := index $root.Values.components .name -}}
{{- range $key, $value := mergeOverwrite $settings (deepCopy $root.Values.default.environment) (deepCopy ($own.environment | default dict)) }}
- {name: {{ $key }}, value: {{ $value | toString | quote }}}
{{- end }}
{{- end -}}

{{/* Its own Secrets and nobody else's. */}}
{{- define "warren.mounts" -}}
- {name: broker, mountPath: /run/warren/broker, readOnly: true}
- {name: database, mountPath: /run/warren/database, readOnly: true}
- {name: trust, mountPath: /run/warren/trust, readOnly: true}
{{- if .it.http }}
- {name: token, mountPath: /run/warren/token, readOnly: true}
{{- end }}
{{- range $folder, $secret := .it.secrets }}
- {name: {{ $folder }}, mountPath: /run/warren/{{ $folder }}, readOnly: true}
{{- end }}
{{- if and (eq .it.service "email") .root.Values.mail.credentialsSecret }}
- {name: mail, mountPath: /run/warren/mail, readOnly: true}
{{- end }}
{{- if and (eq .it.service "sms") .root.Values.sms.tokenSecret }}
- {name: sms, mountPath: /run/warren/sms, readOnly: true}
{{- end }}
{{- end -}}
