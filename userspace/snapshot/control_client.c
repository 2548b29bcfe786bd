// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The control socket, the commands' end: one request, one answer, within a time limit.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/json_out.h"
#include "config/config.h"
#include "crypto/hash.h"
#include "snapshot/control.h"

#define ANSWER_MAX	(256U << 20)

struct call {
	/* gives up with -EINTR; the caller blocks the signals, so that none is lost between two waits */
	bool heeds_signals;
	const char *path;
	char *why;
	size_t size;
	uint64_t deadline_ms;
	unsigned int timeout_ms;
};

static int wrong(const struct call *call, int ret, const char *fmt,
	...) __attribute__((format(printf, 3, 4)));

static int wrong(const struct call *call, int ret, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(call->why, call->size, fmt, args);
	va_end(args);
	return ret;
}

static int too_late(const struct call *call)
{
	if (call->timeout_ms < 1000)
		return wrong(call, -ETIMEDOUT, "%s: no answer within %u ms", call->path, call->timeout_ms);
	return wrong(call, -ETIMEDOUT, "%s: no answer within %u seconds", call->path,
		call->timeout_ms / 1000);
}

static uint64_t now_ms(void)
{
	return clock_mono_ns() / 1000000;
}

/* Connects. Returns a descriptor or a negative errno. */
static int dial(const struct call *call)
{
	const unsigned int most_ms = call->timeout_ms && call->timeout_ms < CONTROL_TIMEOUT_MS
		? call->timeout_ms : CONTROL_TIMEOUT_MS;
	struct timeval patience = { .tv_sec = most_ms / 1000, .tv_usec = most_ms % 1000 * 1000 };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, ret;

	if (strlen(call->path) >= sizeof(addr.sun_path))
		return wrong(call, -ENAMETOOLONG, "%s: the path is too long for a socket", call->path);
	strcpy(addr.sun_path, call->path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return wrong(call, -errno, "%s: %s", call->path, strerror(errno));
	/* also limits how long connect() waits */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	ret = errno == EAGAIN ? too_late(call) : wrong(call, -errno, "%s: %s", call->path, strerror(errno));
	close(fd);
	return ret;
}

static int send_all(const struct call *call, int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return too_late(call);
		if (n < 0)
			return wrong(call, -errno, "%s: %s", call->path, strerror(errno));
		text += n;
		len -= n;
	}
	return 0;
}

static int wait_readable(const struct call *call, int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	uint64_t now = now_ms();
	struct timespec left;
	sigset_t none;
	int n;

	if (call->deadline_ms && now >= call->deadline_ms)
		return too_late(call);
	left = (struct timespec){ .tv_sec = (call->deadline_ms - now) / 1000,
		.tv_nsec = (call->deadline_ms - now) % 1000 * 1000000 };
	sigemptyset(&none);
	n = ppoll(&pollfd, 1, call->deadline_ms ? &left : NULL, call->heeds_signals ? &none : NULL);
	if (n < 0 && errno == EINTR && call->heeds_signals)
		return wrong(call, -EINTR, "interrupted");
	if (n < 0 && errno != EINTR)
		return wrong(call, -errno, "%s: %s", call->path, strerror(errno));
	return n > 0 ? 1 : 0;
}

/* Reads one line, without its newline; the caller frees it. */
static int read_line(const struct call *call, int fd, char **ret_line, size_t *ret_len)
{
	char *line = NULL, *larger;
	size_t len = 0, room = 0;
	int ret;

	for (;;) {
		ssize_t n;

		ret = wait_readable(call, fd);
		if (ret < 0)
			break;
		if (!ret)
			continue;
		if (len == room) {
			room = room ? room * 2 : 65536;
			larger = room <= ANSWER_MAX ? realloc(line, room) : NULL;
			ret = larger ? 0 : wrong(call, -ENOMEM, "%s: the answer is too long", call->path);
			if (ret)
				break;
			line = larger;
		}
		n = recv(fd, line + len, room - len, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0) {
			ret = wrong(call, -ECONNRESET,
				"%s: the daemon closed the connection without an answer",
				call->path);
			break;
		}
		len += n;
		if (line[len - 1] == '\n') {
			*ret_line = line;
			*ret_len = len - 1;
			return 0;
		}
	}
	free(line);
	return ret;
}

static int ask(const struct call *call, const char *request, size_t request_len, char **ret_line,
	size_t *ret_len)
{
	int fd = dial(call), ret;

	if (fd < 0)
		return fd;
	ret = send_all(call, fd, request, request_len);
	if (!ret)
		ret = read_line(call, fd, ret_line, ret_len);
	close(fd);
	return ret;
}

/* Checks the answer. Its result goes to @ret_result (json_decref() it) unless that is NULL. */
static int judge(const struct call *call, const char *line, size_t len, json_t **ret_result)
{
	json_t *answer = json_loadb(line, len, JSON_ALLOW_NUL, NULL);
	const char *error = json_string_value(json_object_get(answer, "error"));
	const json_t *ok = json_object_get(answer, "ok");
	int ret = 0;

	if (!json_is_boolean(ok))
		ret = wrong(call, -EBADMSG, "%s: malformed answer; is this Talon's socket?", call->path);
	else if (!json_is_true(ok))
		ret = wrong(call, -EREMOTEIO, "%s", error ? error : "the daemon refused without a reason");
	else if (ret_result)
		*ret_result = json_incref(json_object_get(answer, "result"));
	json_decref(answer);
	return ret;
}

/* A request under construction. */
struct request {
	struct json_out json;
	char *text;
	size_t len;
};

static bool begin(struct request *r, const char *name)
{
	*r = (struct request){ .json.first = true };
	r->json.out = open_memstream(&r->text, &r->len);
	if (!r->json.out)
		return false;
	json_out_begin(&r->json, NULL, '{');
	json_out_text(&r->json, "request", name);
	return true;
}

static int finish(struct request *r, struct call *call, unsigned int timeout_ms, json_t **ret_result)
{
	char *line = NULL;
	size_t len = 0;
	int ret;

	json_out_end(&r->json, '}');
	fputc('\n', r->json.out);
	ret = fclose(r->json.out) ? wrong(call, -ENOMEM, "out of memory") : 0;
	call->timeout_ms = timeout_ms;
	call->deadline_ms = now_ms() + timeout_ms;
	if (!ret)
		ret = ask(call, r->text, r->len, &line, &len);
	if (!ret)
		ret = judge(call, line, len, ret_result);
	free(line);
	if (r->text)
		sodium_memzero(r->text, r->len);
	free(r->text);
	return ret;
}

static int ask_plain(const char *path, const char *name, unsigned int timeout_ms, json_t **ret_result,
	char *why, size_t size)
{
	struct call call = { .path = path, .why = why, .size = size };
	struct request r;

	if (!begin(&r, name))
		return wrong(&call, -ENOMEM, "out of memory");
	return finish(&r, &call, timeout_ms, ret_result);
}

int control_ask_hub(const char *path, const json_t *request, json_t **ret_result, char *why, size_t size)
{
	struct call call = { .path = path, .why = why, .size = size, .timeout_ms = CONTROL_TIMEOUT_MS,
		.deadline_ms = now_ms() + CONTROL_TIMEOUT_MS };
	char *text = json_dumps(request, JSON_COMPACT), *line = NULL;
	size_t len = text ? strlen(text) : 0;
	int ret;

	if (!text)
		return wrong(&call, -ENOMEM, "out of memory");
	text[len] = '\n';		/* in the place of the terminator */
	ret = ask(&call, text, len + 1, &line, &len);
	if (!ret)
		ret = judge(&call, line, len, ret_result);
	free(line);
	free(text);
	return ret;
}

int control_probe(const char *path, char *why, size_t size)
{
	struct call call = { .path = path, .why = why, .size = size, .timeout_ms = CONTROL_TIMEOUT_MS };
	int fd = dial(&call);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int ask_snapshot(const char *path, bool probe, unsigned int timeout_ms, struct snapshot *ret_snapshot,
	char *why, size_t size)
{
	struct call call = { .path = path, .why = why, .size = size };
	json_t *result = NULL;
	struct request r;
	int ret;

	if (!begin(&r, "snapshot"))
		return wrong(&call, -ENOMEM, "out of memory");
	if (probe)
		json_out_bool(&r.json, "probe", true);
	ret = finish(&r, &call, timeout_ms, &result);
	if (ret)
		return ret;
	ret = snapshot_parse(result, ret_snapshot);
	if (ret)
		snprintf(why, size, "%s: malformed snapshot: %s", path, strerror(-ret));
	json_decref(result);
	return ret;
}

int control_ask_snapshot(const char *path, struct snapshot *ret_snapshot, char *why, size_t size)
{
	return ask_snapshot(path, false, CONTROL_TIMEOUT_MS, ret_snapshot, why, size);
}

int control_ask_briefly(const char *path, struct snapshot *ret_snapshot, char *why, size_t size)
{
	return ask_snapshot(path, false, CONTROL_CHECK_MS, ret_snapshot, why, size);
}

int control_ask_waiting(const char *path, bool stands_by, char *text, size_t size)
{
	json_t *result = NULL;
	int ret = ask_plain(path, stands_by ? "standing-by" : "waiting", CONTROL_CHECK_MS, &result, text,
		size);

	if (!ret)
		snprintf(text, size, "%s", json_string_value(result) ?: "");
	json_decref(result);
	return ret;
}

int control_ask_status(const char *path, struct snapshot *ret_snapshot, char *why, size_t size)
{
	return ask_snapshot(path, true, CONTROL_PROBE_MS, ret_snapshot, why, size);
}

int control_ask_networks(const char *path, bool select, char *const *ids, size_t count, bool append, bool all,
	char *why, size_t size)
{
	struct call call = { .path = path, .why = why, .size = size };
	struct request r;

	if (!begin(&r, select ? "select" : "deselect"))
		return wrong(&call, -ENOMEM, "out of memory");
	json_out_texts(&r.json, "ids", ids, count, false);
	json_out_bool(&r.json, "append", append);
	json_out_bool(&r.json, "all", all);
	return finish(&r, &call, CONTROL_TIMEOUT_MS, NULL);
}

int control_ask_up(const char *path, const struct control_up *up, unsigned int timeout_ms, char *why,
	size_t size)
{
	struct call call = { .path = path, .why = why, .size = size };
	struct request r;

	if (!begin(&r, "up"))
		return wrong(&call, -ENOMEM, "out of memory");
	if (up->setup_key)
		json_out_text(&r.json, "setupKey", up->setup_key);
	if (up->management_url)
		json_out_text(&r.json, "managementUrl", up->management_url);
	if (up->hostname)
		json_out_text(&r.json, "hostname", up->hostname);
	if (up->token)
		json_out_text(&r.json, "token", up->token);
	return finish(&r, &call, timeout_ms, NULL);
}

int control_ask_extend(const char *path, const char *token, char *why, size_t size)
{
	struct call call = { .path = path, .why = why, .size = size };
	struct request r;

	if (!begin(&r, "extend"))
		return wrong(&call, -ENOMEM, "out of memory");
	json_out_text(&r.json, "token", token);
	return finish(&r, &call, CONTROL_EXTEND_MS, NULL);
}

int control_ask_config(const char *path, FILE *out, char *why, size_t size)
{
	json_t *result = NULL;
	int ret = ask_plain(path, "config", CONTROL_TIMEOUT_MS, &result, why, size);

	if (ret)
		return ret;
	if (json_dumpf(result, out, JSON_INDENT(2)))
		ret = -EBADMSG;
	else
		fputc('\n', out);
	if (ret)
		snprintf(why, size, "%s: malformed settings", path);
	json_decref(result);
	return ret;
}

int control_ask_down(const char *path, char *why, size_t size)
{
	return ask_plain(path, "down", CONTROL_DOWN_MS, NULL, why, size);
}

int control_ask_logout(const char *path, char *why, size_t size)
{
	return ask_plain(path, "logout", CONTROL_LOGOUT_MS, NULL, why, size);
}

void control_path_of_pins(const char *pin_dir, char ret_path[static CONTROL_PATH_LEN])
{
	uint8_t hash[HASH_LEN];
	char text[17];

	if (!strcmp(pin_dir, CONFIG_PIN_DIR)) {
		snprintf(ret_path, CONTROL_PATH_LEN, CONTROL_DIR "/control.sock");
		return;
	}
	hash_join(pin_dir, strlen(pin_dir), "", 0, hash);
	sodium_bin2hex(text, sizeof(text), hash, sizeof(text) / 2);
	snprintf(ret_path, CONTROL_PATH_LEN, CONTROL_DIR "/%s.sock", text);
}

int control_ask_reload(const char *path, char *const *env, char *ret_said, size_t said_size, char *why,
	size_t size)
{
	struct call call = { .path = path, .why = why, .size = size };
	json_t *result = NULL;
	size_t count = 0;
	struct request r;
	int ret;

	if (!begin(&r, "reload"))
		return wrong(&call, -ENOMEM, "out of memory");
	while (env && env[count])
		count++;
	if (env)
		json_out_texts(&r.json, "environment", env, count, false);
	ret = finish(&r, &call, CONTROL_RELOAD_MS, &result);
	if (!ret)
		snprintf(ret_said, said_size, "%s", json_string_value(result) ?: "");
	json_decref(result);
	return ret;
}

int control_ask_log_level(const char *path, enum log_level level, char *why, size_t size)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	struct call call = { .path = path, .why = why, .size = size };
	struct request r;

	if (!begin(&r, "log-level"))
		return wrong(&call, -ENOMEM, "out of memory");
	json_out_text(&r.json, "level", names[level]);
	return finish(&r, &call, CONTROL_TIMEOUT_MS, NULL);
}

static void write_expose(struct json_out *json, const struct control_expose *expose)
{
	json_out_number(json, "port", expose->port);
	json_out_number(json, "externalPort", expose->external_port);
	json_out_text(json, "protocol", expose->protocol);
	if (expose->pin)
		json_out_text(json, "pin", expose->pin);
	if (expose->password)
		json_out_text(json, "password", expose->password);
	if (expose->domain)
		json_out_text(json, "domain", expose->domain);
	if (expose->name_prefix)
		json_out_text(json, "namePrefix", expose->name_prefix);
	if (expose->group_count)
		json_out_texts(json, "groups", expose->groups, expose->group_count, false);
}

static void take_text(const json_t *result, const char *key, char *to, size_t size)
{
	const char *text = json_string_value(json_object_get(result, key));

	snprintf(to, size, "%s", text ? text : "");
}

/* Sends the request and takes the first answer; the connection stays open. */
static int open_expose(const struct call *call, const char *request, size_t len,
	struct control_exposed *ret_exposed, int *ret_fd)
{
	json_t *result = NULL;
	char *line = NULL;
	size_t line_len = 0;
	int fd = dial(call), ret;

	if (fd < 0)
		return fd;
	ret = send_all(call, fd, request, len);
	if (!ret)
		ret = read_line(call, fd, &line, &line_len);
	if (!ret)
		ret = judge(call, line, line_len, &result);
	free(line);
	if (ret) {
		close(fd);
		return ret;
	}
	take_text(result, "name", ret_exposed->name, sizeof(ret_exposed->name));
	take_text(result, "url", ret_exposed->url, sizeof(ret_exposed->url));
	take_text(result, "domain", ret_exposed->domain, sizeof(ret_exposed->domain));
	ret_exposed->is_port_assigned = json_is_true(json_object_get(result, "isPortAssigned"));
	json_decref(result);
	*ret_fd = fd;
	return 0;
}

int control_expose(const char *path, const struct control_expose *expose, struct control_exposed *ret_exposed,
	int *ret_fd, char *why, size_t size)
{
	struct call call = { .path = path, .why = why, .size = size, .timeout_ms = CONTROL_EXPOSE_MS,
		.deadline_ms = now_ms() + CONTROL_EXPOSE_MS, .heeds_signals = true };
	struct request r;
	int ret;

	if (!begin(&r, "expose"))
		return wrong(&call, -ENOMEM, "out of memory");
	write_expose(&r.json, expose);
	json_out_end(&r.json, '}');
	fputc('\n', r.json.out);
	ret = fclose(r.json.out) ? wrong(&call, -ENOMEM, "out of memory") : 0;
	if (!ret)
		ret = open_expose(&call, r.text, r.len, ret_exposed, ret_fd);
	if (r.text)
		sodium_memzero(r.text, r.len);
	free(r.text);
	return ret;
}

int control_expose_wait(const char *path, int fd, unsigned int timeout_ms, char *why, size_t size)
{
	struct call call = { .path = path, .why = why, .size = size, .timeout_ms = timeout_ms,
		.deadline_ms = timeout_ms ? now_ms() + timeout_ms : 0, .heeds_signals = !timeout_ms };
	size_t len = 0;
	char *line = NULL;
	int ret = read_line(&call, fd, &line, &len);

	if (!ret)
		ret = judge(&call, line, len, NULL);
	free(line);
	return ret;
}
