/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A hub on a loop whose clock the test moves, with its own store in a directory that goes afterwards, and a
 * server room made of memory: calls are handed in, and what is sent on them is kept.
 */
#ifndef TALON_TEST_HUB_RIG_H
#define TALON_TEST_HUB_RIG_H

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "hub/internal.h"
#include "base/setup_key.h"
#include "management.pb-c.h"
#include "signalexchange.pb-c.h"

#define KEY_1	"A1B2C3D4-0000-4000-8000-000000000001"
#define KEY_2	"A1B2C3D4-0000-4000-8000-000000000002"
#define KEY_3	"A1B2C3D4-0000-4000-8000-000000000003"
#define KEY_NONE "A1B2C3D4-0000-4000-8000-0000000000FF"

/* ---- the server room ---- */

#define SENT_MAX 64

struct server_call {
	struct endpoint remote;
	const struct server_call_events *events;
	void *ctx;
	struct { uint8_t *bytes; size_t len; } sent[SENT_MAX];
	size_t count;
	bool has_begun, is_ended, is_closed;
	char header[64];
	int status;
	char text[256];
	size_t waiting;			/* the test's: as if the reader were slow */
	const char *peer_id;
};

static struct server_events main_events;
static void *main_ctx;
static struct server_counts no_counts;
static size_t main_connections_max;

int server_new(struct loop *loop, const struct server_options *options, const struct server_events *events,
	void *ctx, struct server **ret_server, char why[static SERVER_WHY_LEN])
{
	if (options->call_message_max)		/* the page has none */
		main_connections_max = options->connections_max;
	main_events = *events;
	main_ctx = ctx;
	*ret_server = (struct server *)&no_counts;
	return 0;
}

void server_drain(struct server *server)
{
}

void server_free(struct server *server)
{
}

static bool rig_reload_fails;

int server_reload(struct server *server, char why[static SERVER_WHY_LEN])
{
	if (!rig_reload_fails)
		return 0;
	snprintf(why, SERVER_WHY_LEN, "certificate /c.pem: no such file");
	return -EINVAL;
}

uint16_t server_port(const struct server *server)
{
	return 80;
}

void server_counts(const struct server *server, struct server_counts *ret_counts)
{
	*ret_counts = no_counts;
}

struct slice server_request_field(const struct server_request *request, const char *name)
{
	const char *id = (const char *)request->query;	/* the rig's place for it */

	return !strcmp(name, "x-wiretrustee-peer-id") && *id ? slice_from(id) : (struct slice){};
}

const struct endpoint *server_call_remote(const struct server_call *call)
{
	return &call->remote;
}

int server_call_begin(struct server_call *call, const char *const names[], const char *const values[],
	size_t count)
{
	call->has_begun = true;
	snprintf(call->header, sizeof(call->header), "%s=%s", count ? names[0] : "", count ? values[0] : "");
	return 0;
}

int server_call_send(struct server_call *call, const void *bytes, size_t len)
{
	assert_false(call->is_ended);
	assert_true(call->count < SENT_MAX);
	call->sent[call->count].bytes = malloc(len + 1);
	memcpy(call->sent[call->count].bytes, bytes, len);
	call->sent[call->count++].len = len;
	return 0;
}

size_t server_call_waiting(const struct server_call *call)
{
	return call->waiting;
}

void server_call_end(struct server_call *call, int status, const char *text)
{
	assert_false(call->is_ended);
	call->is_ended = true;
	call->status = status;
	snprintf(call->text, sizeof(call->text), "%s", text ? text : "");
}

const struct endpoint *server_socket_remote(const struct server_socket *socket)
{
	return NULL;
}

uint8_t *server_socket_reserve(struct server_socket *socket, size_t len)
{
	return NULL;
}

void server_socket_commit(struct server_socket *socket)
{
}

size_t server_socket_waiting(const struct server_socket *socket)
{
	return 0;
}

void server_socket_end(struct server_socket *socket, const char *why)
{
}

/* ---- the hub ---- */

struct rig {
	struct loop *loop;
	struct hub *hub;
	char dir[64], file[96], data[96];
	const char *text;		/* of the file; NULL: none */
};

static inline void rig_write(struct rig *rig, const char *text)
{
	FILE *f = fopen(rig->file, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static inline void rig_open(struct rig *rig)
{
	struct hub_options options = { .file = rig->text ? rig->file : NULL, .data_dir = rig->data,
		.stun = "off",
		.listen = "127.0.0.1:80", .page = "127.0.0.1:9568", .public_url = "http://hub.test:8080" };
	char why[HUB_WHY_LEN] = "";

	if (hub_new(rig->loop, &options, &rig->hub, why))
		fail_msg("%s", why);
}

static inline void rig_start(struct rig *rig, const char *text)
{
	*rig = (struct rig){ .text = text };
	assert_true(sodium_init() >= 0);
	strcpy(rig->dir, "/tmp/talon-test-hub-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	snprintf(rig->file, sizeof(rig->file), "%s/hub.yaml", rig->dir);
	snprintf(rig->data, sizeof(rig->data), "%s/data", rig->dir);
	if (text)
		rig_write(rig, text);
	assert_int_equal(loop_new_fake(&rig->loop, 1000 * LOOP_SECOND), 0);
	log_set_level(LOG_LEVEL_ERROR);
	rig_open(rig);
}

/* A directory of files. */
static inline void rig_remove(const char *dir)
{
	char path[512];
	struct dirent *entry;
	DIR *d = opendir(dir);

	while (d && (entry = readdir(d))) {
		if (snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name) < (int)sizeof(path))
			unlink(path);
	}
	if (d)
		closedir(d);
	rmdir(dir);
}

static inline void rig_stop(struct rig *rig)
{
	hub_free(rig->hub);
	loop_free(rig->loop);
	rig_remove(rig->data);
	rig_remove(rig->dir);
}

static inline void rig_pass(struct rig *rig, uint64_t ns)
{
	loop_advance(rig->loop, loop_now(rig->loop) + ns);
}

/* What is logged in between, which goes to standard error. */
static int rig_stderr;
static FILE *rig_lines;

static inline void rig_errors_begin(void)
{
	rig_lines = tmpfile();
	assert_non_null(rig_lines);
	rig_stderr = dup(2);
	assert_int_equal(dup2(fileno(rig_lines), 2), 2);
}

/* How many lines have @text in them. */
static inline int rig_errors_end(const char *text)
{
	char line[1024];
	int count = 0;

	assert_int_equal(dup2(rig_stderr, 2), 2);
	close(rig_stderr);
	rewind(rig_lines);
	while (fgets(line, sizeof(line), rig_lines))
		count += !!strstr(line, text);
	fclose(rig_lines);
	return count;
}

/* The hash of a setup key as the file wants it. */
static inline const char *rig_hash(const char *key)
{
	static char text[4][2 * HUBFILE_HASH_LEN + 1];
	static unsigned int at;
	uint8_t hash[HUBFILE_HASH_LEN];

	assert_int_equal(hubfile_key_hash(key, hash), 0);
	at = (at + 1) % 4;
	return sodium_bin2hex(text[at], sizeof(text[at]), hash, sizeof(hash));
}

/* ---- peers that call ---- */

struct agent {
	struct rig *rig;
	struct secret_key key;
	uint8_t public[KEY_LEN];
	char text[KEY_BASE64_LEN + 1];
	const char *hostname;
	struct server_call *sync, *signal;
	uint8_t address;		/* last byte of where it calls from */
};

static inline void agent_make(struct agent *agent, struct rig *rig, uint8_t number, const char *hostname)
{
	*agent = (struct agent){ .rig = rig, .hostname = hostname, .address = number };
	memset(agent->key.bytes, number, sizeof(agent->key.bytes));
	secret_key_clamp(&agent->key);
	key_public(&agent->key, agent->public);
	key_to_base64(agent->public, agent->text);
}

/* Calls @path; @bytes NULL: no message. The call is to be freed with call_free(). */
static inline struct server_call *call_raw(struct agent *agent, const char *path, const void *bytes,
	size_t len, bool is_half_closed, const char *peer_id)
{
	struct server_call *call = calloc(1, sizeof(*call));
	struct server_request request = { .method = "POST", .path = path, .query = peer_id ? peer_id : "" };

	call->remote = (struct endpoint){ .family = AF_INET, .port = htons(1000) };
	call->remote.remote.word[0] = htonl(0xc0000200 | agent->address);
	request.remote = &call->remote;
	if (!hub_take_call(agent->rig->hub, call, &request, &call->events, &call->ctx)) {
		call->is_ended = call->is_closed = true;
		call->status = GRPC_UNIMPLEMENTED;
		return call;
	}
	if (bytes && !call->is_ended)
		call->events->message(call->ctx, bytes, len);
	if (is_half_closed && !call->is_ended)
		call->events->half_closed(call->ctx);
	return call;
}

static inline void call_close(struct server_call *call)
{
	if (!call->is_closed)
		call->events->closed(call->ctx);
	call->is_closed = true;
}

static inline void call_free(struct server_call *call)
{
	if (!call)
		return;
	call_close(call);
	for (size_t i = 0; i < call->count; i++)
		free(call->sent[i].bytes);
	free(call);
}

#define MANAGEMENT_PATH "/management.ManagementService/"

/* With an envelope around @message. */
static inline struct server_call *call_management(struct agent *agent, const char *method,
	const ProtobufCMessage *message)
{
	uint8_t plain[8192], *bytes;
	char path[96];
	struct server_call *call;
	size_t len;

	assert_true(protobuf_c_message_get_packed_size(message) <= sizeof(plain));
	assert_int_equal(envelope_pack_management(&agent->key, agent->rig->hub->box_public, plain,
		protobuf_c_message_pack(message, plain), &bytes, &len), 0);
	snprintf(path, sizeof(path), MANAGEMENT_PATH "%s", method);
	call = call_raw(agent, path, bytes, len, strcmp(method, "Job"), NULL);
	envelope_free(bytes, len);
	return call;
}

/* Opens the answer number @i; to be freed with envelope_free(). */
static inline uint8_t *call_open(struct agent *agent, struct server_call *call, size_t i, size_t *ret_len)
{
	uint8_t *plain;

	assert_true(i < call->count);
	assert_int_equal(envelope_unpack_management(&agent->key, agent->rig->hub->box_public,
		call->sent[i].bytes, call->sent[i].len, &plain, ret_len), 0);
	return plain;
}

static inline void agent_meta(struct agent *agent, Management__PeerSystemMeta *meta, Management__Flags *flags)
{
	static Management__PeerCapability capabilities[] = { MANAGEMENT__PEER_CAPABILITY__SOURCE_PREFIXES,
		MANAGEMENT__PEER_CAPABILITY__IPV6_OVERLAY };

	management__peer_system_meta__init(meta);
	management__flags__init(flags);
	meta->hostname = (char *)agent->hostname;
	meta->go_os = (char *)"linux";
	meta->os = (char *)"Debian";
	meta->netbird_version = (char *)"0.77.1";
	meta->flags = flags;
	meta->capabilities = capabilities;
	meta->n_capabilities = 2;
}

/* Returns the call's status; *@ret_answer, if given, is to be freed. */
static inline int agent_login(struct agent *agent, const char *setup_key,
	Management__LoginResponse **ret_answer)
{
	Management__LoginRequest request = MANAGEMENT__LOGIN_REQUEST__INIT;
	Management__PeerSystemMeta meta;
	Management__Flags flags;
	struct server_call *call;
	uint8_t *plain;
	size_t len;
	int status;

	agent_meta(agent, &meta, &flags);
	request.meta = &meta;
	request.setup_key = (char *)(setup_key ? setup_key : "");
	call = call_management(agent, "Login", &request.base);
	assert_true(call->is_ended);
	status = call->status;
	if (!status) {
		assert_int_equal(call->count, 1);
		plain = call_open(agent, call, 0, &len);
		if (ret_answer) {
			*ret_answer = management__login_response__unpack(NULL, len, plain);
			assert_non_null(*ret_answer);
		}
		envelope_free(plain, len);
	}
	call_free(call);
	return status;
}

static inline int agent_sync(struct agent *agent)
{
	Management__SyncRequest request = MANAGEMENT__SYNC_REQUEST__INIT;
	Management__PeerSystemMeta meta;
	Management__Flags flags;

	agent_meta(agent, &meta, &flags);
	request.meta = &meta;
	agent->sync = call_management(agent, "Sync", &request.base);
	return agent->sync->is_ended ? agent->sync->status : 0;
}

/* The last message of its stream. */
static inline Management__SyncResponse *agent_last(struct agent *agent)
{
	Management__SyncResponse *response;
	uint8_t *plain;
	size_t len;

	assert_true(agent->sync->count > 0);
	plain = call_open(agent, agent->sync, agent->sync->count - 1, &len);
	response = management__sync_response__unpack(NULL, len, plain);
	envelope_free(plain, len);
	assert_non_null(response);
	return response;
}

static inline void agent_signal(struct agent *agent)
{
	agent->signal = call_raw(agent, "/signalexchange.SignalExchange/ConnectStream", NULL, 0, false,
		agent->text);
}

static inline void agent_done(struct agent *agent)
{
	call_free(agent->sync);
	call_free(agent->signal);
	agent->sync = agent->signal = NULL;
}

/* Joins, opens both streams. */
static inline void agent_up(struct agent *agent, const char *setup_key)
{
	assert_int_equal(agent_login(agent, setup_key, NULL), 0);
	assert_int_equal(agent_sync(agent), 0);
	agent_signal(agent);
	assert_true(agent->signal->has_begun);
}

#endif
