// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The control socket: questions and answers, clients that mean harm, and the commands that ask.
#define CONTROL_REQUEST_NS	(300 * LOOP_MS)
/* a busy machine needs some of it to read a large answer */
#define CONTROL_ANSWER_NS	(1000 * LOOP_MS)

#include "snapshot/control.c"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "unit/mesh_world.h"
#include "status/render.h"

#define UUID "5f1c2b7a-0000-4000-8000-1234567890ab"

/* What the daemon of a test is, and what it was asked. */
static struct {
	struct loop *loop;
	struct control *control;
	pthread_t thread;
	atomic_bool stop;
	char dir[32], path[64];
	struct snapshot world;
	size_t peers;			/* copies of a peer in the snapshot */
	char asked[2048];
	int ret;			/* of what is asked */
	const char *why;
	control_done_fn later;		/* an operation that waits to be ended */
	void *later_arg;
	struct control_stay *stay;	/* the last one */
	struct control_exposed exposed;
	atomic_uint left;		/* how many went */
	bool keeps_stay;		/* it is not ended when its client leaves */
	bool wait;
	bool ends;			/* an operation frees the socket before it answers */
} d;

static void note_ids(const char *what, char *const *ids, size_t count, bool append, bool all)
{
	size_t len = snprintf(d.asked, sizeof(d.asked), "%s%s%s", what, append ? " append" : "",
		all ? " all" : "");

	for (size_t i = 0; i < count && len < sizeof(d.asked); i++)
		len += snprintf(d.asked + len, sizeof(d.asked) - len, " %s", ids[i]);
}

static int on_snapshot(void *ctx, struct snapshot *ret_snapshot)
{
	json_t *json;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct snapshot world = d.world;
	int ret;

	if (d.peers) {
		world.peers = calloc(d.peers, sizeof(*world.peers));
		for (size_t i = 0; i < d.peers; i++)
			world.peers[i] = world_node;
		world.peer_count = d.peers;
	}
	snapshot_write(out, &world);
	fclose(out);
	if (d.peers)
		free(world.peers);
	json = json_loads(text, 0, NULL);
	ret = d.ret ? d.ret : snapshot_parse(json, ret_snapshot);
	json_decref(json);
	free(text);
	return ret;
}

static int on_select(void *ctx, char *const *ids, size_t count, bool append, bool all, char *err, size_t size)
{
	note_ids("select", ids, count, append, all);
	if (d.ret)
		snprintf(err, size, "%s", d.why);
	return d.ret;
}

static int on_deselect(void *ctx, char *const *ids, size_t count, bool append, bool all, char *err,
	size_t size)
{
	note_ids("deselect", ids, count, append, all);
	return d.ret;
}

static void end_or_wait(control_done_fn done, void *arg)
{
	if (d.ends) {
		control_free(d.control);
		d.control = NULL;
	}
	if (!d.wait) {
		done(arg, d.ret, d.why);
		return;
	}
	d.later = done;
	d.later_arg = arg;
}

static void on_up(void *ctx, const struct control_up *up, control_done_fn done, void *arg)
{
	snprintf(d.asked, sizeof(d.asked), "up %s %s %s%s%s", up->setup_key ? up->setup_key : "-",
		up->management_url ? up->management_url : "-", up->hostname ? up->hostname : "-",
		up->token ? " " : "", up->token ? up->token : "");
	end_or_wait(done, arg);
}

static void on_extend(void *ctx, const char *token, control_done_fn done, void *arg)
{
	snprintf(d.asked, sizeof(d.asked), "extend %s", token);
	end_or_wait(done, arg);
}

static void on_down(void *ctx, control_done_fn done, void *arg)
{
	strcpy(d.asked, "down");
	end_or_wait(done, arg);
}

static void on_logout(void *ctx, control_done_fn done, void *arg)
{
	strcpy(d.asked, "logout");
	end_or_wait(done, arg);
}

static int on_reload(void *ctx, char *const *env, char *said, size_t said_size, char *err, size_t size)
{
	size_t len = snprintf(d.asked, sizeof(d.asked), "reload%s", env ? " with" : "");

	for (; env && *env && len < sizeof(d.asked); env++)
		len += snprintf(d.asked + len, sizeof(d.asked) - len, " %s", *env);
	snprintf(err, size, "%s", d.why ?: "");
	snprintf(said, said_size, "peers: 1 added\nneeds a restart: MTU\n");
	return d.ret;
}

static void on_probe(void *ctx, control_done_fn done, void *arg)
{
	strcpy(d.asked, "probe");
	end_or_wait(done, arg);
}

static void on_config(void *ctx, FILE *out)
{
	fputs("{\"mtu\":1280}", out);
}

/* As d.wait, d.ret and d.why say; the service is told of at once, or when the test wants. */
static void on_expose(void *ctx, const struct control_expose *expose, struct control_stay *stay)
{
	size_t len = snprintf(d.asked, sizeof(d.asked), "expose %u %u %s %s %s %s %s", expose->port,
		expose->external_port, expose->protocol, expose->pin ? expose->pin : "-",
		expose->password ? expose->password : "-", expose->domain ? expose->domain : "-",
		expose->name_prefix ? expose->name_prefix : "-");

	for (size_t i = 0; i < expose->group_count; i++)
		len += snprintf(d.asked + len, sizeof(d.asked) - len, " %s", expose->groups[i]);
	d.stay = stay;
	if (d.ret)
		control_stay_end(stay, d.ret, d.why);
	else if (!d.wait)
		control_stay_tell(stay, &d.exposed);
}

static void on_expose_left(void *ctx, struct control_stay *stay)
{
	d.left++;
	if (!d.keeps_stay)
		control_stay_end(stay, d.ret, d.why);
}

static const struct control_ops ops = { .snapshot = on_snapshot, .select = on_select, .deselect = on_deselect,
	.up = on_up, .down = on_down, .extend = on_extend, .logout = on_logout, .reload = on_reload,
	.probe = on_probe, .config = on_config, .expose = on_expose, .expose_left = on_expose_left };

static void *run_loop(void *arg)
{
	while (!d.stop)
		loop_turn(d.loop, 10 * LOOP_MS);
	return NULL;
}

static int start_daemon(void **state)
{
	char why[200];

	memset(&d, 0, sizeof(d));
	d.world = world_of_lap();
	strcpy(d.dir, "/tmp/talon-control-XXXXXX");
	assert_non_null(mkdtemp(d.dir));
	snprintf(d.path, sizeof(d.path), "%s/s", d.dir);
	assert_int_equal(loop_new(&d.loop), 0);
	assert_int_equal(control_new(&d.control, d.loop, d.path, &ops, NULL, why, sizeof(why)), 0);
	return pthread_create(&d.thread, NULL, run_loop, NULL);
}

static void pause_daemon(void)
{
	d.stop = true;
	pthread_join(d.thread, NULL);
}

static void resume_daemon(void)
{
	d.stop = false;
	assert_int_equal(pthread_create(&d.thread, NULL, run_loop, NULL), 0);
}

static int stop_daemon(void **state)
{
	if (!d.stop)
		pause_daemon();
	control_free(d.control);
	loop_free(d.loop);
	assert_int_equal(access(d.path, F_OK), -1);
	rmdir(d.dir);
	return 0;
}

static int dial(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, d.path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

/* What comes within two seconds, up to a newline or the end. Returns its length; -1: the end came first. */
static ssize_t hear(int fd, char *text, size_t size)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	size_t len = 0;

	while (len + 1 < size && poll(&pollfd, 1, 2000) > 0) {
		ssize_t n = read(fd, text + len, 1);

		if (n <= 0)
			return -1;
		len += n;
		if (text[len - 1] == '\n')
			break;
	}
	text[len] = '\0';
	return len;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void assert_answer(int fd, const char *request, const char *answer)
{
	char text[4096];

	say(fd, request);
	assert_true(hear(fd, text, sizeof(text)) > 0);
	assert_string_equal(text, answer);
}

static void each_request_has_its_answer(void **state)
{
	static const struct {
		const char *request, *answer, *asked;
	} cases[] = {
		{ "{\"request\":\"version\"}\n", "{\"ok\":true,\"result\":\"" TALON_VERSION "\"}\n", "" },
		{ "{\"request\":\"down\"}\n", "{\"ok\":true}\n", "down" },
		{ "{\"request\":\"logout\"}\n", "{\"ok\":true}\n", "logout" },
		{ "{\"request\":\"config\"}\n", "{\"ok\":true,\"result\":{\"mtu\":1280}}\n", "" },
		{ "{\"request\":\"up\"}\n", "{\"ok\":true}\n", "up - - -" },
		{ "{\"request\":\"reload\"}\n",
			"{\"ok\":true,\"result\":\"peers: 1 added\\nneeds a restart: MTU\\n\"}\n", "reload" },
		{ "{\"request\":\"reload\",\"environment\":[\"NB_A=b c\",\"TALON_X=\",\"WT_Y=1\"]}\n",
			"{\"ok\":true,\"result\":\"peers: 1 added\\nneeds a restart: MTU\\n\"}\n",
			"reload with NB_A=b c TALON_X= WT_Y=1" },
		{ "{\"request\":\"reload\",\"environment\":[]}\n",
			"{\"ok\":true,\"result\":\"peers: 1 added\\nneeds a restart: MTU\\n\"}\n",
			"reload with" },
		{ "{\"request\":\"up\",\"setupKey\":\"k\",\"managementUrl\":\"u\",\"hostname\":\"h\"}\n",
			"{\"ok\":true}\n", "up k u h" },
		{ "{\"request\":\"up\",\"token\":\"a.b.c\"}\n", "{\"ok\":true}\n", "up - - - a.b.c" },
		{ "{\"request\":\"extend\",\"token\":\"a.b.c\"}\n", "{\"ok\":true}\n", "extend a.b.c" },
		{ "{\"request\":\"select\",\"ids\":[\"a\",\"b c\"]}\n", "{\"ok\":true}\n", "select a b c" },
		{ "{\"request\":\"select\",\"ids\":[\"a\"],\"append\":true}\n", "{\"ok\":true}\n",
			"select append a" },
		{ "{\"request\":\"deselect\",\"all\":true}\n", "{\"ok\":true}\n", "deselect all" },
	};
	int fd = dial();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		d.asked[0] = '\0';
		assert_answer(fd, cases[i].request, cases[i].answer);
		assert_string_equal(d.asked, cases[i].asked);
	}
	close(fd);
}

static void nonsense_is_answered_with_no(void **state)
{
	static const char *const requests[] = {
		"\n", "x\n", "{}\n", "[]\n", "{\"request\":1}\n", "{\"request\":\"fly\"}\n",
		"{\"request\":\"select\"}\n",
		"{\"request\":\"select\",\"ids\":[]}\n", "{\"request\":\"select\",\"ids\":[1]}\n",
		"{\"request\":\"select\",\"ids\":\"a\"}\n",
		"{\"request\":\"select\",\"ids\":[\"a\"],\"all\":true}\n",
		"{\"request\":\"select\",\"ids\":[\"a\\nb\"]}\n",
		"{\"request\":\"deselect\",\"ids\":[\"\"]}\n", "{\"request\":\"up\",\"setupKey\":1}\n",
		"{\"request\":\"up\",\"hostname\":\"a\\u0007\"}\n", "{\"request\":\"log-level\"}\n",
		"{\"request\":\"log-level\",\"level\":\"loud\"}\n",
		"{\"request\":\"log-level\",\"level\":3}\n", "{\"request\":\"extend\"}\n",
		"{\"request\":\"extend\",\"token\":\"\"}\n", "{\"request\":\"extend\",\"token\":5}\n",
		"{\"request\":\"up\",\"token\":\"a\\u000ab\"}\n",
		"{\"request\":\"reload\",\"environment\":1}\n",
		"{\"request\":\"reload\",\"environment\":[1]}\n",
		"{\"request\":\"reload\",\"environment\":[\"PATH=/tmp\"]}\n",
		"{\"request\":\"reload\",\"environment\":[\"NB_A\"]}\n",
		"{\"request\":\"reload\",\"environment\":[\"NB_A=\\n\"]}\n", "{\"request\":\"expose\"}\n",
		"{\"request\":\"expose\",\"port\":80}\n",
		"{\"request\":\"expose\",\"port\":70000,\"protocol\":\"http\"}\n",
		"{\"request\":\"expose\",\"port\":\"80\",\"protocol\":\"http\"}\n",
		"{\"request\":\"expose\",\"port\":80,\"externalPort\":-1,\"protocol\":\"tcp\"}\n",
		"{\"request\":\"expose\",\"port\":80,\"protocol\":\"http\",\"pin\":1}\n",
		"{\"request\":\"expose\",\"port\":80,\"protocol\":\"http\",\"groups\":[\"a\\nb\"]}\n",
	};
	char text[512];
	int fd = dial();

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		say(fd, requests[i]);
		assert_true(hear(fd, text, sizeof(text)) > 0);
		assert_int_equal(strncmp(text, "{\"ok\":false,\"error\":\"", 21), 0);
	}
	assert_string_equal(d.asked, "");
	close(fd);
}

static void requests_may_come_in_pieces_and_together(void **state)
{
	char text[256];
	int fd = dial();

	say(fd, "{\"request\":");
	say(fd, "\"version\"}\n{\"request\":\"down\"}\n{\"request\":\"fly\"}\n");
	assert_true(hear(fd, text, sizeof(text)) > 0);
	assert_string_equal(text, "{\"ok\":true,\"result\":\"" TALON_VERSION "\"}\n");
	assert_true(hear(fd, text, sizeof(text)) > 0);
	assert_string_equal(text, "{\"ok\":true}\n");
	assert_true(hear(fd, text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "does not know"));
	close(fd);
}

/* Providers put a person's groups into tokens. */
static void a_large_token_fits_and_a_larger_one_is_refused(void **state)
{
	for (size_t len = CONTROL_TOKEN_MAX; len <= CONTROL_TOKEN_MAX + 1; len++) {
		char *token = calloc(1, len + 1), why[300] = "";
		int ret;

		memset(token, 'a', len);
		d.asked[0] = 0;
		ret = control_ask_extend(d.path, token, why, sizeof(why));
		assert_int_equal(ret, len > CONTROL_TOKEN_MAX ? -EREMOTEIO : 0);
		assert_true(!strncmp(d.asked, "extend aaa", 10) == !ret);
		free(token);
	}
}

static void a_line_without_end_is_cut_off(void **state)
{
	char *much = malloc(CONTROL_REQUEST_MAX), text[256];
	int fd = dial();

	memset(much, 'x', CONTROL_REQUEST_MAX);
	assert_int_equal(send(fd, much, CONTROL_REQUEST_MAX, MSG_NOSIGNAL), CONTROL_REQUEST_MAX);
	assert_true(hear(fd, text, sizeof(text)) > 0);
	assert_string_equal(text, "{\"ok\":false,\"error\":\"the request is too long\"}\n");
	assert_int_equal(hear(fd, text, sizeof(text)), -1);
	close(fd);
	free(much);
}

static void a_silent_client_is_shown_out(void **state)
{
	char text[16];
	int fd = dial(), half = dial();

	say(half, "{\"request\"");
	assert_int_equal(hear(fd, text, sizeof(text)), -1);
	assert_int_equal(hear(half, text, sizeof(text)), -1);
	close(fd);
	close(half);
}

static void a_client_that_does_not_read_is_cut_off_and_hurts_nobody(void **state)
{
	char why[200], byte;
	struct snapshot snapshot;
	int fd = dial(), small = 1;
	size_t total = 0;

	d.peers = 3000;			/* far more than a socket holds */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	say(fd, "{\"request\":\"snapshot\"}\n");
	assert_int_equal(control_ask_snapshot(d.path, &snapshot, why, sizeof(why)), 0);
	assert_int_equal(snapshot.peer_count, 3000);
	snapshot_done(&snapshot);
	/* its time is up, whenever that is on a busy machine */
	assert_int_equal(poll(&(struct pollfd){ .fd = fd, .events = POLLRDHUP }, 1, 60000), 1);
	while (read(fd, &byte, 1) == 1)
		total++;
	assert_in_range(total, 1, 1000000);	/* not the whole answer */
	close(fd);
}

static void a_client_too_many_waits_for_a_place(void **state)
{
	int fds[CONTROL_CLIENTS_MAX], last;

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		fds[i] = dial();
		assert_answer(fds[i], "{\"request\":\"version\"}\n", "{\"ok\":true,\"result\":\""
			TALON_VERSION "\"}\n");
	}
	last = dial();
	say(last, "{\"request\":\"version\"}\n");
	assert_answer(fds[0], "{\"request\":\"down\"}\n", "{\"ok\":true}\n");
	close(fds[3]);
	assert_answer(last, "", "{\"ok\":true,\"result\":\"" TALON_VERSION "\"}\n");
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		close(fds[i]);
	close(last);
}

static int command(const char *name, const char *line);

static void wait_until_asked(const char *what)
{
	for (int i = 0; i < 200 && strcmp(d.asked, what); i++)
		usleep(10000);
	assert_string_equal(d.asked, what);
}

static void an_answer_may_come_later_than_any_patience(void **state)
{
	char text[256];
	int fd = dial();

	d.wait = true;
	say(fd, "{\"request\":\"logout\"}\n");
	wait_until_asked("logout");
	usleep(500000);			/* longer than a silent client has */
	pause_daemon();
	d.later(d.later_arg, -EPERM, "the server says no");
	resume_daemon();
	assert_true(hear(fd, text, sizeof(text)) > 0);
	assert_string_equal(text, "{\"ok\":false,\"error\":\"the server says no\"}\n");
	close(fd);
}

/* The servers are asked first; those that only want to know what is known do not wait. */
static void a_status_waits_for_a_look_at_the_servers_and_a_check_does_not(void **state)
{
	char text[4096] = "";
	int fd = dial(), other = dial();

	d.wait = true;
	say(fd, "{\"request\":\"snapshot\",\"probe\":true}\n");
	wait_until_asked("probe");
	say(other, "{\"request\":\"snapshot\",\"probe\":false}\n");
	assert_true(hear(other, text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "\"management_connected\":true"));
	assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), -1);
	pause_daemon();
	d.world.management_connected = false;
	d.later(d.later_arg, 0, "");
	resume_daemon();
	assert_true(hear(fd, text, sizeof(text)) > 0);
	assert_null(strstr(text, "management_connected"));
	assert_int_equal(strncmp(text, "{\"ok\":true,\"result\":{", 21), 0);
	close(fd);
	close(other);
	d.wait = false;
	d.asked[0] = 0;
	assert_int_equal(command("talon", "status --check live"), CLI_OK);
	assert_string_equal(d.asked, "");
	assert_int_equal(command("netbird", "status"), CLI_OK);
	assert_string_equal(d.asked, "probe");
}

static void a_client_that_left_is_not_missed_by_a_late_answer(void **state)
{
	int fd = dial();

	d.wait = true;
	say(fd, "{\"request\":\"logout\"}\n");
	wait_until_asked("logout");
	close(fd);
	usleep(50000);
	pause_daemon();
	assert_int_equal(d.control->client_count, 0);
	d.later(d.later_arg, 0, NULL);
}

static void a_late_answer_after_the_end_does_nothing(void **state)
{
	int fd = dial();

	d.wait = true;
	say(fd, "{\"request\":\"down\"}\n");
	wait_until_asked("down");
	pause_daemon();
	control_free(d.control);
	d.control = NULL;
	d.later(d.later_arg, 0, NULL);
	close(fd);
}

static void an_operation_may_free_the_socket_that_asked(void **state)
{
	int fd = dial();
	char text[200];

	d.ends = true;
	say(fd, "{\"request\":\"down\"}\n{\"request\":\"version\"}\n");
	assert_int_equal(hear(fd, text, sizeof(text)), -1);
	close(fd);
	pause_daemon();
	assert_null(d.control);
	assert_string_equal(d.asked, "down");
}

static void only_the_owner_may_connect(void **state)
{
	struct stat st;

	assert_int_equal(stat(d.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void a_socket_in_use_is_left_alone_and_a_stale_one_replaced(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct control *other = NULL;
	char why[256], path[64];
	int fd;

	assert_int_equal(control_new(&other, d.loop, d.path, &ops, NULL, why, sizeof(why)), -EADDRINUSE);
	assert_non_null(strstr(why, "another daemon answers there; stop it first"));
	snprintf(path, sizeof(path), "%s/t", d.dir);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(addr.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	pause_daemon();			/* the loop is the test's now */
	assert_int_equal(control_new(&other, d.loop, path, &ops, NULL, why, sizeof(why)), 0);
	control_free(other);
	assert_int_equal(access(path, F_OK), -1);
	fclose(fopen(path, "w"));
	assert_int_equal(control_new(&other, d.loop, path, &ops, NULL, why, sizeof(why)), -EEXIST);
	unlink(path);
	assert_int_equal(control_new(&other, d.loop, "/nonexistent/dir/s", &ops, NULL, why, sizeof(why)),
		-ENOENT);
	assert_string_equal(why, "/nonexistent/dir/s: cannot listen: No such file or directory");
}

static void a_client_learns_what_goes_wrong(void **state)
{
	struct snapshot snapshot;
	char why[256];

	assert_int_equal(control_probe("/tmp/talon-none.sock", why, sizeof(why)), -ENOENT);
	assert_string_equal(why, "/tmp/talon-none.sock: No such file or directory");
	assert_int_equal(control_probe(d.path, why, sizeof(why)), 0);
	d.ret = -EPERM;
	d.why = "not for you";
	assert_int_equal(control_ask_logout(d.path, why, sizeof(why)), -EREMOTEIO);
	assert_string_equal(why, "not for you");
	assert_int_equal(control_ask_snapshot(d.path, &snapshot, why, sizeof(why)), -EREMOTEIO);
	assert_string_equal(why, "Operation not permitted");
	d.ret = 0;
	assert_int_equal(control_ask_log_level(d.path, LOG_LEVEL_WARN, why, sizeof(why)), 0);
	assert_int_equal(log_get_level(), LOG_LEVEL_WARN);
}

/* A daemon that never answers: a client's patience ends. */
static void a_question_without_an_answer_ends_in_time(void **state)
{
	struct control_up up = {};
	char why[256];

	d.wait = true;
	assert_int_equal(control_ask_up(d.path, &up, 100, why, sizeof(why)), -ETIMEDOUT);
	assert_non_null(strstr(why, ": no answer within "));
	pause_daemon();
	d.later(d.later_arg, 0, NULL);
}

static char *out, *err;

static int forget(void)
{
	free(out);
	free(err);
	out = err = NULL;
	return 0;
}

/* `@name @line` with the test's daemon; what it printed is in out and err. */
static int command(const char *name, const char *line)
{
	char words[256], *argv[16] = { (char *)name }, *save, variable[96];
	char *env[] = { variable, "TALON_PIN_DIR=/tmp/talon-none", NULL };
	struct cli cli = { .in = stdin, .env = env };
	size_t out_len, err_len;
	int argc = 1, code;

	forget();
	snprintf(variable, sizeof(variable), "NB_DAEMON_ADDR=unix://%s", d.path);
	snprintf(words, sizeof(words), "%s", line);
	for (char *word = strtok_r(words, " ", &save); word && argc < 15; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	cli.out = open_memstream(&out, &out_len);
	cli.err = open_memstream(&err, &err_len);
	code = cli_main(&cli, argc, argv);
	fclose(cli.out);
	fclose(cli.err);
	return code;
}

static void netbirds_commands_print_netbirds_words(void **state)
{
	static const struct {
		const char *line, *out, *asked;
	} cases[] = {
		{ "up", "Already connected\n", "" },
		{ "login -k 5F1C2B7A-0000-4000-8000-1234567890AB", "Logging successfully\n", "" },
		{ "networks select lan gw", "Networks selected successfully.\n", "select lan gw" },
		{ "routes select -a lan", "Networks selected successfully.\n", "select append lan" },
		{ "networks select all", "Networks selected successfully.\n", "select all" },
		{ "routes deselect lan", "Networks deselected successfully.\n", "deselect lan" },
		{ "deregister", "Deregistered successfully\n", "logout" },
		{ "logout", "Deregistered successfully\n", "logout" },
		{ "version", RENDER_NETBIRD_VERSION "\n", "" },
		{ "status --ipv4", "100.119.120.223\n", "" },
		{ "--log-level debug -A status --ipv4", "100.119.120.223\n", "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		d.asked[0] = '\0';
		assert_int_equal(command("/usr/local/bin/netbird", cases[i].line), CLI_OK);
		assert_string_equal(out, cases[i].out);
		assert_string_equal(err, "");
		assert_string_equal(d.asked, cases[i].asked);
	}
}

static void a_daemon_that_is_not_connected_is_told_what_up_brought(void **state)
{
	static const char line[] = "up --setup-key {5F1C2B7A-0000-4000-8000-1234567890AB} -m "
		"https://netbird.example -n box";

	d.world.daemon_status = "NeedsLogin";
	assert_int_equal(command("netbird", line), CLI_OK);
	assert_string_equal(out, "Connected\n");
	assert_string_equal(d.asked, "up " UUID " https://netbird.example:443 box");
	d.asked[0] = '\0';
	assert_int_equal(command("talon", line), CLI_OK);
	assert_string_equal(d.asked, "up " UUID " https://netbird.example:443 box");
	d.ret = -EACCES;
	d.why = "setup key is invalid";
	assert_int_equal(command("talon", "login"), CLI_FAILED);
}

static void a_daemons_no_is_one_line_and_exit_code_1(void **state)
{
	d.ret = -ENOENT;
	d.why = "there is no network wan";
	assert_int_equal(command("talon", "networks select wan"), CLI_FAILED);
	assert_string_equal(err, "talon: failed to select networks: there is no network wan\n");
	assert_int_equal(command("netbird", "networks select wan"), CLI_FAILED);
	assert_string_equal(err, "Error: failed to select networks: there is no network wan\n");
}

static void status_is_asked_of_the_daemon_under_both_names(void **state)
{
	assert_int_equal(command("netbird", "status"), CLI_OK);
	assert_non_null(strstr(out, "\nDaemon version: " RENDER_NETBIRD_VERSION "\nCLI version: "
		RENDER_NETBIRD_VERSION "\nProfile: default\nManagement: Connected\n"));
	assert_null(strstr(out, "Ready"));
	assert_int_equal(command("talon", "status"), CLI_OK);
	assert_non_null(strstr(out, "\nCLI version: " TALON_VERSION "\n"));
	assert_non_null(strstr(out, "\nReady: yes\n"));
	assert_int_equal(command("talon", "status --check ready"), CLI_OK);
	assert_string_equal(out, "ready: yes: packets can flow\n");
	assert_int_equal(command("netbird", "status --check=live"), CLI_OK);
	assert_int_equal(command("netbird", "status --filter-by-status idle"), CLI_OK);
	assert_int_equal(strncmp(out, "Peers detail:\n", 14), 0);
	assert_non_null(strstr(out, "\nPeers count: 0/0 Connected\n"));
	assert_int_equal(command("netbird", "routes list"), CLI_OK);
	assert_non_null(strstr(out, "    Network: 192.168.1.0/24\n    Status: Selected\n"));
	assert_int_equal(command("netbird", "status --json --filter-by-names node."), CLI_OK);
	assert_int_equal(strncmp(out, "{\"peers\":{\"total\":1,", 20), 0);
	assert_int_equal(command("netbird", "status --yaml"), CLI_OK);
	assert_int_equal(strncmp(out, "peers:\n    total: 1\n", 20), 0);
}

static void a_host_that_is_not_registered_is_told_so_with_exit_code_0(void **state)
{
	d.world.daemon_status = "NeedsLogin";
	assert_int_equal(command("netbird", "status"), CLI_OK);
	assert_int_equal(strncmp(out, "Daemon status: NeedsLogin\n", 26), 0);
	assert_null(strstr(out, "Peers count"));
	assert_int_equal(command("talon", "status"), CLI_OK);
	assert_int_equal(strncmp(out, "Daemon status: NeedsLogin\n", 26), 0);
	assert_non_null(strstr(out, "\nPeers count: 1/1 Connected\n"));
}

static void reload_prints_what_changed_or_the_one_reason(void **state)
{
	assert_int_equal(command("talon", "reload"), CLI_OK);
	assert_string_equal(out, "peers: 1 added\nneeds a restart: MTU\n");
	assert_string_equal(d.asked, "reload");
	assert_int_equal(command("talon", "reload --environment"), CLI_OK);
	assert_int_equal(strncmp(d.asked, "reload with NB_DAEMON_ADDR=unix://", 34), 0);
	assert_int_equal(command("talon", "reload now"), CLI_USAGE);
	d.ret = -EINVAL;
	d.why = "a.conf:3: Interface.MTU: 'x' is not an MTU; nothing has changed";
	assert_int_equal(command("talon", "reload"), CLI_FAILED);
	assert_string_equal(out, "");
	assert_string_equal(err, "talon: reload: a.conf:3: Interface.MTU: 'x' is not an MTU; nothing has "
		"changed\n");
}

static void a_daemon_without_a_mesh_reloads_and_has_nothing_else(void **state)
{
	static const struct control_ops alone = { .reload = on_reload };
	static const char *const others[] = { "snapshot", "select", "up", "down", "logout", "fly" };
	char request[64];
	int fd;

	pause_daemon();
	d.control->ops = &alone;
	resume_daemon();
	fd = dial();
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		snprintf(request, sizeof(request), "{\"request\":\"%s\"}\n", others[i]);
		assert_answer(fd, request, "{\"ok\":false,\"error\":\"this daemon is in no mesh\"}\n");
	}
	assert_string_equal(d.asked, "");
	assert_answer(fd, "{\"request\":\"version\"}\n", "{\"ok\":true,\"result\":\"" TALON_VERSION "\"}\n");
	close(fd);
	assert_int_equal(command("talon", "reload"), CLI_OK);
	pause_daemon();
	d.control->ops = &ops;
	resume_daemon();
}

static void each_pin_directory_has_a_socket_of_its_own(void **state)
{
	char a[CONTROL_PATH_LEN], b[CONTROL_PATH_LEN], longest[CONFIG_PIN_DIR_LEN];

	control_path_of_pins("/sys/fs/bpf/talon", a);
	assert_string_equal(a, "/run/talon/control.sock");
	control_path_of_pins("/sys/fs/bpf/a", a);
	control_path_of_pins("/sys/fs/bpf/b", b);
	assert_string_not_equal(a, b);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	control_path_of_pins(longest, b);
	assert_int_equal(strlen(b), strlen("/run/talon/0123456789abcdef.sock"));
}

static void netbirds_commands_without_a_daemon_say_what_netbird_says(void **state)
{
	static const char *const lines[] = { "status", "status --check live", "up", "login", "down", "logout",
		"networks list", "routes select all", "debug log level debug", "reload" };
	static const char begin[] = "Error: failed to connect to daemon error: ";

	pause_daemon();
	control_free(d.control);
	d.control = NULL;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(command("netbird", lines[i]), CLI_FAILED);
		assert_int_equal(strncmp(err, begin, strlen(begin)), 0);
		assert_string_equal(out, "");
	}
	assert_int_equal(command("netbird", "status --colour"), CLI_FAILED);
	assert_string_equal(err, "Error: unknown flag: --colour\n");
	assert_int_equal(command("talon", "status"), CLI_FAILED);
	assert_string_equal(err, "talon: not running: there is no datapath below /tmp/talon-none\n");
}

#define EXPOSE "{\"request\":\"expose\",\"port\":80,\"protocol\":\"http\"}\n"

static void wait_until_left(unsigned int count)
{
	for (int i = 0; i < 500 && d.left < count; i++)
		usleep(10000);
	assert_int_equal(d.left, count);
}

static void a_client_that_stays_keeps_its_service(void **state)
{
	char text[512];
	int fd = dial();

	strcpy(d.exposed.name, "app");
	strcpy(d.exposed.domain, "app.test");
	assert_answer(fd,
		"{\"request\":\"expose\",\"port\":80,\"externalPort\":81,\"protocol\":\"tcp\","
		"\"pin\":\"1\",\"password\":\"2\",\"domain\":\"3\",\"namePrefix\":\"4\","
		"\"groups\":[\"5\",\"6\"]}\n",
		"{\"ok\":true,\"result\":{\"name\":\"app\",\"url\":\"\",\"domain\":\"app.test\","
		"\"isPortAssigned\":false}}\n");
	assert_string_equal(d.asked, "expose 80 81 tcp 1 2 3 4 5 6");
	usleep(500000);			/* longer than a silent client has */
	assert_int_equal(d.left, 0);
	shutdown(fd, SHUT_WR);		/* leaves, and waits for how it ends */
	assert_true(hear(fd, text, sizeof(text)) > 0);
	assert_string_equal(text, "{\"ok\":true}\n");
	assert_int_equal(hear(fd, text, sizeof(text)), -1);
	assert_int_equal(d.left, 1);
	close(fd);
}

static void a_client_that_dies_has_left(void **state)
{
	char text[512];
	int fds[3];

	d.keeps_stay = true;		/* as while management is asked */
	for (int i = 0; i < 3; i++) {
		d.wait = i == 1;	/* this one before its service was made */
		fds[i] = dial();
		say(fds[i], EXPOSE);
		if (!d.wait)
			assert_true(hear(fds[i], text, sizeof(text)) > 0);
		else
			wait_until_asked("expose 80 0 http - - - -");
	}
	say(fds[2], "anything");	/* which is its leave as well */
	wait_until_left(1);
	close(fds[0]);
	wait_until_left(2);
	close(fds[1]);
	wait_until_left(3);
	close(fds[2]);
	usleep(50000);
	assert_int_equal(d.left, 3);	/* told once of each */
	pause_daemon();
	for (struct control_stay *stay = d.control->stays, *next; stay; stay = next) {
		next = stay->next;
		control_stay_tell(stay, &d.exposed);	/* nobody hears it */
		control_stay_end(stay, 0, NULL);
	}
	assert_int_equal(d.control->stay_count, 0);
}

static void a_service_that_ends_tells_its_client_why(void **state)
{
	char text[512];
	int fd = dial();

	say(fd, EXPOSE);
	assert_true(hear(fd, text, sizeof(text)) > 0);
	pause_daemon();
	control_stay_end(d.stay, -EREMOTEIO, "no renewal");
	resume_daemon();
	assert_true(hear(fd, text, sizeof(text)) > 0);
	assert_string_equal(text, "{\"ok\":false,\"error\":\"no renewal\"}\n");
	assert_int_equal(hear(fd, text, sizeof(text)), -1);
	assert_int_equal(d.left, 0);
	close(fd);
	d.ret = -EPERM;
	d.why = "not allowed";
	fd = dial();
	assert_answer(fd, EXPOSE, "{\"ok\":false,\"error\":\"not allowed\"}\n");
	close(fd);
}

static void clients_that_stay_take_no_place_of_others_and_have_a_limit_of_their_own(void **state)
{
	char text[512];
	int fds[CONTROL_STAYS_MAX], fd;

	for (unsigned int i = 0; i < CONTROL_STAYS_MAX; i++) {
		fds[i] = dial();
		say(fds[i], EXPOSE);
		assert_true(hear(fds[i], text, sizeof(text)) > 0);
		assert_int_equal(strncmp(text, "{\"ok\":true", 10), 0);
	}
	fd = dial();
	assert_answer(fd, EXPOSE, "{\"ok\":false,\"error\":\"this daemon publishes as many services as it "
		"has room for already\"}\n");
	assert_answer(fd, "{\"request\":\"down\"}\n", "{\"ok\":true}\n");
	close(fds[0]);
	wait_until_left(1);
	say(fd, EXPOSE);
	assert_true(hear(fd, text, sizeof(text)) > 0);
	assert_int_equal(strncmp(text, "{\"ok\":true", 10), 0);
	close(fd);
	for (unsigned int i = 1; i < CONTROL_STAYS_MAX; i++)
		close(fds[i]);
	wait_until_left(CONTROL_STAYS_MAX + 1);
	fd = dial();			/* and all places are free again */
	assert_answer(fd, "{\"request\":\"down\"}\n", "{\"ok\":true}\n");
	close(fd);
	pause_daemon();
	assert_true(d.control->client_count <= 1);
	assert_int_equal(d.control->stay_count, 0);
}

static void a_socket_that_is_closed_forgets_those_who_stay(void **state)
{
	char text[512];
	int fd = dial();

	d.keeps_stay = true;
	say(fd, EXPOSE);
	assert_true(hear(fd, text, sizeof(text)) > 0);
	pause_daemon();
	control_free(d.control);
	d.control = NULL;
	assert_int_equal(d.left, 1);
	control_stay_end(d.stay, -ECANCELED, NULL);
	assert_int_equal(hear(fd, text, sizeof(text)), -1);
	close(fd);
}

static void the_command_publishes_and_waits(void **state)
{
	const struct control_expose expose = { .port = 80, .protocol = "http", .pin = "123456" };
	struct control_exposed exposed = {};
	char why[256];
	int fd;

	strcpy(d.exposed.url, "https://app.test");
	d.exposed.is_port_assigned = true;
	assert_int_equal(control_expose(d.path, &expose, &exposed, &fd, why, sizeof(why)), 0);
	assert_string_equal(exposed.url, "https://app.test");
	assert_true(exposed.is_port_assigned);
	assert_string_equal(d.asked, "expose 80 0 http 123456 - - -");
	assert_int_equal(control_expose_wait(d.path, fd, 1000, why, sizeof(why)), -ETIMEDOUT);
	shutdown(fd, SHUT_WR);
	assert_int_equal(control_expose_wait(d.path, fd, 5000, why, sizeof(why)), 0);
	close(fd);
	d.ret = -EPERM;
	d.why = "no";
	assert_int_equal(control_expose(d.path, &expose, &exposed, &fd, why, sizeof(why)), -EREMOTEIO);
	assert_string_equal(why, "no");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_daemon, stop_daemon)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_request_has_its_answer),
		TEST(nonsense_is_answered_with_no),
		TEST(requests_may_come_in_pieces_and_together),
		TEST(a_large_token_fits_and_a_larger_one_is_refused),
		TEST(a_line_without_end_is_cut_off),
		TEST(a_silent_client_is_shown_out),
		TEST(a_client_that_does_not_read_is_cut_off_and_hurts_nobody),
		TEST(a_client_too_many_waits_for_a_place),
		TEST(an_answer_may_come_later_than_any_patience),
		TEST(a_status_waits_for_a_look_at_the_servers_and_a_check_does_not),
		TEST(a_client_that_left_is_not_missed_by_a_late_answer),
		TEST(a_late_answer_after_the_end_does_nothing),
		TEST(an_operation_may_free_the_socket_that_asked),
		TEST(only_the_owner_may_connect),
		TEST(a_socket_in_use_is_left_alone_and_a_stale_one_replaced),
		TEST(a_client_learns_what_goes_wrong),
		TEST(a_question_without_an_answer_ends_in_time),
		TEST(netbirds_commands_print_netbirds_words),
		TEST(a_daemon_that_is_not_connected_is_told_what_up_brought),
		TEST(a_daemons_no_is_one_line_and_exit_code_1),
		TEST(status_is_asked_of_the_daemon_under_both_names),
		TEST(a_host_that_is_not_registered_is_told_so_with_exit_code_0),
		TEST(reload_prints_what_changed_or_the_one_reason),
		TEST(a_daemon_without_a_mesh_reloads_and_has_nothing_else),
		TEST(each_pin_directory_has_a_socket_of_its_own),
		TEST(netbirds_commands_without_a_daemon_say_what_netbird_says),
		TEST(a_client_that_stays_keeps_its_service),
		TEST(a_client_that_dies_has_left),
		TEST(a_service_that_ends_tells_its_client_why),
		TEST(clients_that_stay_take_no_place_of_others_and_have_a_limit_of_their_own),
		TEST(a_socket_that_is_closed_forgets_those_who_stay),
		TEST(the_command_publishes_and_waits),
	};
	int failed;

	if (sodium_init() < 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	forget();
	return failed;
}
