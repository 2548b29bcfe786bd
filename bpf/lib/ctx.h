/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One context type over struct xdp_md and struct __sk_buff (TALON_TC), so that both hooks share one body. */
#ifndef TALON_LIB_CTX_H
#define TALON_LIB_CTX_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#ifdef TALON_TC
typedef struct __sk_buff ctx_md;
#else
typedef struct xdp_md ctx_md;
#endif

/*
 * First byte of the packet. In tc, helpers that may move the packet invalidate the pointer: fetch it
 * again.
 */
static __always_inline void *ctx_data(const ctx_md *ctx)
{
	return (void *)(long)ctx->data;
}

/* One past the last byte that can be accessed directly. */
static __always_inline void *ctx_data_end(const ctx_md *ctx)
{
	return (void *)(long)ctx->data_end;
}

/* Copy @len bytes at @off of the packet to @to. 0, or a negative errno when they are not all there. */
static __always_inline long ctx_load_bytes(ctx_md *ctx, __u32 off, void *to, __u32 len)
{
#ifdef TALON_TC
	return bpf_skb_load_bytes(ctx, off, to, len);
#else
	return bpf_xdp_load_bytes(ctx, off, to, len);
#endif
}

/*
 * Copy @len bytes from @from into the packet at @off. 0, or a negative errno when there is no room
 * for all of them.
 */
static __always_inline long ctx_store_bytes(ctx_md *ctx, __u32 off, void *from, __u32 len)
{
#ifdef TALON_TC
	return bpf_skb_store_bytes(ctx, off, from, len, 0);
#else
	return bpf_xdp_store_bytes(ctx, off, from, len);
#endif
}

#endif
