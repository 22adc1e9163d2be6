{{/* 52: a StatefulSet's name, a dash and a hash are the value of a label. */}}
{{- define "weir.name" -}}
{{- .Values.nameOverride | default .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "weir.selector" -}}
app.kubernetes.io/name: weir
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "weir.labels" -}}
{{ include "weir.selector" . }}
app.kubernetes.io/part-of: weir
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end -}}

{{- define "weir.peers" -}}
{{- printf "%s-peers" (include "weir.name" .) -}}
{{- end -}}

{{- define "weir.config" -}}
{{- .Values.config | replace "weir-{ordinal}.weir-peers" (printf "%s-{ordinal}.%s" (include "weir.name" .) (include "weir.peers" .)) -}}
{{- end -}}

{{- define "weir.secret" -}}
{{- .Values.existingSecret | default (printf "%s-passwords" (include "weir.name" .)) -}}
{{- end -}}
