// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Clients that say anything to the hub's port: HTTP/1.1, WebSocket, HTTP/2 and gRPC, in any order and
 * division, while the kernel takes less than it is offered and time passes. The input is a list of steps, an
 * operation, a length and its bytes each; the first two bytes say what the owner's callbacks do.
 */
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "grpc/grpc.h"
#include "log/log.h"
#include "server/h2_internal.h"
#include "websocket/websocket_frame.h"

#include "base/cidr.c"
#include "base/endpoint.c"
#include "base/host_port.c"
#include "base/rate.c"
#include "base/server_url.c"
#include "base/slice.c"
#include "http/head.c"
#include "websocket/websocket_frame.c"
#include "websocket/websocket_upgrade.c"
#include "grpc/grpc_wire.c"
/* The included files use the same names for different things. */
#define put	loop_put
#include "loop/loop.c"
#undef put

/* ---- a kernel under the fuzzer's control ---- */

#define FUZZ_CONNECTIONS	2

static struct fuzz_wire {
	const uint8_t *in;
	size_t in_len;
	bool is_ended;
	size_t room;			/* bytes that one write takes */
	struct loop_fd *handle;
} fuzz_wires[FUZZ_CONNECTIONS];

/* Descriptors are 1000 and above. */
static struct fuzz_wire *fuzz_wire_of(int fd)
{
	return fd >= 1000 && fd < 1000 + FUZZ_CONNECTIONS ? &fuzz_wires[fd - 1000] : NULL;
}

static int fuzz_fd_add(struct loop *loop, struct loop_fd *handle, int fd, uint32_t events, loop_fd_fn fn,
	void *ctx)
{
	*handle = (struct loop_fd){ .fn = fn, .ctx = ctx, .fd = fd, .events = events, .is_watched = true };
	if (fuzz_wire_of(fd))
		fuzz_wire_of(fd)->handle = handle;
	return 0;
}

static ssize_t fuzz_recv(int fd, void *buf, size_t len, int flags)
{
	struct fuzz_wire *wire = fuzz_wire_of(fd);
	size_t part = wire->in_len < len ? wire->in_len : len;

	if (!part && wire->is_ended)
		return 0;
	if (!part) {
		errno = EAGAIN;
		return -1;
	}
	memcpy(buf, wire->in, part);
	wire->in += part;
	wire->in_len -= part;
	return part;
}

static ssize_t fuzz_sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct fuzz_wire *wire = fuzz_wire_of(fd);
	static volatile uint8_t sum;
	size_t all = 0;

	for (size_t i = 0; i < message->msg_iovlen; i++) {
		const uint8_t *bytes = message->msg_iov[i].iov_base;

		for (size_t at = 0; at < message->msg_iov[i].iov_len; at += 64)
			sum = sum + bytes[at];
		all += message->msg_iov[i].iov_len;
	}
	if (all && !wire->room) {
		errno = EAGAIN;
		return -1;
	}
	return all < wire->room ? all : wire->room;
}

static int fuzz_shutdown(int fd, int how)
{
	return 0;
}

static int fuzz_close(int fd)
{
	if (fuzz_wire_of(fd)) {
		fuzz_wire_of(fd)->handle = NULL;
		return 0;
	}
	return close(fd);
}

void log_limited(struct log_limit *limit, enum log_level level, const char *fmt, ...)
{
}

void log_write(enum log_level level, const char *fmt, ...)
{
}

#define loop_fd_add	fuzz_fd_add
#define recv		fuzz_recv
#define sendmsg		fuzz_sendmsg
#define shutdown	fuzz_shutdown
#define close		fuzz_close
#include "server/out.c"
#include "server/request.c"
#define read_head	http1_read_head
#include "server/http1.c"
#undef read_head
#define put		connection_put
#define check		connection_check
#include "server/connection.c"
#undef put
#undef check
#include "server/handshakes.c"
#include "server/tls_server.c"
#include "server/listen.c"
#define refuse		socket_refuse
#define end		socket_end
#include "server/socket.c"
#undef refuse
#undef end
#define take_frame	h2_take_frame
#include "server/h2_memory.c"
#include "server/h2.c"
#undef HEADERS_MAX
#define refuse		call_refuse
#define queue		call_queue
#define resume		call_resume
#define read_head	call_read_head
#include "server/call.c"
#undef close

/* ---- the owner ---- */

static struct server *fuzz_server;
static uint8_t fuzz_deeds[2];
static size_t fuzz_calls, fuzz_call_ends, fuzz_sockets, fuzz_socket_ends;
static struct server_call *fuzz_call;
static struct server_socket *fuzz_socket;

static void fuzz_act(uint8_t deed)
{
	static uint8_t large[200000];

	switch (deed % 16) {
	case 1:
		if (fuzz_call)
			server_call_end(fuzz_call, GRPC_NOT_FOUND, "no \xff such %");
		break;
	case 2:
		if (fuzz_socket)
			server_socket_end(fuzz_socket, "enough");
		break;
	case 3:
		for (int i = 0; fuzz_call && i < 30; i++)
			server_call_send(fuzz_call, large, sizeof(large));
		break;
	case 4:
		for (int i = 0; fuzz_socket && i < 70; i++) {
			uint8_t *at = server_socket_reserve(fuzz_socket, 5000);

			if (!at)
				break;
			memset(at, 1, 5000);
			server_socket_commit(fuzz_socket);
		}
		break;
	case 5:
		server_free(fuzz_server);
		fuzz_server = NULL;
		break;
	case 6:
		if (fuzz_server)
			server_drain(fuzz_server);
		break;
	case 7:
		if (fuzz_call)
			server_call_begin(fuzz_call, (const char *[]){ "x-a" }, (const char *[]){ "1" }, 1);
		break;
	}
}

static void fuzz_call_message(void *ctx, const uint8_t *bytes, size_t len)
{
	static volatile uint8_t sum;

	for (size_t i = 0; i < len; i++)
		sum = sum + bytes[i];
	if (fuzz_deeds[0] & 0x80)
		server_call_send(ctx, bytes, len);
	fuzz_act(fuzz_deeds[0]);
}

static void fuzz_call_half(void *ctx)
{
	if (fuzz_deeds[1] & 0x80)
		server_call_end(ctx, GRPC_OK, NULL);
	fuzz_act(fuzz_deeds[1]);
}

static void fuzz_call_closed(void *ctx)
{
	fuzz_call_ends++;
	if (fuzz_call == ctx)
		fuzz_call = NULL;
	if (fuzz_deeds[1] & 0x40)
		fuzz_act(fuzz_deeds[1] >> 2);
}

static bool fuzz_on_call(void *ctx, struct server_call *call, const struct server_request *request,
	const struct server_call_events **ret_events, void **ret_ctx)
{
	static const struct server_call_events events = { .message = fuzz_call_message,
		.half_closed = fuzz_call_half, .closed = fuzz_call_closed };

	if (request->path[0] != '/' || request->path[1] == 'n')
		return false;
	*ret_events = &events;
	*ret_ctx = fuzz_call = call;
	fuzz_calls++;
	if (fuzz_deeds[0] & 0x40)
		fuzz_act(fuzz_deeds[0] >> 2);
	return true;
}

static void fuzz_socket_message(void *ctx, uint8_t *bytes, size_t len)
{
	uint8_t *at;

	if (len > 8820)
		abort();
	at = server_socket_reserve(ctx, len);
	if (at) {
		memcpy(at, bytes, len);
		server_socket_commit(ctx);
	}
	memset(bytes, 0, len);
	fuzz_act(fuzz_deeds[0]);
}

static void fuzz_socket_drained(void *ctx)
{
	fuzz_act(fuzz_deeds[1]);
}

static void fuzz_socket_closed(void *ctx, const char *why)
{
	fuzz_socket_ends++;
	if (!*why)
		abort();
	if (fuzz_socket == ctx)
		fuzz_socket = NULL;
	if (fuzz_deeds[1] & 0x40)
		fuzz_act(fuzz_deeds[1] >> 2);
}

static bool fuzz_on_socket(void *ctx, struct server_socket *socket, const struct server_request *request,
	const struct server_socket_events **ret_events, void **ret_ctx)
{
	static const struct server_socket_events events = { .message = fuzz_socket_message,
		.drained = fuzz_socket_drained, .closed = fuzz_socket_closed };

	if (strcmp(request->path, "/relay"))
		return false;
	*ret_events = &events;
	*ret_ctx = fuzz_socket = socket;
	fuzz_sockets++;
	return true;
}

static void fuzz_on_request(void *ctx, const struct server_request *request, struct server_answer *ret_answer)
{
	static char body[100000];

	*ret_answer = (struct server_answer){ .status = 200, .body = memset(body, 'x', sizeof(body)),
		.len = strlen(request->path) > 1 ? sizeof(body) : 5 };
	fuzz_act(fuzz_deeds[1]);
}

/* ---- steps ---- */

enum fuzz_step {
	FUZZ_RAW, FUZZ_UPGRADE, FUZZ_FRAME, FUZZ_PREFACE, FUZZ_H2, FUZZ_HEADERS, FUZZ_CALL, FUZZ_TIME,
	FUZZ_ROOM, FUZZ_WRITABLE, FUZZ_END, FUZZ_OTHER, FUZZ_ACT, FUZZ_STEPS
};

static size_t fuzz_now;			/* the connection that speaks */

static void fuzz_ready(uint32_t events)
{
	struct loop_fd *handle = fuzz_wires[fuzz_now].handle;

	if (handle && handle->is_watched && handle->events & events)
		handle->fn(handle->ctx, events);
}

static void fuzz_say(struct loop *loop, const void *bytes, size_t len)
{
	fuzz_wires[fuzz_now].in = bytes;
	fuzz_wires[fuzz_now].in_len = len;
	fuzz_ready(EPOLLIN);
	fuzz_wires[fuzz_now].in_len = 0;
	loop_advance(loop, loop_now(loop));
}

static void fuzz_say_h2(struct loop *loop, uint8_t type, uint8_t flags, uint8_t id, const uint8_t *bytes,
	size_t len)
{
	static uint8_t frame[9 + 1024];
	const uint8_t head[9] = { len >> 16, len >> 8, len, type, flags, 0, 0, 0, id };

	memcpy(frame, head, 9);
	memcpy(frame + 9, bytes, len);
	fuzz_say(loop, frame, 9 + len);
}

/* A request as a client makes it, then fields as the input has them. */
static void fuzz_say_headers(struct loop *loop, bool is_grpc, uint8_t id, uint8_t flags, const uint8_t *bytes,
	size_t len)
{
	static const char grpc[] = "\x83\x86\x00\x05:path\x02/a\x00\x0c" "content-type\x10"
		"application/grpc";
	static const char plain[] = "\x82\x86\x84";
	uint8_t block[512];
	size_t used = is_grpc ? sizeof(grpc) - 1 : sizeof(plain) - 1;

	memcpy(block, is_grpc ? grpc : plain, used);
	memcpy(block + used, bytes, len);
	fuzz_say_h2(loop, NGHTTP2_HEADERS, flags, id, block, used + len);
}

static void fuzz_say_frame(struct loop *loop, uint8_t first, const uint8_t *bytes, size_t len)
{
	static const uint8_t mask[4] = { 1, 2, 3, 4 };
	static uint8_t frame[20000];
	size_t times = first & 0x40 ? 40 : 1;
	size_t head = websocket_frame_write(WEBSOCKET_BINARY, len * times, mask, frame);

	frame[0] = first & 0x8f;
	for (size_t i = 0; i < times; i++)
		memcpy(frame + head + i * len, bytes, len);
	fuzz_say(loop, frame, head + len * times);
}

static void fuzz_open(struct server *s, size_t i)
{
	const struct endpoint from = { .family = AF_INET, .port = htons(1000 + i),
		.remote.word[0] = htonl(0x7f000001) };

	if (fuzz_wires[i].handle)
		return;
	fuzz_wires[i] = (struct fuzz_wire){ .room = SIZE_MAX };
	if (admit(s, 1000 + i, &from))
		abort();
}

static void fuzz_do(struct loop *loop, uint8_t step, uint8_t arg, const uint8_t *bytes, size_t len)
{
	static const char upgrade[] = "GET /relay HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";

	switch (step % FUZZ_STEPS) {
	case FUZZ_RAW:
		fuzz_say(loop, bytes, len);
		break;
	case FUZZ_UPGRADE:
		fuzz_say(loop, upgrade, sizeof(upgrade) - 1);
		break;
	case FUZZ_FRAME:
		fuzz_say_frame(loop, arg, bytes, len);
		break;
	case FUZZ_PREFACE:
		fuzz_say(loop, preface, sizeof(preface));
		break;
	case FUZZ_H2:
		fuzz_say_h2(loop, arg % 11, arg & 0x80 ? 1 : arg & 0x40 ? 4 : 0, len ? bytes[0] % 8 : 0,
			bytes, len);
		break;
	case FUZZ_HEADERS:
		fuzz_say_headers(loop, false, arg % 16, 4 | (arg >> 7), bytes, len);
		break;
	case FUZZ_CALL:
		fuzz_say_headers(loop, true, arg % 16, 4 | (arg >> 7), bytes, len);
		break;
	case FUZZ_TIME:
		loop_advance(loop, loop_now(loop) + arg * LOOP_SECOND);
		break;
	case FUZZ_ROOM:
		fuzz_wires[fuzz_now].room = arg == 255 ? SIZE_MAX : arg * 100;
		break;
	case FUZZ_WRITABLE:
		fuzz_ready(EPOLLOUT);
		break;
	case FUZZ_END:
		fuzz_wires[fuzz_now].is_ended = true;
		fuzz_ready(arg & 1 ? EPOLLIN | EPOLLHUP : EPOLLIN);
		break;
	case FUZZ_OTHER:
		fuzz_now = arg % FUZZ_CONNECTIONS;
		if (fuzz_server && !fuzz_server->is_draining)
			fuzz_open(fuzz_server, fuzz_now);
		break;
	case FUZZ_ACT:
		fuzz_act(arg);
		break;
	}
	loop_advance(loop, loop_now(loop));
}

/* Everything that was kept for clients is gone with them. */
static void fuzz_check_end(struct server *s)
{
	struct connection *c;

	while ((c = TAILQ_FIRST(&s->connections)))
		connection_drop(c, "the input ends");
	if (s->waiting || s->assembling || s->connection_count || s->call_count || s->socket_count)
		abort();
	for (size_t i = 0; i < SERVER_ADDRESS_SLOTS; i++) {
		for (struct address *address = s->addresses[i]; address; address = address->next) {
			if (address->count)
				abort();
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct server_events events = { .call = fuzz_on_call, .socket = fuzz_on_socket,
		.request = fuzz_on_request };
	struct server_options options = { .listen.family = AF_INET, .call_message_max = 100000 };
	struct loop *loop;
	char why[SERVER_WHY_LEN];
	size_t at = 2;

	if (len < 2)
		return 0;
	memcpy(fuzz_deeds, data, 2);
	fuzz_calls = fuzz_call_ends = fuzz_sockets = fuzz_socket_ends = fuzz_now = 0;
	memset(fuzz_wires, 0, sizeof(fuzz_wires));
	options.listen.remote.word[0] = htonl(0x7f000001);
	if (loop_new_fake(&loop, LOOP_SECOND) ||
		server_new(loop, &options, &events, NULL, &fuzz_server, why))
		abort();
	fuzz_open(fuzz_server, 0);
	for (size_t steps = 0; at + 3 <= len && steps < 200; steps++) {
		uint8_t part = data[at + 2];
		size_t left = len - at - 3;

		part = part < left ? part : left;
		fuzz_do(loop, data[at], data[at + 1], data + at + 3, part);
		at += 3 + part;
	}
	if (fuzz_server)
		fuzz_check_end(fuzz_server);
	server_free(fuzz_server);
	fuzz_server = NULL;
	if (fuzz_calls != fuzz_call_ends || fuzz_sockets != fuzz_socket_ends || loop->count)
		abort();
	loop_free(loop);
	return 0;
}
