{{- /* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */ -}}

{{- define "talon.env" -}}
{{- $v := .Values -}}
- name: NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- if and $v.metrics.expose (not $v.metrics.address) }}
- name: HOST_IP
  valueFrom: {fieldRef: {fieldPath: status.hostIP}}
{{- end }}
{{- if not (include "talon.isStatic" .) }}
- name: NB_HOSTNAME
  value: {{ default "$(NODE_NAME)" $v.mesh.hostname | quote }}
{{- with $v.mesh.managementUrl }}
- name: NB_MANAGEMENT_URL
  value: {{ . | quote }}
{{- end }}
{{- if include "talon.classOfKey" . }}
- name: NB_SETUP_KEY_FILE
  value: {{ printf "/etc/talon/setup-key/%s" $v.setupKey.csi.file | quote }}
{{- else if or $v.setupKey.value $v.setupKey.existingSecret }}
- name: NB_SETUP_KEY_FILE
  value: {{ printf "/etc/talon/setup-key/%s" $v.setupKey.key | quote }}
{{- end }}
{{- if eq (include "talon.state" .) "secret" }}
- name: NB_CONFIG
  value: {{ printf "/etc/talon/identity/%s" $v.state.secret.key | quote }}
{{- end }}
{{- end }}
{{- with $v.config }}
{{- with .uplinks }}
- {name: TALON_UPLINK, value: {{ join "," . | quote }}}
{{- end }}
{{- with .snat }}
- {name: TALON_SNAT, value: {{ . | quote }}}
{{- end }}
{{- with .snatPorts }}
- {name: TALON_SNAT_PORTS, value: {{ . | quote }}}
{{- end }}
{{- with .datapath }}
- {name: TALON_DATAPATH, value: {{ . | quote }}}
{{- end }}
{{- with .handUp }}
- {name: TALON_HAND_UP, value: {{ . | quote }}}
{{- end }}
{{- if not (include "talon.isStatic" $) }}
{{- with .onStop | default (ternary "tell" "" (and (eq $v.kind "router") (gt (int $v.replicas) 1))) }}
- {name: TALON_ON_STOP, value: {{ . | quote }}}
{{- end }}
{{- end }}
{{- with .local }}
- {name: TALON_LOCAL, value: {{ join "," . | quote }}}
{{- end }}
{{- with .port }}
- {name: TALON_LISTEN_PORT, value: {{ int64 . | quote }}}
{{- end }}
{{- with .tunnel }}
- {name: TALON_TUNNEL, value: {{ . | quote }}}
{{- end }}
{{- with .mtu }}
- {name: TALON_MTU, value: {{ int64 . | quote }}}
{{- end }}
{{- with .maxPeers }}
- {name: TALON_MAX_PEERS, value: {{ int64 . | quote }}}
{{- end }}
{{- with .maxFlows }}
- {name: TALON_MAX_FLOWS, value: {{ int64 . | quote }}}
{{- end }}
{{- if ge (int64 .keystreamMemory) 0 }}
- {name: TALON_KEYSTREAM_MEMORY, value: {{ int64 .keystreamMemory | quote }}}
{{- end }}
{{- end }}
{{- if ne $v.vip.source "off" }}
- {name: TALON_VIP_SOURCE, value: {{ $v.vip.source | quote }}}
- {name: TALON_NODE_NAME, value: $(NODE_NAME)}
{{- with $v.vip.namespace }}
- {name: TALON_VIP_NAMESPACE, value: {{ . | quote }}}
{{- end }}
{{- end }}
{{- if $v.metrics.address }}
- {name: TALON_METRICS, value: {{ $v.metrics.address | quote }}}
{{- else if $v.metrics.expose }}
- {name: TALON_METRICS, value: "$(HOST_IP):{{ int64 $v.metrics.port }}"}
{{- else if ne (int64 $v.metrics.port) 9567 }}
- {name: TALON_METRICS, value: "127.0.0.1:{{ int64 $v.metrics.port }}"}
{{- end }}
{{- with $v.metrics.peers }}
- {name: TALON_METRICS_PEERS, value: {{ int64 . | quote }}}
{{- end }}
{{- if eq $v.kind "node" }}
- {name: TALON_TAKE_OVER, value: "on"} # from the pod of the earlier version, which stands by until it is told to go
{{- end }}
- {name: TALON_LOG_LEVEL, value: {{ $v.log.level | quote }}}
- {name: TALON_LOG_FORMAT, value: {{ $v.log.format | quote }}}
{{- with $v.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Where bpffs may be missing, its folder cannot be made before the init container has run: a subPath is, at the container's start. */ -}}
{{- define "talon.bpffsVolume" -}}
- name: bpffs
  {{- if .Values.bpffs.mount }}
  hostPath: {path: {{ dir .Values.bpffs.hostPath }}, type: Directory}
  {{- else }}
  hostPath: {path: {{ .Values.bpffs.hostPath }}, type: DirectoryOrCreate}
  {{- end }}
{{- end }}

{{- define "talon.bpffsMount" -}}
- name: bpffs
  mountPath: /sys/fs/bpf
  {{- if .Values.bpffs.mount }}
  subPath: {{ base .Values.bpffs.hostPath }}
  {{- end }}
{{- end }}

{{- define "talon.podSecurityContext" -}}
{{- merge (deepCopy .Values.podSecurityContext) (dict "seccompProfile" (dict "type" "RuntimeDefault")) | toYaml }}
{{- end }}

{{- /* list of the root and the capabilities */ -}}
{{- define "talon.securityContext" -}}
{{- $capabilities := dict "drop" (list "ALL") "add" (index . 1) -}}
{{- merge (deepCopy (index . 0).Values.securityContext) (dict "runAsUser" 0 "runAsGroup" 0 "privileged" false "allowPrivilegeEscalation" false
	"readOnlyRootFilesystem" true "capabilities" $capabilities) | toYaml }}
{{- end }}

{{- define "talon.pod" -}}
{{- $v := .Values -}}
{{- $state := include "talon.state" . -}}
metadata:
  labels:
    # No version of the chart: an upgrade that changes nothing of the pod leaves it alone.
    {{- include "talon.selector" . | nindent 4 }}
    {{- with $v.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with $v.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- if or $v.podAnnotations $v.static.config }}
  annotations:
    {{- with $v.static.config }}
    checksum/static: {{ sha256sum . }}
    {{- end }}
    {{- with $v.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
spec:
  hostNetwork: true
  dnsPolicy: {{ $v.dnsPolicy }}
  {{- with $v.hostAliases }}
  hostAliases:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  serviceAccountName: {{ include "talon.serviceAccount" . }}
  automountServiceAccountToken: {{ include "talon.watched" . | empty | not }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ int64 $v.terminationGracePeriodSeconds }}
  {{- with $v.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $v.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  nodeSelector:
    {{- include "talon.nodeSelector" . | nindent 4 }}
  {{- with include "talon.tolerations" . }}
  tolerations:
    {{- . | nindent 4 }}
  {{- end }}
  {{- with include "talon.affinity" . }}
  affinity:
    {{- . | nindent 4 }}
  {{- end }}
  {{- if and $v.topologySpreadConstraints (eq $v.kind "router") }}
  topologySpreadConstraints:
    {{- range $v.topologySpreadConstraints }}
    - {{- merge (deepCopy .) (dict "labelSelector" (dict "matchLabels" (include "talon.selector" $ | fromYaml))) | toYaml | nindent 6 }}
    {{- end }}
  {{- end }}
  securityContext:
    {{- include "talon.podSecurityContext" . | nindent 4 }}
  {{- if $v.bpffs.mount }}
  initContainers:
    - name: mount-bpffs
      image: {{ $v.bpffs.mountImage }}
      command: [sh, -c, "grep -q '^[^ ]* /sys/fs/bpf bpf ' /proc/mounts || mount -t bpf bpf /sys/fs/bpf"]
      terminationMessagePolicy: FallbackToLogsOnError
      securityContext:
        privileged: true
        readOnlyRootFilesystem: true
      resources:
        {{- toYaml $v.resources | nindent 8 }}
      volumeMounts:
        - {name: bpffs, mountPath: /sys/fs/bpf, mountPropagation: Bidirectional}
  {{- end }}
  containers:
    - name: talon
      image: {{ include "talon.image" . }}
      imagePullPolicy: {{ $v.image.pullPolicy }}
      args:
        - up
        {{- if include "talon.isStatic" . }}
        - --static
        - {{ $v.static.perNode | ternary "/etc/talon/static/$(NODE_NAME).conf" (printf "/etc/talon/static/%s" $v.static.key) | quote }}
        {{- end }}
        {{- with $v.extraArgs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      env:
        {{- include "talon.env" . | nindent 8 }}
      {{- with $v.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      terminationMessagePolicy: FallbackToLogsOnError
      {{- range $probe, $check := dict "startup" "startup" "readiness" "ready" "liveness" "live" }}
      {{- with index $v.probes $probe }}
      {{ $probe }}Probe:
        exec: {command: [talon, status, --check, {{ $check }}]}
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- end }}
      resources:
        {{- toYaml $v.resources | nindent 8 }}
      securityContext:
        {{- include "talon.securityContext" (list . (list "BPF" "NET_ADMIN" "PERFMON" "NET_RAW")) | nindent 8 }}
      volumeMounts:
        {{- include "talon.bpffsMount" . | nindent 8 }}
        - name: run
          mountPath: /run
        {{- if $v.config.threadedNapi }}
        - name: net-devices
          mountPath: /sys/devices/virtual/net
        {{- end }}
        {{- if include "talon.isStatic" . }}
        - name: static
          mountPath: /etc/talon/static
          readOnly: true
        {{- else }}
        - name: state
          mountPath: /var/lib/netbird
          {{- if and (eq $state "pvc") $v.state.pvc.subPath }}
          subPath: {{ $v.state.pvc.subPath }}
          {{- end }}
        {{- if eq $state "secret" }}
        - name: identity
          mountPath: /etc/talon/identity
          readOnly: true
        {{- end }}
        {{- if include "talon.hasKey" . }}
        - name: setup-key
          mountPath: /etc/talon/setup-key
          readOnly: true
        {{- end }}
        {{- end }}
        {{- with $v.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    {{- include "talon.bpffsVolume" . | nindent 4 }}
    - name: run
      emptyDir: {medium: Memory, sizeLimit: 1Mi}
    {{- if $v.config.threadedNapi }}
    - name: net-devices
      hostPath: {path: /sys/devices/virtual/net, type: Directory}
    {{- end }}
    {{- if include "talon.isStatic" . }}
    - name: static
      secret:
        secretName: {{ default (printf "%s-static" (include "talon.fullname" .)) $v.static.existingSecret }}
        defaultMode: 0400
    {{- else if eq $state "secret" }}
    - name: state
      emptyDir: {sizeLimit: 64Mi}
    - name: identity
      secret:
        secretName: {{ $v.state.secret.name }}
        defaultMode: 0400
    {{- else if eq $state "hostPath" }}
    - name: state
      hostPath: {path: {{ $v.state.hostPath }}, type: DirectoryOrCreate}
    {{- else if $v.state.pvc.existingClaim }}
    - name: state
      persistentVolumeClaim: {claimName: {{ $v.state.pvc.existingClaim }}}
    {{- end }}
    {{- if include "talon.hasKey" . }}
    - name: setup-key
      {{- if include "talon.classOfKey" . }}
      csi:
        driver: secrets-store.csi.k8s.io
        readOnly: true
        volumeAttributes: {secretProviderClass: {{ include "talon.classOfKey" . }}}
      {{- else }}
      secret:
        secretName: {{ default (printf "%s-setup-key" (include "talon.fullname" .)) $v.setupKey.existingSecret }}
        defaultMode: 0400
      {{- end }}
    {{- end }}
    {{- with $v.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{- define "talon.hasKey" -}}
{{- if or .Values.setupKey.value .Values.setupKey.existingSecret (include "talon.classOfKey" .) }}true{{ end }}
{{- end }}

{{- define "talon.affinity" -}}
{{- $affinity := deepCopy .Values.affinity }}
{{- if and (eq .Values.kind "router") (gt (int .Values.replicas) 1) }}
{{- $apart := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" (include "talon.selector" . | fromYaml)) }}
{{- $anti := default dict $affinity.podAntiAffinity }}
{{- $required := append (default list $anti.requiredDuringSchedulingIgnoredDuringExecution) $apart }}
{{- $anti = merge (dict "requiredDuringSchedulingIgnoredDuringExecution" $required) $anti }}
{{- $affinity = merge (dict "podAntiAffinity" $anti) $affinity }}
{{- end }}
{{- if $affinity }}{{ toYaml $affinity }}{{ end }}
{{- end }}
