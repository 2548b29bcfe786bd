# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# The load generator's own check: thousands of packets of many flows through one wire, none missing, every byte checked. It seals, opens
# and does handshakes itself, so no other WireGuard implementation is involved.
# alone: what it measures shares no processor

. "$E2E/../bench/load/peers.sh"

setup() {
	needs_talon
	[ -x "$LOAD" ] || skip "no $LOAD: build it first"
	key lap >/dev/null
	wire_up talon
	peer_config talon
	talon_peer_up talon
}

loaded() { # ARGUMENT...
	load_run talon wireguard --check --window 64 "$@"
}

test_packets_of_eight_flows_go_in_whole() {
	loaded --dir in --length 1280
}

test_packets_of_eight_flows_come_out_whole() {
	loaded --dir out --length 1280
}

test_small_packets_of_sixty_four_flows_go_in_whole() {
	loaded --dir in --length 64 --flows 64
}

test_small_packets_of_sixty_four_flows_come_out_whole() {
	loaded --dir out --length 64 --flows 64
}

test_every_length_goes_in_and_comes_out_whole() {
	local length
	for length in 48 96 112 128 256 512 576 1024 1360 1392 1408; do
		loaded --dir in --length $length --count 320
		loaded --dir out --length $length --count 320
	done
}
