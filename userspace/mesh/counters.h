/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the process counts beside packets and handshakes: one list, of which status, its JSON and
 * docs/status.md are checked.
 */
#ifndef TALON_MESH_COUNTERS_H
#define TALON_MESH_COUNTERS_H

/* X(group, label, member of struct mesh_counts, what it means) */
#define MESH_COUNTERS(X) \
	X(dns, queries, dns.queries, "questions that came") \
	X(dns, refused, dns.refused, "for names of none of our domains: REFUSED") \
	X(dns, other_types, dns.other_types, "for types that are not passed on: NODATA") \
	X(dns, malformed, dns.malformed, "that are no questions") \
	X(dns, failed, dns.failed, "no name server answered, nor was there an earlier answer: SERVFAIL") \
	X(dns, from_cache, dns.from_cache, "no name server answered, the last good answer was given") \
	X(dns, dropped, dns.dropped, "too many under way") \
	X(dns, limited, dns.limited, "one source asked more than it may") \
	X(dns, batches, dns.batches, "how often rules and routes were made anew for learned addresses") \
	X(dns, learned, dns.learned, "addresses that are learned now") \
	X(dns, not_learned, dns.not_learned, "addresses that there was no room for") \
	X(dns, evicted, dns.evicted, "learned addresses that gave way to others") \
	X(dns, aged_out, dns.aged_out, \
		"learned addresses that their name has no longer, or nobody asks for") \
	X(signal, received, signal.received, "messages that came") \
	X(signal, sent, signal.sent, "messages that the server took") \
	X(signal, send_failed, signal.send_failed, "messages that it did not take") \
	X(signal, unopened, signal.unopened, "messages that did not open") \
	X(signal, malformed, signal.malformed, "messages that opened and make no sense") \
	X(signal, ignored, signal.ignored, "messages of a type that means nothing to us") \
	X(signal, registrations, signal.registrations, "times that we registered") \
	X(signal, evictions, signal.evictions, "times that another process with our key took our place") \
	X(relay, rx_packets, relay.rx_packets, "packets from peers") \
	X(relay, rx_bytes, relay.rx_bytes, "their bytes") \
	X(relay, tx_packets, relay.tx_packets, "packets to peers") \
	X(relay, tx_bytes, relay.tx_bytes, "their bytes") \
	X(relay, tx_dropped, relay.tx_dropped, "packets to peers that there was no room for") \
	X(relay, rx_unknown, relay.rx_unknown, "packets from nobody that we know") \
	X(relay, malformed, relay.malformed, "messages of relays that make no sense") \
	X(stun, received, stun.received, "STUN messages that came") \
	X(stun, sent, stun.sent, "STUN messages sent") \
	X(stun, malformed, stun.malformed, "that are no STUN messages after all") \
	X(stun, unknown_user, stun.unknown_user, "checks for no peer that we are connecting to") \
	X(stun, bad_integrity, stun.bad_integrity, "with a wrong MESSAGE-INTEGRITY") \
	X(stun, unmatched, stun.unmatched, "answers to nothing that we asked") \
	X(log, dropped, log_dropped, "log lines dropped because standard error was full")

#endif
