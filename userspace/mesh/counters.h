/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the process counts beside packets and handshakes. Status and its JSON are made from this list, and a
 * test compares docs/status.md with it.
 */
#ifndef TALON_MESH_COUNTERS_H
#define TALON_MESH_COUNTERS_H

/* X(group, label, member of struct mesh_counts, what it counts) */
#define MESH_COUNTERS(X) \
	X(dns, queries, dns.queries, "questions received") \
	X(dns, refused, dns.refused, "questions for names outside our domains: REFUSED") \
	X(dns, other_types, dns.other_types, "questions for types that are not passed on: NODATA") \
	X(dns, malformed, dns.malformed, "messages that are not questions") \
	X(dns, failed, dns.failed, "no name server answered and there was no earlier answer: SERVFAIL") \
	X(dns, from_cache, dns.from_cache, "no name server answered, the last good answer was given") \
	X(dns, dropped, dns.dropped, "questions dropped because too many were under way") \
	X(dns, limited, dns.limited, "questions dropped because one source asked too often") \
	X(dns, batches, dns.batches, "times that rules and routes were updated for learned addresses") \
	X(dns, learned, dns.learned, "addresses learned at present") \
	X(dns, not_learned, dns.not_learned, "addresses not learned for lack of room") \
	X(dns, evicted, dns.evicted, "learned addresses that gave way to newer ones") \
	X(dns, aged_out, dns.aged_out, \
		"learned addresses that their name no longer has, or that nobody asks for") \
	X(signal, received, signal.received, "messages received") \
	X(signal, sent, signal.sent, "messages that the server accepted") \
	X(signal, send_failed, signal.send_failed, "messages that the server did not accept") \
	X(signal, unopened, signal.unopened, "messages that could not be decrypted") \
	X(signal, malformed, signal.malformed, "messages that were decrypted but malformed") \
	X(signal, ignored, signal.ignored, "messages of a type that we do not use") \
	X(signal, registrations, signal.registrations, "registrations with the server") \
	X(signal, evictions, signal.evictions, "times that another process with our key took our place") \
	X(relay, rx_packets, relay.rx_packets, "packets from peers") \
	X(relay, rx_bytes, relay.rx_bytes, "bytes from peers") \
	X(relay, tx_packets, relay.tx_packets, "packets to peers") \
	X(relay, tx_bytes, relay.tx_bytes, "bytes to peers") \
	X(relay, tx_dropped, relay.tx_dropped, "packets to peers dropped for lack of room") \
	X(relay, rx_unknown, relay.rx_unknown, "packets from unknown peers") \
	X(relay, malformed, relay.malformed, "malformed messages of relays") \
	X(stun, received, stun.received, "STUN messages received") \
	X(stun, sent, stun.sent, "STUN messages sent") \
	X(stun, malformed, stun.malformed, "malformed STUN messages") \
	X(stun, unknown_user, stun.unknown_user, "checks for a peer that we are not connecting to") \
	X(stun, bad_integrity, stun.bad_integrity, "messages with a wrong MESSAGE-INTEGRITY") \
	X(stun, unmatched, stun.unmatched, "answers without a request of ours") \
	X(log, dropped, log_dropped, "log lines dropped because standard error was full")

#endif
