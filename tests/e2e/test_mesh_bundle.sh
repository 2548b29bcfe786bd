# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Debug bundles: by hand, anonymized, and when management asks for them; never a secret in one.

. "$E2E/mesh/mesh.sh"

setup() {
	needs /usr/bin/openssl
	mesh_setup lap node
	mesh key "$SETUP_KEY" valid
	mkdir -p "$RUN/bundles" "$RUN/uploads"
	echo "psk $(head -c 32 /dev/urandom | base64)" >"$RUN/psk"
	PSK=$(cut -d' ' -f2 "$RUN/psk")
	upload_service
	node_up NB_SETUP_KEY="$SETUP_KEY"
	member_up lap NB_PRESHARED_KEY="$PSK"
	mesh route lan peer=node network=192.168.1.0/24
	settled node lap
	direct lap node
	answers lap "$(mesh_ip node)"
}

# The service's certificate is trusted by the daemon and by nobody else.
upload_service() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$RUN/up.key" -out "$RUN/up.crt" -days 2 \
		-subj "/CN=upload.test" -addext "subjectAltName=IP:$MESH_HOST" >/dev/null 2>&1
	spawn uploads mesh /usr/bin/python3 -u "$E2E/mesh/upload.py" $MESH_HOST 8443 "$RUN/up.crt" "$RUN/up.key" "$RUN/uploads"
	wait_for 10 "the upload service" grep -q ready "$RUN/log/uploads"
}

node_up() { # [VARIABLE=VALUE...]
	member_up node NB_PRESHARED_KEY="$(cut -d' ' -f2 "$RUN/psk")" TMPDIR="$RUN/bundles" SSL_CERT_FILE="$RUN/up.crt" \
		HTTP_PROXY= HTTPS_PROXY= NO_PROXY='*' "$@"
}

# BUNDLE: the archive, unpacked into $RUN/unpacked.
bundle() { # ARGUMENT...
	local said
	rm -rf "$RUN/unpacked" "$RUN"/bundles/*
	said=$(member node TMPDIR="$RUN/bundles" NB_PRESHARED_KEY="$(cut -d' ' -f2 "$RUN/psk")" "$@")
	equal "lines" "Local file:" "$(head -1 <<<"$said")"
	BUNDLE=$(sed -n 2p <<<"$said")
	equal "mode" 600 "$(stat -c %a "$BUNDLE")"
	unpack "$BUNDLE"
}

unpack() { # ARCHIVE
	/usr/bin/python3 -c 'import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; z.extractall(sys.argv[2])' \
		"$1" "$RUN/unpacked"
}

# Every secret of this identity, of the mesh and of the command line.
no_secrets() {
	local identity=$RUN/state/node/default.json secret
	for secret in "$(jq -r .PrivateKey "$identity")" "$(jq -r .SSHKey "$identity" | sed -n 2p)" "$SETUP_KEY" \
		"$(cut -d' ' -f2 "$RUN/psk")" e2e-relay-secret; do
		[ ${#secret} -gt 10 ] || fail "not a secret: $secret"
		not grep -rqiF -- "$secret" "$RUN/unpacked" || fail "$secret is in $(grep -rliF -- "$secret" "$RUN/unpacked")"
	done
	not grep -rqE '"tokenSignature": "[^(]' "$RUN/unpacked" || fail "a relay token"
}

holds() { grep -qE -- "$2" "$RUN/unpacked/$1" || { head -50 "$RUN/unpacked/$1"; fail "$1: nothing about $2"; }; }	# FILE PATTERN

test_bundle_holds_what_helps_and_no_secret() {
	bundle debug bundle
	case $BUNDLE in "$RUN"/bundles/netbird.debug.*.zip) ;; *) fail "the name $BUNDLE" ;; esac
	no_secrets
	equal "first line" "Anonymization level: none" "$(head -1 "$RUN/unpacked/README.txt")"
	holds status.txt "lap.mesh.test"
	holds status.txt "Management: Connected"
	holds status.json '"publicKey"'
	holds config.txt "\"stateDir\": \"$RUN/state/node\""
	holds config.txt '"preSharedKey": "\*+"'
	holds network_map.json '"fqdn": "lap.mesh.test"'
	holds network_map.json '"network": "192.168.1.0/24"'
	holds metrics.txt talon_
	holds interfaces.txt "^[0-9]+: wt0: veth"
	holds routes.txt "wt0"
	holds ip_rules.txt "table 254"
	holds sysctls.txt "net/ipv4/ip_forward = "
	holds preflight.json '"check"'
	holds client.log "not in this bundle"
	bundle debug bundle -S=false
	[ ! -e "$RUN/unpacked/routes.txt" ] || fail "routes without --system-info"
}

test_strict_bundle_shows_no_address_name_or_key_of_ours() {
	local original
	bundle debug bundle --anonymize-level strict
	no_secrets
	equal "first line" "Anonymization level: strict" "$(head -1 "$RUN/unpacked/README.txt")"
	for original in "$(mesh_ip node)" "$(mesh_ip lap)" $NODE $MESH_HOST 192.168.1.0 mesh.test "$(mesh peer node key)" "$(mesh peer lap key)" \
		"$(in_ns node cat "/sys/class/net/eth0/address")" lap; do
		not grep -rqwF -- "$original" "$RUN/unpacked" || fail "$original is in $(grep -rlF -- "$original" "$RUN/unpacked")"
	done
	holds status.txt "peer-[0-9]+\.anon-[0-9]+\.domain"
	holds network_map.json '"fqdn": "peer-[0-9]+\.anon-[0-9]+\.domain"'
	equal "one placeholder for the laptop" "$(grep -oE 'peer-[0-9]+\.anon-[0-9]+\.domain' "$RUN/unpacked/network_map.json" | sort -u)" \
		"$(grep -oE 'peer-[0-9]+\.anon-[0-9]+\.domain' "$RUN/unpacked/status.txt" "$RUN/unpacked/network_map.json" -h | sort -u)"
}

test_default_level_keeps_private_addresses_and_hides_domains() {
	bundle debug bundle -A
	no_secrets
	equal "first line" "Anonymization level: default" "$(head -1 "$RUN/unpacked/README.txt")"
	holds status.txt "$(mesh_ip lap)"
	holds status.txt "lap\.anon-[0-9]+\.domain"
	not grep -rqF "mesh.test" "$RUN/unpacked" || fail "the mesh's domain is shown"
	not grep -rqF "$(in_ns node cat /sys/class/net/eth0/address)" "$RUN/unpacked" || fail "a MAC address is shown"
}

test_bundle_is_uploaded_to_the_place_that_a_service_names() {
	local said
	said=$(member node TMPDIR="$RUN/bundles" SSL_CERT_FILE="$RUN/up.crt" NO_PROXY='*' debug bundle -U \
		--upload-bundle-url "https://$MESH_HOST:8443/upload-url")
	equal "the key" "Upload file key:" "$(sed -n 3p <<<"$said")"
	equal "the key" "key-1" "$(sed -n 4p <<<"$said")"
	cmp "$(sed -n 2p <<<"$said")" "$RUN/uploads/key-1"
	grep -q "^id $(printf 'http://%s:8080' $MESH_HOST | sha256sum | cut -d' ' -f1) client netbird$" "$RUN/log/uploads"
	grep -q "^put key-1 application/octet-stream" "$RUN/log/uploads"
}

upload_refused() { # PATTERN ARGUMENT...
	local pattern=$1 rc=0
	shift
	member node TMPDIR="$RUN/bundles" NO_PROXY='*' SSL_CERT_FILE="${TRUST:-/dev/null}" debug bundle -S=false -U "$@" \
		>"$RUN/log/refused" 2>&1 || rc=$?
	[ $rc != 0 ] || fail "exit status 0"
	tail -1 "$RUN/log/refused" | found -E "$pattern" || { cat "$RUN/log/refused"; fail "nothing about $pattern"; }
}

test_upload_over_anything_but_https_is_refused() {
	upload_refused "is not https" --upload-bundle-url "http://$MESH_HOST:8443/upload-url"
	upload_refused "upload failed: the upload service: .*certificate" --upload-bundle-url "https://$MESH_HOST:8443/upload-url"
	TRUST=$RUN/up.crt upload_refused "upload failed: the upload: only https is accepted" \
		--upload-bundle-url "https://$MESH_HOST:8443/plain"
	upload_refused "upload failed: the upload service: HTTP status 404" --upload-bundle-insecure --upload-bundle-url "https://$MESH_HOST:8443/none"
	upload_refused "its answer has no URL and Key" --upload-bundle-insecure --upload-bundle-url "https://$MESH_HOST:8443/odd"
}

job_answered() { grep -qE "job answer of node: .*$1" "$RUN/log/mesh.now"; }	# for wait_for

test_bundle_for_management_is_declined_unless_the_operator_names_a_place() {
	wait_for 10 "the job stream" mesh_is node job true
	mesh job node
	wait_for 10 "the answer" job_answered "status .2., reason 'uploading a debug bundle would tell a third party"
}

test_settings_are_shown_without_secrets() {
	member node debug config >"$RUN/config.json"
	equal "port" '"51820"' "$(jq .wireguardPort "$RUN/config.json")"
	equal "secret" '"**********"' "$(jq .preSharedKey "$RUN/config.json")"
	equal "level" '"info"' "$(jq .talon.logLevel "$RUN/config.json")"
	not grep -qF "$(cut -d' ' -f2 "$RUN/psk")" "$RUN/config.json"
}

test_debug_for_a_while_logs_more_and_restores_the_level() {
	local said
	said=$(member node TMPDIR="$RUN/bundles" debug for 1s -S=false)
	grep -q "^Log level set to debug" <<<"$said"
	grep -q "^Log level restored" <<<"$said"
	grep -q "netbird.debug" <<<"$said"
	equal "level" '"info"' "$(member node debug config | jq .talon.logLevel)"
}

test_bundle_is_made_without_a_daemon_and_takes_log_files() {
	member_down node
	printf 'first %s\n' "$(jq -r .PrivateKey "$RUN/state/node/default.json")" >"$RUN/file.log"
	echo second >"$RUN/file.log.1"
	echo third | gzip >"$RUN/file.log.2.gz"
	bundle NB_LOG_FILE="console,$RUN/file.log" debug bundle -C 3
	holds config.txt "does not answer"
	equal "the log" "first (hidden)" "$(cat "$RUN/unpacked/client.log")"
	equal "the first rotated one" second "$(cat "$RUN/unpacked/client.log.1")"
	equal "the second one" third "$(cat "$RUN/unpacked/client.log.2")"
	no_secrets
}

test_bundle_takes_the_log_file_of_the_daemon() {
	node_up NB_LOG_FILE="console,$RUN/file.log" NB_DEBUG_UPLOAD_URL="https://$MESH_HOST:8443/upload-url"
	bundle debug bundle
	holds client.log "ready: "
	no_secrets
}

test_bundle_for_management_is_made_and_uploaded() {
	local before
	wait_for 10 "the job stream" mesh_is node job true
	before=$(ls "$RUN/uploads" | wc -l)
	rm -f "$RUN"/bundles/*
	mesh job node level=strict
	wait_for 2 "an answer while it is made" member node status --check live
	mesh job node
	wait_for 10 "the second to be declined" job_answered "another debug bundle is being made"
	wait_for 30 "the answer" job_answered "status \[1\], reason '', key 'key-[0-9]+'"
	equal "uploads" $((before + 1)) "$(ls "$RUN/uploads" | wc -l)"
	equal "left behind" "" "$(ls "$RUN/bundles")"
	rm -rf "$RUN/unpacked"
	unpack "$RUN/uploads/$(ls -t "$RUN/uploads" | head -1)"
	equal "first line" "Anonymization level: strict" "$(head -1 "$RUN/unpacked/README.txt")"
	no_secrets
	stop uploads
	mesh job node
	wait_for 30 "the failure" job_answered "status \[2\], reason .talon: upload failed: the upload service: "
	equal "left behind" "" "$(ls "$RUN/bundles")"
	upload_service
}
