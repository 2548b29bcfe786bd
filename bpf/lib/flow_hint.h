/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Cache lines of the flow table, asked for before they are needed. With many flows, index and records are in
 * no near cache, and a packet would wait for one after the other. With keystream made ahead the 5-tuple is
 * known before the AEAD has run, so that the lines come while it runs: first the bucket, amid the AEAD the
 * record.
 *
 * Nothing is authentic at that time. All that comes of it is a line in the cache and the id of a record in
 * pkt->hint, which counts only after flow_find_hinted() has compared the whole key of the opened packet.
 *
 * A line is asked for by a store to a byte that nobody reads: behind a load everything has to wait once the
 * reorder buffer is full, whereas a store waits in a buffer of its own. It takes the line from other CPUs, so
 * it is made only for flows that this CPU has not met lately, whose lines are near none.
 */
#ifndef TALON_LIB_FLOW_HINT_H
#define TALON_LIB_FLOW_HINT_H

#include "lib/flow_index.h"
#include "lib/frame.h"
#include "talon/keystream_types.h"

/* An IPv4 header without options, and ports. */
#define FLOW_HINT_LEN	24

/* Has this CPU met a flow of that place lately? If not, it has now. */
static __always_inline bool flow_hint_is_near(const struct flow_place *place)
{
	struct talon_recent *recent = bpf_map_lookup_elem(&flow_recent, ONLY);
	__u16 mark = place->bucket[1] ^ place->tag << 4, *met;

	if (!recent)
		return true;
	met = &recent->flow[place->bucket[0] & (TALON_RECENT_FLOWS - 1)];
	if (*met == mark)
		return true;
	*met = mark;
	return false;
}

/* The 5-tuple of the packet at @cipher, opened with @stream. False unless it is TCP or UDP in plain IPv4. */
static __always_inline bool flow_hint_read(const __u32 *cipher, const __u32 *stream,
	struct talon_flow_key *ret_key)
{
	__u32 fragment = (cipher[1] ^ stream[1]) >> 16, ports = cipher[5] ^ stream[5];
	__u8 proto = (cipher[2] ^ stream[2]) >> 8;

	if (((cipher[0] ^ stream[0]) & 0xff) != 0x45 || (fragment & bpf_htons(IP_OFFSET)) ||
		(proto != IPPROTO_TCP && proto != IPPROTO_UDP))
		return false;
	*ret_key = (struct talon_flow_key) {
		.src = cipher[3] ^ stream[3],
		.dst = cipher[4] ^ stream[4],
		.sport = ports,
		.dport = ports >> 16,
		.proto = proto,
	};
	return true;
}

/* Before the AEAD: asks for the bucket. */
__noinline int flow_hint_bucket(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_keystream_slot *slot)
{
	const struct talon_config *cfg = config_get();
	struct talon_bucket *bucket;
	struct talon_flow_key key;
	struct flow_place place;
	__u32 *cipher;

	if (!pkt || !cfg || !slot)
		return 0;
	pkt->hint = 0;
	pkt->hint_place.tag = 0;
	cipher = frame_at(ctx, pkt->wg_off + WG_DATA_HEADER_LEN, FLOW_HINT_LEN);
	if (!cipher || pkt->cipher_len < FLOW_HINT_LEN ||
		!flow_hint_read(cipher, (const __u32 *)slot->stream, &key))
		return 0;
	place = flow_place(cfg, FLOW_FWD, &key);
	if (flow_hint_is_near(&place))
		return 0;
	pkt->hint_place = place;
	bucket = flow_bucket(FLOW_FWD, place.bucket[0]);
	if (bucket)
		FLOW_STORE(bucket->touched, 0);
	return 0;
}

/*
 * Amid the AEAD, when the bucket has come: asks for the record. The few in a second bucket are not looked
 * for.
 */
__noinline int flow_hint_record(struct talon_pkt *pkt)
{
	struct talon_flow *flow;
	struct flow_place place;
	__u32 id;

	if (!pkt || !pkt->hint_place.tag)
		return 0;
	place = pkt->hint_place;
	id = flow_guess(FLOW_FWD, &place);
	flow = id ? flow_record(id) : NULL;
	if (!flow)
		return 0;
	FLOW_STORE(flow->touched, 0);
	pkt->hint = id;
	return 0;
}

#endif
