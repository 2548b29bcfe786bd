// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Any bytes on the control socket: each line has one answer that is JSON; and any bytes as a daemon's answer,
// read as a snapshot.
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "../../userspace/loop/loop.c"
#include "../../userspace/snapshot/control.c"
#include "../../userspace/snapshot/control_read.c"
#include "../../userspace/snapshot/snapshot.c"
#include "../../userspace/base/json_out.c"
#include "../../userspace/base/text.c"

void log_write(enum log_level level, const char *fmt, ...)
{
}

void log_set_level(enum log_level level)
{
}

int control_listen(const char *path, struct stat *ret_stat, char *why, size_t size)
{
	return -ENOENT;
}

int control_probe(const char *path, char *why, size_t size)
{
	return -ENOENT;
}

static int take_snapshot(void *ctx, struct snapshot *ret_snapshot)
{
	return 0;
}

static int take_ids_op(void *ctx, char *const *ids, size_t count, bool append, bool all, char *err,
	size_t size)
{
	assert(all != (count > 0));
	for (size_t i = 0; i < count; i++)
		assert(ids[i][0] && strlen(ids[i]) <= ID_MAX);
	return 0;
}

static void take_up(void *ctx, const struct control_up *up, control_done_fn done, void *arg)
{
	assert(!up->setup_key || strlen(up->setup_key) <= VALUE_MAX);
	assert(!up->token || (up->token[0] && strlen(up->token) <= CONTROL_TOKEN_MAX));
	done(arg, 0, NULL);
}

static void take_extend(void *ctx, const char *token, control_done_fn done, void *arg)
{
	assert(token[0] && strlen(token) <= CONTROL_TOKEN_MAX);
	done(arg, 0, NULL);
}

static void take_later(void *ctx, control_done_fn done, void *arg)
{
	done(arg, -EPERM, "no");
}

static int take_reload(void *ctx, char *const *env, char *said, size_t said_size, char *err, size_t size)
{
	for (; env && *env; env++)
		assert(strchr(*env, '=') && (!strncmp(*env, "TALON_", 6) || !strncmp(*env, "NB_", 3) ||
			!strncmp(*env, "WT_", 3)));
	snprintf(said, said_size, "?");
	return 0;
}

static void take_config(void *ctx, FILE *out)
{
	fputs("{}", out);
}

static struct control_stay *stays[64];
static size_t stay_count;

/* One service is refused, the next one published. */
static void take_expose(void *ctx, const struct control_expose *expose, struct control_stay *stay)
{
	assert(expose->protocol && expose->group_count <= CONTROL_GROUPS_MAX);
	assert(!expose->pin || strlen(expose->pin) <= VALUE_MAX);
	if (expose->port % 2) {
		control_stay_end(stay, -EPERM, "no");
		return;
	}
	control_stay_tell(stay, &(struct control_exposed){ .name = "a", .domain = "a.test" });
	assert(stay_count < 64);
	stays[stay_count++] = stay;
}

static void take_leave(void *ctx, struct control_stay *stay)
{
}

static const struct control_ops ops = { .snapshot = take_snapshot, .select = take_ids_op, .deselect
	= take_ids_op, .up = take_up, .down = take_later, .extend = take_extend, .logout = take_later,
	.reload = take_reload, .probe = NULL, .config = take_config, .expose = take_expose, .expose_left =
	take_leave };

/* Every line of what came back is an object with "ok". */
static void check_answers(int fd)
{
	static char text[1 << 20];
	char *line = text, *end;
	ssize_t n = recv(fd, text, sizeof(text), MSG_DONTWAIT);

	while (n > 0 && (end = memchr(line, '\n', text + n - line))) {
		json_t *json = json_loadb(line, end - line, 0, NULL);

		assert(json_is_boolean(json_object_get(json, "ok")));
		json_decref(json);
		line = end + 1;
	}
	assert(n <= 0 || line == text + n);
}

static void as_requests(const uint8_t *data, size_t size)
{
	struct control control = { .ops = &ops };
	int fds[2], room = 1 << 20;

	if (loop_new(&control.loop) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds))
		abort();
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	loop_timer_init(&control.pause, on_pause_over, &control);
	add_client(&control, fds[0]);
	(void)!send(fds[1], data, size, MSG_NOSIGNAL);
	for (int i = 0; i < 4; i++)
		loop_turn(control.loop, 0);
	check_answers(fds[1]);
	while (stay_count)
		control_stay_end(stays[--stay_count], 0, NULL);
	while (control.clients)
		close_client(control.clients);
	close(fds[1]);
	loop_free(control.loop);
}

static void as_snapshot(const uint8_t *data, size_t size)
{
	json_t *json = json_loadb((const char *)data, size, 0, NULL);
	struct snapshot snapshot;
	char *text = NULL;
	size_t len;
	FILE *out;

	if (!snapshot_parse(json, &snapshot)) {
		out = open_memstream(&text, &len);
		snapshot_write(out, &snapshot);
		fclose(out);
		free(text);
		snapshot_done(&snapshot);
	}
	json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size || sodium_init() < 0)
		return 0;
	if (data[0] == 'S')
		as_snapshot(data + 1, size - 1);
	else
		as_requests(data, size > 65536 ? 65536 : size);
	return 0;
}
