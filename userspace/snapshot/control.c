// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The control socket, the daemon's end: requests in, answers out, and clients that cannot do harm.
#include <errno.h>
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
#include "snapshot/control_internal.h"
#include "base/json_out.h"

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
	struct control_stay *stay;	/* it stays */
	bool does_stay;			/* counted with those, then */
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

/* Lives until control_stay_end(). */
struct control_stay {
	struct control *control;	/* NULL: freed */
	struct client *client;		/* NULL: closed */
	struct control_stay *next;
	bool has_left;
};

struct control {
	struct loop *loop;
	const struct control_ops *ops;
	void *ctx;
	struct loop_fd listener;
	struct loop_timer pause;
	struct client *clients;
	unsigned int client_count;	/* without those that stay */
	struct control_stay *stays;
	unsigned int stay_count;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	dev_t dev;			/* of our socket, so that we do not remove another one of its name */
	ino_t ino;
};

static void listen_again(struct control *control);

/* The operation is told once that its client left. */
static void leave(struct control_stay *stay)
{
	struct control *control = stay->control;

	if (stay->has_left || !control)
		return;
	stay->has_left = true;
	control->ops->expose_left(control->ctx, stay);
}

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
	if (!client->does_stay)
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
	if (client->stay) {
		client->stay->client = NULL;
		leave(client->stay);
	}
}

/*
 * Waits until the rest of the answer can be sent, or for the next request; while an answer is made, for
 * neither.
 */
static void watch(struct client *client)
{
	bool is_deaf = client->pending || (client->stay && client->stay->has_left);
	uint32_t events = client->out ? EPOLLOUT : is_deaf ? 0 : EPOLLIN;
	struct loop *loop;

	if (client->is_closed)
		return;
	loop = client->control->loop;
	loop_fd_change(loop, &client->fd, events);
	if ((client->pending || client->stay) && !client->out)
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

	if (control_read_text(request, "setupKey", VALUE_MAX, &up.setup_key) ||
		control_read_text(request, "managementUrl", VALUE_MAX, &up.management_url) ||
		control_read_text(request, "hostname", VALUE_MAX, &up.hostname) ||
		control_read_text(request, "token", CONTROL_TOKEN_MAX, &up.token)) {
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

	if (control_read_text(request, "token", CONTROL_TOKEN_MAX, &token) || !token) {
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

/* Takes a client out of those that wait for answers. */
static struct control_stay *new_stay(struct client *client)
{
	struct control *control = client->control;
	struct control_stay *stay = control->stay_count < CONTROL_STAYS_MAX ? calloc(1, sizeof(*stay)) : NULL;

	if (!stay)
		return NULL;
	stay->control = control;
	stay->client = client;
	stay->next = control->stays;
	control->stays = client->stay = stay;
	client->does_stay = true;
	control->stay_count++;
	control->client_count--;
	listen_again(control);
	return stay;
}

static void do_expose(struct client *client, const json_t *request)
{
	char *groups[CONTROL_IDS_MAX];
	struct control_expose expose = { .groups = groups };
	int count = control_read_ids(json_object_get(request, "groups"), groups);
	struct control_stay *stay;

	if (count < 0 || count > (int)CONTROL_GROUPS_MAX ||
		control_read_port(request, "port", &expose.port) || control_read_port(request, "externalPort",
		&expose.external_port) || control_read_text(request, "protocol", VALUE_MAX,
		&expose.protocol) || control_read_text(request, "pin", VALUE_MAX, &expose.pin) ||
		control_read_text(request, "password", VALUE_MAX, &expose.password) ||
		control_read_text(request, "domain", VALUE_MAX, &expose.domain) ||
		control_read_text(request, "namePrefix", VALUE_MAX, &expose.name_prefix) ||
		!expose.protocol) {
		answer(client, -EINVAL, "a value of the request is not understood");
		return;
	}
	expose.group_count = count;
	stay = new_stay(client);
	if (stay)
		client->control->ops->expose(client->control->ctx, &expose, stay);
	else
		answer(client, -EUSERS, "this daemon publishes as many services as it has room for already");
	wipe(expose.pin);
	wipe(expose.password);
}

void control_stay_tell(struct control_stay *stay, const struct control_exposed *exposed)
{
	struct client *client = stay->client;
	struct answer a;

	if (!client)
		return;
	if (!begin_answer(&a, true)) {
		close_client(client);
		return;
	}
	json_out_begin(&a.json, "result", '{');
	json_out_text(&a.json, "name", exposed->name);
	json_out_text(&a.json, "url", exposed->url);
	json_out_text(&a.json, "domain", exposed->domain);
	json_out_bool(&a.json, "isPortAssigned", exposed->is_port_assigned);
	json_out_end(&a.json, '}');
	end_answer(client, &a);
	watch(client);
}

static void forget_stay(struct control_stay *stay)
{
	struct control_stay **at;

	if (stay->control) {
		at = &stay->control->stays;
		while (*at != stay)
			at = &(*at)->next;
		*at = stay->next;
		stay->control->stay_count--;
	}
	free(stay);
}

void control_stay_end(struct control_stay *stay, int ret, const char *why)
{
	struct client *client = stay->client;

	if (client) {
		client->stay = NULL;	/* nothing more to tell the operation */
		if (!client->out)
			answer(client, ret, why);	/* one line is far less than a socket holds */
		close_client(client);
	}
	forget_stay(stay);
}

static void answer_config(struct client *client)
{
	struct control *control = client->control;
	struct answer a;

	if (!begin_answer(&a, true)) {
		close_client(client);
		return;
	}
	json_out_key(&a.json, "result");
	control->ops->config(control->ctx, a.json.out);
	end_answer(client, &a);
}

static void do_later(struct client *client, void (*op)(void *ctx, control_done_fn done, void *arg))
{
	struct pending *pending = new_pending(client);

	if (pending)
		op(client->control->ctx, answered, pending);
	else
		answer(client, -ENOMEM, NULL);
}

static void do_networks(struct client *client, const json_t *request, bool select)
{
	struct control *control = client->control;
	bool append = json_is_true(json_object_get(request, "append")),
		all = json_is_true(json_object_get(request, "all"));
	char *ids[CONTROL_IDS_MAX], err[ERR_LEN] = "";
	int count = control_read_ids(json_object_get(request, "ids"), ids), ret;

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

static void do_reload(struct client *client, const json_t *request)
{
	struct control *control = client->control;
	const json_t *list = json_object_get(request, "environment");
	char *env[CONTROL_ENV_MAX + 1], said[CONTROL_SAID_MAX] = "", err[RELOAD_ERR_LEN] = "";
	int ret = list ? control_read_environment(list, env) : 0;

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

/* Of a process that has no other operations yet. */
static void say_waiting(struct client *client, const char *request)
{
	char text[ERR_LEN] = "";
	bool stands_by = client->control->ops->waiting(client->control->ctx, text, sizeof(text));

	if (!strcmp(request, stands_by ? "standing-by" : "waiting"))
		answer_text(client, text);
	else
		answer(client, -EAGAIN, text);
}

static void do_hub(struct client *client, const json_t *request)
{
	struct control *control = client->control;
	char *text = NULL, err[ERR_LEN] = "";
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	struct answer a;
	int ret = out ? control->ops->hub(control->ctx, request, out, err, sizeof(err)) : -ENOMEM;

	if (out && fclose(out) && !ret)
		ret = -ENOMEM;
	if (ret) {
		answer(client, ret, err);
	} else if (begin_answer(&a, true)) {
		json_out_key(&a.json, "result");
		fwrite(text, 1, len, a.json.out);
		end_answer(client, &a);
	} else {
		close_client(client);
	}
	free(text);
}

static void dispatch(struct client *client, const json_t *request)
{
	const struct control_ops *ops = client->control->ops;
	const char *name = json_string_value(json_object_get(request, "request"));

	if (!name)
		answer(client, -EINVAL, "not a request");
	else if (ops->hub)
		do_hub(client, request);
	else if (ops->waiting && strcmp(name, "version"))
		say_waiting(client, name);
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
	else if (!strcmp(name, "config"))
		answer_config(client);
	else if (!strcmp(name, "expose"))
		do_expose(client, request);
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
	while (!client->is_closed && !client->out && !client->pending && !client->stay &&
		(newline = memchr(client->in, '\n', client->in_len))) {
		len = newline - client->in;
		handle_line(client, client->in, len);
		client->in_len -= len + 1;
		memmove(client->in, newline + 1, client->in_len);
		sodium_memzero(client->in + client->in_len, len + 1);
	}
	if (!client->is_closed && !client->out && !client->pending && !client->stay &&
		client->in_len == sizeof(client->in)) {
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

/* A client that stays has nothing more to say: whatever comes from it, its end above all, is its leave. */
static void on_stay(struct client *client, uint32_t events)
{
	if (events & (EPOLLHUP | EPOLLERR)) {
		close_client(client);
	} else if (client->out && events & EPOLLOUT) {
		flush(client);
		watch(client);
	} else if (events & EPOLLIN) {
		leave(client->stay);	/* it may still wait for the last line */
		watch(client);
	}
}

static void on_client(void *ctx, uint32_t events)
{
	struct client *client = ctx;

	if (client->stay) {
		on_stay(client, events);
		return;
	}
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

/* The socket's mode keeps others out already; a descriptor that somebody handed on does not count either. */
static bool is_own_user(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) && (!peer.uid || peer.uid == geteuid());
}

static void add_client(struct control *control, int fd)
{
	struct client *client = is_own_user(fd) ? calloc(1, sizeof(*client)) : NULL;

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

static int listen_on(struct control *control, char *why, size_t size)
{
	struct stat st;
	int fd = control_listen(control->path, &st, why, size), ret;

	if (fd < 0)
		return fd;
	control->dev = st.st_dev;
	control->ino = st.st_ino;
	ret = loop_fd_add(control->loop, &control->listener, fd, EPOLLIN, on_connect, control);
	if (ret) {
		snprintf(why, size, "%s: cannot listen: %s", control->path, strerror(-ret));
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

	if (strlen(path) >= sizeof(control->path)) {
		snprintf(why, size, "%s: the path is too long for a socket", path);
		return -ENAMETOOLONG;
	}
	control = calloc(1, sizeof(*control));
	if (!control) {
		snprintf(why, size, "out of memory");
		return -ENOMEM;
	}
	control->loop = loop;
	control->ops = ops;
	control->ctx = ctx;
	strcpy(control->path, path);
	loop_timer_init(&control->pause, on_pause_over, control);
	ret = listen_on(control, why, size);
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
	for (struct control_stay *stay = control->stays; stay; stay = stay->next)
		stay->control = NULL;
	loop_timer_cancel(control->loop, &control->pause);
	loop_fd_remove(control->loop, &control->listener);
	close(control->listener.fd);
	if (!lstat(control->path, &st) && st.st_dev == control->dev && st.st_ino == control->ino)
		unlink(control->path);
	free(control);
}
