// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The laptop's side of WireGuard.
#include "bench/load/wg.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "crypto/aead.h"
#include "noise/cookie.h"

#define WG_TRIES	20
#define WG_WAIT_MS	250

struct attempt {
	struct noise_local local;
	struct noise_remote remote;
	struct noise_handshake handshake;
	struct cookie_maker cookies;
};

static uint64_t clock_now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static int send_initiation(struct attempt *a, int sock)
{
	struct tai64n label = tai64n_from_unix(clock_now_ns(CLOCK_REALTIME));
	struct wg_initiation message;
	struct secret_key ephemeral;
	int ret;

	randombytes_buf(&ephemeral, sizeof(ephemeral));
	ret = noise_create_initiation(&a->handshake, &a->local, &a->remote, &label, &ephemeral,
		1 + randombytes_uniform(UINT32_MAX), &message);
	secret_key_wipe(&ephemeral);
	if (ret < 0)
		return ret;
	cookie_add_macs(&a->cookies, clock_now_ns(CLOCK_BOOTTIME), &message, sizeof(message));
	return send(sock, &message, sizeof(message), 0) < 0 ? -errno : 0;
}

/* Returns 0, or -EAGAIN when no answer came, or none that is for us. */
static int read_answer(struct attempt *a, int sock)
{
	struct pollfd wait = { .fd = sock, .events = POLLIN };
	union {
		uint8_t bytes[2048];
		struct wg_response response;
		struct wg_cookie cookie;
	} message;
	ssize_t len;

	while (poll(&wait, 1, WG_WAIT_MS) > 0) {
		len = recv(sock, &message, sizeof(message), 0);
		if (len == WG_RESPONSE_LEN && message.bytes[0] == WG_RESPONSE &&
		    !noise_consume_response(&a->handshake, &a->local, &a->remote, &message.response))
			return 0;
		if (len == WG_COOKIE_LEN && message.bytes[0] == WG_COOKIE)
			cookie_consume_reply(&a->cookies, clock_now_ns(CLOCK_BOOTTIME), &message.cookie);
	}
	return -EAGAIN;
}

static int try_often(struct attempt *a, int sock)
{
	int ret;

	for (int i = 0; i < WG_TRIES; i++) {
		ret = send_initiation(a, sock);
		if (!ret)
			ret = read_answer(a, sock);
		if (ret != -EAGAIN && ret != -ECONNREFUSED)
			return ret;
	}
	return -ETIMEDOUT;
}

int wg_connect(struct wg *ret_wg, int sock, const struct secret_key *private_key,
	const uint8_t peer[static KEY_LEN])
{
	struct attempt a = { 0 };
	struct wg wg;
	int ret;

	ret = noise_local_init(&a.local, private_key);
	if (!ret)
		ret = noise_remote_set(&a.remote, peer, NULL);
	if (!ret)
		ret = noise_remote_prepare(&a.remote, &a.local);
	if (ret)
		goto out;
	cookie_maker_init(&a.cookies, peer);
	ret = try_often(&a, sock);
	if (ret)
		goto out;
	wg.local_index = a.handshake.local_index;
	wg.remote_index = a.handshake.remote_index;
	ret = noise_begin_session(&a.handshake, &wg.keys);
	if (!ret)
		*ret_wg = wg;
	wg_wipe(&wg);
out:
	sodium_memzero(&a, sizeof(a));
	return ret;
}

void wg_seal(const struct wg *wg, uint64_t counter, const uint8_t *packet, size_t len, uint8_t *ret_message)
{
	struct wg_data header = {
		.type = WG_DATA, .receiver_index = htole32(wg->remote_index), .counter = htole64(counter),
	};

	memcpy(ret_message, &header, sizeof(header));
	aead_seal(&wg->keys.send, counter, packet, len, NULL, 0, ret_message + sizeof(header));
}

int wg_open(const struct wg *wg, const uint8_t *message, size_t len, uint8_t *ret_packet)
{
	struct wg_data header;

	if (len < WG_DATA_MIN_LEN)
		return -EINVAL;
	memcpy(&header, message, sizeof(header));
	if (header.type != WG_DATA || le32toh(header.receiver_index) != wg->local_index)
		return -EINVAL;
	return aead_open(&wg->keys.recv, le64toh(header.counter), message + sizeof(header),
		len - sizeof(header), NULL, 0, ret_packet);
}

void wg_wipe(struct wg *wg)
{
	sodium_memzero(wg, sizeof(*wg));
}
