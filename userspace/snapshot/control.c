// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The control socket, the daemon's end: requests in, answers out, and clients that cannot do harm.
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>
#include <sodium.h>

#include "snapshot/control.h"
#include "base/json_out.h"

#define ID_MAX		255
#define VALUE_MAX	1024		/* characters of a value of `up` */
#define ACCEPT_PAUSE	LOOP_SECOND	/* after accept() failed, as without free descriptors */
#define ERR_LEN		256
#define RELOAD_ERR_LEN	512		/* an error line of config/ */

struct client {
	struct control *control;
	struct client *next;
	struct loop_fd fd;
	struct loop_timer timer;	/* when it is cut off */
	struct loop_deferred deferred;
	struct pending *pending;	/* an answer that comes later */
	bool is_busy;			/* go_on() is under way */
	bool is_closed;			/* its memory goes at the end of the turn */
	char *out;			/* what is left of an answer to send */
	size_t out_len, out_at;
	size_t in_len;
	char in[CONTROL_REQUEST_MAX];
};

/* Lives until its done function is called, which may be after the client was closed. */
struct pending {
	struct client *client;		/* NULL: closed */
};

struct control {
	struct loop *loop;
	const struct control_ops *ops;
	void *ctx;
	struct loop_fd listener;
	struct loop_timer pause;
	struct client *clients;
	unsigned int client_count;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	dev_t dev;			/* of our socket, so that we do not remove another one of its name */
	ino_t ino;
};

static void listen_again(struct control *control);

/* From within any callback: the client is dead at once, and its memory goes at the end of the turn. */
static void close_client(struct client *client)
{
	struct control *control = client->control;
	struct client **at = &control->clients;

	if (client->is_closed)
		return;
	client->is_closed = true;
	while (*at != client)
		at = &(*at)->next;
	*at = client->next;
	control->client_count--;
	loop_fd_remove(control->loop, &client->fd);
	loop_timer_cancel(control->loop, &client->timer);
	if (client->fd.fd >= 0)
		close(client->fd.fd);
	if (client->pending)
		client->pending->client = NULL;
	free(client->out);
	client->out = NULL;
	sodium_memzero(client->in, sizeof(client->in));
	loop_defer_free(control->loop, &client->deferred, free, client);
	listen_again(control);
}

/*
 * Waits until the rest of the answer can be sent, or for the next request; while an answer is made, for
 * neither.
 */
static void watch(struct client *client)
{
	uint32_t events = client->out ? EPOLLOUT : client->pending ? 0 : EPOLLIN;
	struct loop *loop;

	if (client->is_closed)
		return;
	loop = client->control->loop;
	loop_fd_change(loop, &client->fd, events);
	if (client->pending && !client->out)
		loop_timer_cancel(loop, &client->timer);
	else
		loop_timer_after(loop, &client->timer, client->out ? CONTROL_ANSWER_NS : CONTROL_REQUEST_NS);
}

/* Sends as much of the answer as the socket takes. */
static void flush(struct client *client)
{
	while (client->out_at < client->out_len) {
		ssize_t n = send(client->fd.fd, client->out + client->out_at,
			client->out_len - client->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (errno != EAGAIN)
				close_client(client);
			return;
		}
		client->out_at += n;
	}
	free(client->out);
	client->out = NULL;
	client->out_len = client->out_at = 0;
}

/* An answer under construction: json.out is a stream in memory. */
struct answer {
	struct json_out json;
	char *text;
	size_t len;
};

static bool begin_answer(struct answer *a, bool ok)
{
	*a = (struct answer){ .json.first = true };
	a->json.out = open_memstream(&a->text, &a->len);
	if (!a->json.out)
		return false;
	json_out_begin(&a->json, NULL, '{');
	json_out_bool(&a->json, "ok", ok);
	return true;
}

static void end_answer(struct client *client, struct answer *a)
{
	json_out_end(&a->json, '}');
	fputc('\n', a->json.out);
	if (fclose(a->json.out))
		close_client(client);
	if (client->is_closed) {
		free(a->text);
		return;
	}
	client->out = a->text;
	client->out_len = a->len;
	client->out_at = 0;
	flush(client);
}

static void answer(struct client *client, int ret, const char *why)
{
	struct answer a;

	if (!begin_answer(&a, !ret)) {
		close_client(client);
		return;
	}
	if (ret)
		json_out_text(&a.json, "error", why && why[0] ? why : strerror(-ret));
	end_answer(client, &a);
}

static void answer_text(struct client *client, const char *text)
{
	struct answer a;

	if (!begin_answer(&a, true)) {
		close_client(client);
		return;
	}
	json_out_text(&a.json, "result", text);
	end_answer(client, &a);
}

static void answer_snapshot(struct client *client)
{
	struct control *control = client->control;
	struct snapshot snapshot = {};
	struct answer a;
	int ret;

	ret = control->ops->snapshot(control->ctx, &snapshot);
	if (ret) {
		answer(client, ret, NULL);
		return;
	}
	if (begin_answer(&a, true)) {
		json_out_key(&a.json, "result");
		snapshot_write(a.json.out, &snapshot);
		end_answer(client, &a);
	} else {
		close_client(client);
	}
	snapshot_done(&snapshot);
}

static void go_on(struct client *client);

/* The client that waits, or NULL if it is gone. */
static struct client *end_pending(struct pending *pending)
{
	struct client *client = pending->client;

	free(pending);
	if (client)
		client->pending = NULL;
	return client;
}

/* After an answer: if the operation itself gave it, go_on() continues by itself. */
static void go_on_later(struct client *client)
{
	if (!client->is_busy)
		go_on(client);
}

static void answered(void *arg, int ret, const char *why)
{
	struct client *client = end_pending(arg);

	if (!client)
		return;
	answer(client, ret, why);
	go_on_later(client);
}

static void probed(void *arg, int ret, const char *why)
{
	struct client *client = end_pending(arg);

	if (!client)
		return;
	answer_snapshot(client);
	go_on_later(client);
}

static struct pending *new_pending(struct client *client)
{
	struct pending *pending = malloc(sizeof(*pending));

	if (!pending)
		return NULL;
	pending->client = client;
	client->pending = pending;
	return pending;
}

static bool is_plain(const char *text, size_t max)
{
	if (!*text || strlen(text) > max)
		return false;
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	}
	return true;
}

/* Writes the text of @key to @ret_value, NULL if the request has none. Returns 0 or -EINVAL. */
static int take_value(const json_t *request, const char *key, size_t max, const char **ret_value)
{
	const json_t *value = json_object_get(request, key);

	if (value && (!json_is_string(value) || !is_plain(json_string_value(value), max)))
		return -EINVAL;
	*ret_value = json_string_value(value);
	return 0;
}

/* A secret, in the request's own memory. */
static void wipe(const char *text)
{
	if (text)
		sodium_memzero((char *)text, strlen(text));
}

static void do_up(struct client *client, const json_t *request)
{
	struct control *control = client->control;
	struct pending *pending;
	struct control_up up;

	if (take_value(request, "setupKey", VALUE_MAX, &up.setup_key) ||
		take_value(request, "managementUrl", VALUE_MAX, &up.management_url) ||
		take_value(request, "hostname", VALUE_MAX, &up.hostname) ||
		take_value(request, "token", CONTROL_TOKEN_MAX, &up.token)) {
		answer(client, -EINVAL, "a value of the request is not understood");
		return;
	}
	pending = new_pending(client);
	if (pending)
		control->ops->up(control->ctx, &up, answered, pending);
	else
		answer(client, -ENOMEM, NULL);
	wipe(up.setup_key);
	wipe(up.token);
}

static void do_extend(struct client *client, const json_t *request)
{
	struct pending *pending;
	const char *token;

	if (take_value(request, "token", CONTROL_TOKEN_MAX, &token) || !token) {
		answer(client, -EINVAL, "the request has no token that is understood");
		return;
	}
	pending = new_pending(client);
	if (pending)
		client->control->ops->extend(client->control->ctx, token, answered, pending);
	else
		answer(client, -ENOMEM, NULL);
	wipe(token);
}

static void do_later(struct client *client, void (*op)(void *ctx, control_done_fn done, void *arg))
{
	struct pending *pending = new_pending(client);

	if (pending)
		op(client->control->ctx, answered, pending);
	else
		answer(client, -ENOMEM, NULL);
}

/* Writes the ids of a request to @ids. Returns their number or -EINVAL. */
static int take_ids(const json_t *list, char *ids[static CONTROL_IDS_MAX])
{
	size_t count = json_array_size(list);

	if ((list && !json_is_array(list)) || count > CONTROL_IDS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < count; i++) {
		const char *id = json_string_value(json_array_get(list, i));

		if (!id || !is_plain(id, ID_MAX))
			return -EINVAL;
		ids[i] = (char *)id;
	}
	return count;
}

static void do_networks(struct client *client, const json_t *request, bool select)
{
	struct control *control = client->control;
	bool append = json_is_true(json_object_get(request, "append")),
		all = json_is_true(json_object_get(request, "all"));
	char *ids[CONTROL_IDS_MAX], err[ERR_LEN] = "";
	int count = take_ids(json_object_get(request, "ids"), ids), ret;

	if (count < 0 || all == (count > 0)) {
		answer(client, -EINVAL, "the request names no networks that can be understood");
		return;
	}
	if (select)
		ret = control->ops->select(control->ctx, ids, count, append, all, err, sizeof(err));
	else
		ret = control->ops->deselect(control->ctx, ids, count, append, all, err, sizeof(err));
	answer(client, ret, err);
}

static void do_snapshot(struct client *client, const json_t *request)
{
	const struct control *control = client->control;
	struct pending *pending = NULL;

	if (control->ops->probe && json_is_true(json_object_get(request, "probe")))
		pending = new_pending(client);
	if (pending)
		control->ops->probe(control->ctx, probed, pending);
	else
		answer_snapshot(client);
}

static void do_log_level(struct client *client, const json_t *request)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	const char *name = json_string_value(json_object_get(request, "level"));

	for (size_t i = 0; name && i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(names[i], name)) {
			log_set_level(i);
			answer(client, 0, NULL);
			return;
		}
	}
	answer(client, -EINVAL, "the level is not error, warn, info or debug");
}

static bool is_setting(const char *text)
{
	return strchr(text, '=') && (!strncmp(text, "TALON_", 6) || !strncmp(text, "NB_", 3) ||
		!strncmp(text, "WT_", 3));
}

/* Writes the variables of a request to @env, and NULL at the end. Returns 0 or -EINVAL. */
static int take_environment(const json_t *list, char *env[static CONTROL_ENV_MAX + 1])
{
	size_t count = json_array_size(list);

	if (!json_is_array(list) || count > CONTROL_ENV_MAX)
		return -EINVAL;
	for (size_t i = 0; i < count; i++) {
		const char *text = json_string_value(json_array_get(list, i));

		if (!text || !is_plain(text, CONTROL_REQUEST_MAX) || !is_setting(text))
			return -EINVAL;
		env[i] = (char *)text;
	}
	env[count] = NULL;
	return 0;
}

static void do_reload(struct client *client, const json_t *request)
{
	struct control *control = client->control;
	const json_t *list = json_object_get(request, "environment");
	char *env[CONTROL_ENV_MAX + 1], said[CONTROL_SAID_MAX] = "", err[RELOAD_ERR_LEN] = "";
	int ret = list ? take_environment(list, env) : 0;

	if (ret) {
		answer(client, ret, "the environment of the request is not understood");
		return;
	}
	ret = control->ops->reload(control->ctx, list ? env : NULL, said, sizeof(said), err, sizeof(err));
	for (char **e = env; list && *e; e++)
		sodium_memzero(*e, strlen(*e));
	if (ret)
		answer(client, ret, err);
	else
		answer_text(client, said);
}

/* A daemon without a mesh has no operations but reload. */
static bool has_op(const struct control_ops *ops, const char *name)
{
	return !strcmp(name, "version") || !strcmp(name, "log-level") ||
		(strcmp(name, "reload") ? ops->snapshot != NULL : ops->reload != NULL);
}

static void dispatch(struct client *client, const json_t *request)
{
	const struct control_ops *ops = client->control->ops;
	const char *name = json_string_value(json_object_get(request, "request"));

	if (!name)
		answer(client, -EINVAL, "not a request");
	else if (!has_op(ops, name))
		answer(client, -EOPNOTSUPP, "this daemon is in no mesh");
	else if (!strcmp(name, "reload"))
		do_reload(client, request);
	else if (!strcmp(name, "snapshot"))
		do_snapshot(client, request);
	else if (!strcmp(name, "version"))
		answer_text(client, TALON_VERSION);
	else if (!strcmp(name, "log-level"))
		do_log_level(client, request);
	else if (!strcmp(name, "select") || !strcmp(name, "deselect"))
		do_networks(client, request, name[0] == 's');
	else if (!strcmp(name, "up"))
		do_up(client, request);
	else if (!strcmp(name, "extend"))
		do_extend(client, request);
	else if (!strcmp(name, "down"))
		do_later(client, ops->down);
	else if (!strcmp(name, "logout"))
		do_later(client, ops->logout);
	else
		answer(client, -EINVAL, "this daemon does not know the request");
}

static void handle_line(struct client *client, const char *line, size_t len)
{
	json_t *request = json_loadb(line, len, 0, NULL);

	dispatch(client, request);
	json_decref(request);
}

/* Handles the complete lines of client->in, one after the other as answers are sent. */
static void go_on(struct client *client)
{
	char *newline;
	size_t len;

	client->is_busy = true;
	while (!client->is_closed && !client->out && !client->pending &&
		(newline = memchr(client->in, '\n', client->in_len))) {
		len = newline - client->in;
		handle_line(client, client->in, len);
		client->in_len -= len + 1;
		memmove(client->in, newline + 1, client->in_len);
		sodium_memzero(client->in + client->in_len, len + 1);
	}
	if (!client->is_closed && !client->out && !client->pending && client->in_len == sizeof(client->in)) {
		answer(client, -EMSGSIZE, "the request is too long");
		close_client(client);	/* what follows would be the rest of that request */
	}
	client->is_busy = false;
	watch(client);
}

static void receive(struct client *client)
{
	ssize_t n = recv(client->fd.fd, client->in + client->in_len, sizeof(client->in) - client->in_len,
		MSG_DONTWAIT);

	if (n > 0)
		client->in_len += n;
	else if (!n || (errno != EAGAIN && errno != EINTR))
		close_client(client);
}

static void on_client(void *ctx, uint32_t events)
{
	struct client *client = ctx;

	if (client->out && events & EPOLLOUT)
		flush(client);
	else if (!client->out && !client->pending && events & EPOLLIN)
		receive(client);
	else if (events & (EPOLLHUP | EPOLLERR))
		close_client(client);
	/* Part of a request is left alone, since go_on() would give the client more time. */
	if (!client->is_closed && !client->out && !client->pending &&
	    (memchr(client->in, '\n', client->in_len) || client->in_len == sizeof(client->in) ||
	    events & EPOLLOUT))
		go_on(client);
}

static void on_timeout(void *ctx)
{
	close_client(ctx);
}

static void add_client(struct control *control, int fd)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client) {
		close(fd);
		return;
	}
	client->control = control;
	loop_timer_init(&client->timer, on_timeout, client);
	if (loop_fd_add(control->loop, &client->fd, fd, EPOLLIN, on_client, client)) {
		close(fd);
		free(client);
		return;
	}
	client->next = control->clients;
	control->clients = client;
	control->client_count++;
	loop_timer_after(control->loop, &client->timer, CONTROL_REQUEST_NS);
}

static void on_connect(void *ctx, uint32_t events)
{
	struct control *control = ctx;
	int fd = accept4(control->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0)
		add_client(control, fd);
	else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		loop_timer_after(control->loop, &control->pause, ACCEPT_PAUSE);
	if (control->client_count >= CONTROL_CLIENTS_MAX || loop_timer_is_set(&control->pause))
		loop_fd_change(control->loop, &control->listener, 0);
}

static void listen_again(struct control *control)
{
	if (control->client_count < CONTROL_CLIENTS_MAX && !loop_timer_is_set(&control->pause))
		loop_fd_change(control->loop, &control->listener, EPOLLIN);
}

static void on_pause_over(void *ctx)
{
	listen_again(ctx);
}

static int fail(int ret, char *why, size_t size, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static int fail(int ret, char *why, size_t size, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, size, fmt, args);
	va_end(args);
	return ret;
}

/* Removes a socket at @path that nobody listens on. Returns 0 if the name is free. */
static int clear_name(const char *path, char *why, size_t size)
{
	struct stat st;
	int ret;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : fail(-errno, why, size, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return fail(-EEXIST, why, size,
			"%s: a file that is not a socket is in the way; remove it, or set another "
			"NB_DAEMON_ADDR", path);
	ret = control_probe(path, why, size);
	if (!ret)
		return fail(-EADDRINUSE, why, size, "%s: another daemon answers there; stop it first", path);
	if (ret != -ECONNREFUSED)
		return ret;
	if (unlink(path))
		return fail(-errno, why, size, "%s: cannot remove what another run left: %s", path,
			strerror(errno));
	return 0;
}

static int open_listener(struct control *control, char *why, size_t size)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct stat st;
	int fd, ret;

	ret = clear_name(control->path, why, size);
	if (ret)
		return ret;
	memcpy(addr.sun_path, control->path, sizeof(addr.sun_path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(-errno, why, size, "control socket: %s", strerror(errno));
	/* bind() gives the name the descriptor's mode, so others cannot connect even for a moment. */
	if (fchmod(fd, 0600) || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
		listen(fd, CONTROL_CLIENTS_MAX) || lstat(control->path, &st)) {
		ret = fail(-errno, why, size, "%s: cannot listen: %s", control->path, strerror(errno));
		close(fd);
		return ret;
	}
	control->dev = st.st_dev;
	control->ino = st.st_ino;
	ret = loop_fd_add(control->loop, &control->listener, fd, EPOLLIN, on_connect, control);
	if (ret) {
		fail(ret, why, size, "%s: cannot listen: %s", control->path, strerror(-ret));
		unlink(control->path);
		close(fd);
	}
	return ret;
}

int control_new(struct control **ret_control, struct loop *loop, const char *path,
	const struct control_ops *ops, void *ctx, char *why, size_t size)
{
	struct control *control;
	int ret;

	if (strlen(path) >= sizeof(control->path))
		return fail(-ENAMETOOLONG, why, size, "%s: the path is too long for a socket", path);
	control = calloc(1, sizeof(*control));
	if (!control)
		return fail(-ENOMEM, why, size, "out of memory");
	control->loop = loop;
	control->ops = ops;
	control->ctx = ctx;
	strcpy(control->path, path);
	loop_timer_init(&control->pause, on_pause_over, control);
	ret = open_listener(control, why, size);
	if (ret)
		free(control);
	else
		*ret_control = control;
	return ret;
}

void control_free(struct control *control)
{
	struct stat st;

	if (!control)
		return;
	while (control->clients)
		close_client(control->clients);
	loop_timer_cancel(control->loop, &control->pause);
	loop_fd_remove(control->loop, &control->listener);
	close(control->listener.fd);
	if (!lstat(control->path, &st) && st.st_dev == control->dev && st.st_ino == control->ino)
		unlink(control->path);
	free(control);
}
