{{- /* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */ -}}

{{- define "talon.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "talon.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- $name := include "talon.name" . }}
{{- (contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name)) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- /* What never changes in the life of a release: selectors and claim templates cannot be updated. */ -}}
{{- define "talon.selector" -}}
app.kubernetes.io/name: {{ include "talon.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "talon.labels" -}}
{{ include "talon.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* metadata of an object: list of the root and a suffix of the name */ -}}
{{- define "talon.metadata" -}}
{{- $root := index . 0 -}}
name: {{ include "talon.fullname" $root }}{{ index . 1 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "talon.labels" $root | nindent 2 }}
{{- with $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "talon.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{- define "talon.serviceAccount" -}}
{{- if .Values.serviceAccount.name }}{{ .Values.serviceAccount.name }}
{{- else if .Values.serviceAccount.create }}{{ include "talon.fullname" . }}
{{- else }}default{{ end }}
{{- end }}

{{- define "talon.isStatic" -}}
{{- if or .Values.static.config .Values.static.existingSecret }}true{{ end }}
{{- end }}

{{- /* pvc, hostPath or secret; none in static mode, where the file is all there is */ -}}
{{- define "talon.state" -}}
{{- if include "talon.isStatic" . }}none
{{- else if .Values.state.type }}{{ .Values.state.type }}
{{- else if eq .Values.kind "router" }}pvc
{{- else }}hostPath{{ end }}
{{- end }}

{{- define "talon.classOfKey" -}}
{{- with .Values.setupKey.csi }}
{{- if .provider }}{{ include "talon.fullname" $ }}{{ else }}{{ .secretProviderClass }}{{ end }}
{{- end }}
{{- end }}

{{- /* Whether something of the API server's is watched. */ -}}
{{- define "talon.watched" -}}
{{- if has .Values.vip.source (list "auto" "cilium" "metallb" "kube-vip" "arp") }}true{{ end }}
{{- end }}

{{- define "talon.tolerations" -}}
{{- if not (kindIs "invalid" .Values.tolerations) }}
{{- toYaml .Values.tolerations }}
{{- else if eq .Values.kind "node" -}}
- operator: Exists
{{- else -}}
- {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute}
- {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute}
{{- end }}
{{- end }}

{{- define "talon.nodeSelector" -}}
{{- merge (deepCopy .Values.nodeSelector) (dict "kubernetes.io/os" "linux") | toYaml }}
{{- end }}

{{- /* What a mistake in the values would only show as a pod that never gets ready. */ -}}
{{- define "talon.validate" -}}
{{- $v := .Values }}
{{- $state := include "talon.state" . }}
{{- $keys := 0 }}
{{- range list $v.setupKey.value $v.setupKey.existingSecret $v.setupKey.csi.secretProviderClass $v.setupKey.csi.provider }}
{{- if . }}{{ $keys = add1 $keys }}{{ end }}
{{- end }}
{{- if gt (int $keys) 1 }}
{{- fail "setupKey: give only one of value, existingSecret, csi.secretProviderClass and csi.provider" }}
{{- end }}
{{- /* Not in the schema: Helm would print the value. */ -}}
{{- if and $v.setupKey.value (not (regexMatch "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$" $v.setupKey.value)) }}
{{- fail "setupKey.value: what it holds is not a setup key; expected the UUID that the dashboard shows" }}
{{- end }}
{{- if and $v.static.config $v.static.existingSecret }}
{{- fail "static: give only one of config and existingSecret" }}
{{- end }}
{{- if and (include "talon.isStatic" .) (gt (int $keys) 0) }}
{{- fail "setupKey: in static mode (static.config, static.existingSecret) there is no mesh to register with; remove one of the two" }}
{{- end }}
{{- if and $v.static.perNode (not $v.static.existingSecret) }}
{{- fail "static.perNode: static.existingSecret is needed, with a file NODE.conf for each node" }}
{{- end }}
{{- if eq $v.kind "router" }}
{{- if and (gt (int $v.replicas) 1) (include "talon.isStatic" .) (not $v.static.perNode) }}
{{- fail "replicas: more than one peer with the private key of one static file; set static.perNode, or replicas to 1" }}
{{- end }}
{{- if and (gt (int $v.replicas) 1) (or $v.state.pvc.existingClaim (eq $state "secret")) }}
{{- fail "replicas: more than one peer with the identity of one claim or Secret; set replicas to 1" }}
{{- end }}
{{- if and (gt (int $v.replicas) 1) $v.config.snat }}
{{- fail "config.snat: one spare address cannot be answered for on several nodes; set replicas to 1" }}
{{- end }}
{{- else }}
{{- if eq $state "pvc" }}
{{- fail "state.type: pvc is for kind router; a node's identity is kept with hostPath" }}
{{- end }}
{{- if eq $state "secret" }}
{{- fail "state.type: secret is one identity, for kind router with one replica" }}
{{- end }}
{{- if $v.config.snat }}
{{- fail "config.snat: one spare address cannot be answered for on several nodes; use kind router with one replica" }}
{{- end }}
{{- end }}
{{- if and (eq $state "secret") (not $v.state.secret.name) }}
{{- fail "state.secret.name: state.type secret needs the name of the Secret with the identity file" }}
{{- end }}
{{- if and $v.metrics.expose $v.metrics.address (not (hasSuffix (printf ":%d" (int64 $v.metrics.port)) $v.metrics.address)) }}
{{- fail (printf "metrics.address: %s does not end with metrics.port, %d, which is what is scraped" $v.metrics.address (int64 $v.metrics.port)) }}
{{- end }}
{{- end }}
