// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The metrics server over real sockets: pages, limits, and that nobody who is slow or hostile delays another.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "config/value.h"
#include "metrics/listen.h"
#include "metrics/server.h"

#define HOST		"Host: node\r\n"
#define PATIENCE_MS	20000
#define LARGE		(8 << 20)	/* more than the sockets' buffers hold */

static char directory[] = "/tmp/talon-metrics-XXXXXX";
static char pin_dir[64], path[64];
static struct metrics_server *server;
static struct config_metrics place;
static char why[CONFIG_WHY_LEN];

/* What stands in for the maps. */
static _Atomic unsigned int renders;
static _Atomic size_t text_len;
static _Atomic bool is_failing;
static uint64_t connection_ns;

static int render(const struct metrics_options *options, char **ret_text, size_t *ret_len, char *text,
	size_t size)
{
	atomic_fetch_add(&renders, 1);
	if (is_failing) {
		snprintf(text, size, "the maps are gone");
		return -EIO;
	}
	*ret_len = text_len;
	*ret_text = malloc(text_len);
	assert_non_null(*ret_text);
	memset(*ret_text, options->format == METRICS_OPENMETRICS ? 'o' : 'p', text_len);
	return 0;
}

static int start(const char *where, metrics_render_fn fn)
{
	place = (struct config_metrics){ .is_given = true };
	assert_int_equal(value_listen(slice_from(where), &place), 0);
	return metrics_server_start(&server, &(struct metrics_server_options){ .place = place,
		.pin_dir = pin_dir, .render = fn, .connection_ns = connection_ns }, why, sizeof(why));
}

static void start_unix(void)
{
	char where[80];

	snprintf(where, sizeof(where), "unix:%s", path);
	if (start(where, render))
		fail_msg("%s", why);
}

static int stop(void **state)
{
	metrics_server_stop(server);
	server = NULL;
	return 0;
}

static int reset(void **state)
{
	renders = 0;
	text_len = 1000;
	is_failing = false;
	connection_ns = 0;
	return 0;
}

static int dial(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(addr.sun_path, path, sizeof(path));
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* All up to the end, which must come. */
static char *hear(int fd)
{
	char *text = malloc(LARGE + 65536);
	size_t len = 0;
	ssize_t more;

	assert_non_null(text);
	while ((more = recv(fd, text + len, LARGE + 65535 - len, 0)) > 0)
		len += more;
	if (more < 0 && errno == EAGAIN)
		fail_msg("no end came");
	text[len] = '\0';
	close(fd);
	return text;
}

static char *ask(const char *request)
{
	int fd = dial();

	say(fd, request);
	return hear(fd);
}

static char *get(const char *page)
{
	char request[200];

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n" HOST "\r\n", page);
	return ask(request);
}

static const char *content(const char *answer)
{
	const char *end = strstr(answer, "\r\n\r\n");

	assert_non_null(end);
	return end + 4;
}

static void assert_begins(const char *text, const char *with)
{
	if (strncmp(text, with, strlen(with)))
		fail_msg("does not begin with '%s': '%.200s'", with, text);
}

static void assert_answer(const char *request, const char *begins)
{
	char *answer = ask(request);

	assert_begins(answer, begins);
	free(answer);
}

static struct metrics_server_counts counts(void)
{
	struct metrics_server_counts now;

	metrics_server_count(server, &now);
	return now;
}

#define WAIT_FOR(condition) do { \
	for (int waited_ = 0; !(condition); waited_++) { \
		if (waited_ > PATIENCE_MS) \
			fail_msg("waited in vain for %s", #condition); \
		usleep(1000); \
	} } while (0)

/* Pages. */

static void the_text_comes_whole_in_the_format_that_is_preferred(void **state)
{
	char *answer;

	start_unix();
	answer = get("/metrics");
	assert_begins(answer, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
		"Content-Length: 1000\r\n");
	assert_int_equal(strspn(content(answer), "p"), 1000);
	free(answer);
	answer = ask("GET /metrics HTTP/1.1\r\n" HOST "Accept: application/openmetrics-text\r\n\r\n");
	assert_begins(answer, "HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0; "
		"charset=utf-8\r\nContent-Length: 1000\r\n");
	assert_int_equal(strspn(content(answer), "o"), 1000);
	free(answer);
	WAIT_FOR(counts().answered == 2);
	assert_int_equal(counts().refused, 0);
}

static void head_has_the_length_and_no_content(void **state)
{
	char *answer;

	start_unix();
	answer = ask("HEAD /metrics HTTP/1.1\r\n" HOST "\r\n");
	assert_non_null(strstr(answer, "\r\nContent-Length: 1000\r\n"));
	assert_string_equal(content(answer), "");
	free(answer);
	answer = ask("HEAD /nothing HTTP/1.1\r\n" HOST "\r\n");
	assert_begins(answer, "HTTP/1.1 404 ");
	assert_string_equal(content(answer), "");
	free(answer);
}

static void other_pages_and_methods_are_refused(void **state)
{
	char *answer;

	start_unix();
	answer = get("/");
	assert_begins(answer, "HTTP/1.1 200 ");
	assert_non_null(strstr(content(answer), "/metrics\n/healthz\n/readyz\n"));
	free(answer);
	assert_answer("GET /nothing HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 404 Not Found\r\n");
	answer = ask("POST /metrics HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc");
	assert_begins(answer, "HTTP/1.1 405 ");
	assert_non_null(strstr(answer, "\r\nAllow: GET, HEAD\r\n"));
	free(answer);
	assert_answer("GET /metrics HTTP/3.0\r\n" HOST "\r\n", "HTTP/1.1 505 ");
	assert_int_equal(renders, 0);
}

static void garbage_and_huge_heads_are_refused(void **state)
{
	char *huge = malloc(1 << 16), *answer;
	int fd;

	start_unix();
	assert_answer("\x16\x03\x01\x02\r\n\r\n", "HTTP/1.1 400 ");
	assert_answer("GET /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ");
	memset(huge, 'a', 1 << 16);
	memcpy(huge, "GET / HTTP/1.1\r\nA: ", 19);
	fd = dial();
	assert_int_equal(send(fd, huge, 1 << 15, MSG_NOSIGNAL), 1 << 15);
	answer = hear(fd);
	assert_begins(answer, "HTTP/1.1 431 ");
	free(answer);
	free(huge);
	answer = get("/metrics");
	assert_begins(answer, "HTTP/1.1 200 ");
	free(answer);
}

static void a_request_may_come_byte_by_byte(void **state)
{
	static const char request[] = "GET /metrics HTTP/1.1\r\n" HOST "\r\n";
	char *answer;
	int fd;

	start_unix();
	fd = dial();
	for (size_t i = 0; i < sizeof(request) - 1; i++)
		assert_int_equal(send(fd, request + i, 1, MSG_NOSIGNAL), 1);
	answer = hear(fd);
	assert_begins(answer, "HTTP/1.1 200 ");
	free(answer);
}

static void what_cannot_be_made_is_503_with_the_reason(void **state)
{
	char *answer;

	is_failing = true;
	start_unix();
	answer = get("/metrics");
	assert_begins(answer,
		"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n");
	assert_string_equal(content(answer), "the maps are gone\n");
	free(answer);
	WAIT_FOR(counts().refused == 1);
	assert_int_equal(counts().answered, 0);
}

/* Health. */

static void without_a_datapath_it_lives_and_is_not_ready(void **state)
{
	char *answer;

	start_unix();
	metrics_server_beat(server, "");
	answer = get("/healthz");
	assert_begins(answer, "HTTP/1.1 200 ");
	assert_begins(content(answer), "live: yes: ");
	free(answer);
	answer = get("/readyz");
	assert_begins(answer, "HTTP/1.1 503 ");
	assert_begins(content(answer), "ready: no: not running: there is no datapath below ");
	assert_int_equal(strcspn(content(answer), "\n") + 1, strlen(content(answer)));
	free(answer);
}

static bool says(const char *page, const char *text)
{
	char *answer = get(page);
	bool does = !strcmp(content(answer), text);

	free(answer);
	return does;
}

static void readiness_says_what_the_controller_said(void **state)
{
	start_unix();
	assert_true(says("/readyz", "ready: no: the controller is starting\n"));
	metrics_server_beat(server, "management does not know this peer");
	WAIT_FOR(says("/readyz", "ready: no: management does not know this peer\n"));
	assert_answer("GET /readyz HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 503 ");
	metrics_server_beat(server, "");
	WAIT_FOR(!says("/readyz", "ready: no: management does not know this peer\n"));
}

static void the_real_text_without_a_datapath_says_so(void **state)
{
	char where[80], *answer;

	snprintf(where, sizeof(where), "unix:%s", path);
	assert_int_equal(start(where, NULL), 0);
	answer = ask("GET /metrics HTTP/1.1\r\n" HOST "Accept: application/openmetrics-text\r\n\r\n");
	assert_non_null(strstr(content(answer), "\ntalon_controller_up 0\n"));
	assert_string_equal(answer + strlen(answer) - 6, "# EOF\n");
	free(answer);
}

/* Limits. */

static void a_flood_costs_few_texts(void **state)
{
	start_unix();
	for (int i = 0; i < 50; i++)
		free(get("/metrics"));
	WAIT_FOR(counts().answered == 50);
	/* fifty at full speed take far less than fifty times the 100 ms for which a text is good */
	assert_true(renders < 25);
}

static bool is_closed(int fd)
{
	struct pollfd watched = { .fd = fd, .events = POLLIN };
	char c;

	return poll(&watched, 1, 0) == 1 && recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

/* Also with bytes unread. */
static bool has_hung_up(int fd)
{
	struct pollfd watched = { .fd = fd };

	return poll(&watched, 1, 0) == 1 && watched.revents & POLLHUP;
}

static unsigned int count_closed(const int *fds, unsigned int count)
{
	unsigned int closed = 0;

	for (unsigned int i = 0; i < count; i++)
		closed += is_closed(fds[i]);
	return closed;
}

static void silent_connections_make_room_oldest_first(void **state)
{
	int fds[METRICS_CONNECTIONS_MOST + 4];
	char *answer;

	start_unix();
	for (unsigned int i = 0; i < METRICS_CONNECTIONS_MOST; i++)
		fds[i] = dial();
	for (unsigned int i = 0; i < METRICS_CONNECTIONS_MOST; i++)
		say(fds[i], "GET /met");
	answer = get("/metrics");
	assert_begins(answer, "HTTP/1.1 200 ");
	free(answer);
	for (unsigned int i = METRICS_CONNECTIONS_MOST; i < METRICS_CONNECTIONS_MOST + 4; i++)
		fds[i] = dial();
	/* a connection that had its answer goes first; then those that were silent longest */
	WAIT_FOR(count_closed(fds, METRICS_CONNECTIONS_MOST + 4) == 4);
	for (unsigned int i = 0; i < 4; i++)
		assert_true(is_closed(fds[i]));
	WAIT_FOR(counts().refused == 4);
	for (unsigned int i = 0; i < METRICS_CONNECTIONS_MOST + 4; i++)
		close(fds[i]);
	WAIT_FOR(counts().refused == METRICS_CONNECTIONS_MOST + 4);
}

static void a_silent_connection_ends(void **state)
{
	uint64_t since = clock_boot_ns();
	char c;
	int fd;

	connection_ns = TALON_NSEC_PER_SEC / 2;
	start_unix();
	fd = dial();
	/* what trickles in does not prolong it */
	while (!recv(fd, &c, 1, MSG_DONTWAIT) || errno == EAGAIN) {
		if (send(fd, "a", 1, MSG_NOSIGNAL) < 0)
			break;
		usleep(10000);
	}
	assert_true(clock_boot_ns() - since >= connection_ns);
	close(fd);
	WAIT_FOR(counts().refused == 1);
}

static void slow_readers_delay_nobody_and_hold_few_texts(void **state)
{
	int fds[8];
	unsigned int made;
	char *answer;

	text_len = LARGE;
	connection_ns = 3600 * TALON_NSEC_PER_SEC;	/* time is not what ends them */
	start_unix();
	/* each gets a text of its own: it asks until the last one is no longer good */
	for (unsigned int i = 0; i < 8; i++) {
		made = renders;
		fds[i] = -1;
		for (int tries = 0; renders == made; tries++) {
			assert_true(tries < PATIENCE_MS / 150);
			close(fds[i]);
			fds[i] = dial();
			say(fds[i], "GET /metrics HTTP/1.1\r\n" HOST "\r\n");
			usleep(150 * 1000);
		}
	}
	/* the oldest had to go for the newer texts */
	for (unsigned int i = 0; i < 4; i++)
		WAIT_FOR(has_hung_up(fds[i]));
	assert_false(has_hung_up(fds[7]));
	for (unsigned int i = 0; i < 3; i++) {
		answer = get("/metrics");
		assert_begins(answer, "HTTP/1.1 200 ");
		assert_int_equal(strspn(content(answer), "p"), LARGE);
		free(answer);
	}
	assert_int_equal(counts().answered, 3);
	for (unsigned int i = 0; i < 8; i++)
		close(fds[i]);
}

static void readers_that_leave_are_no_trouble(void **state)
{
	const struct linger at_once = { .l_onoff = 1 };
	char *answer;

	text_len = LARGE;
	start_unix();
	for (unsigned int i = 0; i < 40; i++) {
		int fd = dial();

		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		say(fd, "GET /metrics HTTP/1.1\r\n" HOST "\r\n");
		close(fd);
	}
	answer = get("/metrics");
	assert_begins(answer, "HTTP/1.1 200 ");
	free(answer);
}

/* Where. */

static uint16_t free_port(int family)
{
	struct sockaddr_storage addr = { .ss_family = family };
	socklen_t len = sizeof(addr);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint16_t port;

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, family == AF_INET ? sizeof(struct sockaddr_in)
		: sizeof(struct sockaddr_in6))) {
		close(fd);
		return 0;
	}
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	port = ntohs(((struct sockaddr_in *)&addr)->sin_port);	/* at the same place in both families */
	close(fd);
	return port;
}

static void check_tcp(int family, const char *host)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	struct sockaddr_in four = { .sin_family = AF_INET };
	uint16_t port = free_port(family);
	struct metrics_server *first;
	char where[64], *answer;
	int fd, ret;

	if (!port)
		return;		/* no such family here */
	snprintf(where, sizeof(where), "%s:%u", host, port);
	if (start(where, render))
		fail_msg("%s", why);
	inet_pton(AF_INET, "127.0.0.1", &four.sin_addr);
	inet_pton(AF_INET6, "::1", &six.sin6_addr);
	four.sin_port = six.sin6_port = htons(port);
	fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ret = family == AF_INET ? connect(fd, (struct sockaddr *)&four, sizeof(four))
		: connect(fd, (struct sockaddr *)&six, sizeof(six));
	assert_int_equal(ret, 0);
	say(fd, "GET /metrics HTTP/1.1\r\n" HOST "\r\n");
	answer = hear(fd);
	assert_begins(answer, "HTTP/1.1 200 ");
	free(answer);
	/* the same place again: refused with a line, and the first goes on */
	assert_int_equal(metrics_listen_check(&place, why, sizeof(why)), -EADDRINUSE);
	first = server;
	assert_int_equal(start(where, render), -EADDRINUSE);
	assert_ptr_equal(server, first);
	assert_begins(why, where);
	assert_non_null(strstr(why, "another program has it; write a free ADDRESS:PORT, unix:/PATH, or off"));
	stop(NULL);
	/* and at once again, though a connection of the first waits out its time */
	assert_int_equal(start(where, render), 0);
	stop(NULL);
}

static void tcp_is_served_on_both_families(void **state)
{
	check_tcp(AF_INET, "127.0.0.1");
	check_tcp(AF_INET6, "[::1]");
}

static uint16_t start_tcp(void)
{
	uint16_t port = free_port(AF_INET);
	char where[64];

	snprintf(where, sizeof(where), "127.0.0.1:%u", port);
	if (start(where, render))
		fail_msg("%s", why);
	return port;
}

static int dial_from(const char *source, uint16_t port)
{
	struct sockaddr_in from = { .sin_family = AF_INET }, to = { .sin_family = AF_INET,
		.sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	inet_pton(AF_INET, source, &from.sin_addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	return fd;
}

static void one_source_does_not_take_the_places_of_another(void **state)
{
	uint16_t port = start_tcp();
	int fds[60], patient = dial_from("127.0.0.2", port);
	char *answer;

	say(patient, "GET /metrics HTTP/1.1\r\n");
	for (size_t i = 0; i < 60; i++) {
		fds[i] = dial_from(i % 2 ? "127.0.0.3" : "127.0.0.4", port);
		say(fds[i], "GET ");
	}
	WAIT_FOR(counts().refused == 60 - (METRICS_CONNECTIONS_MOST - 1));
	say(patient, HOST "\r\n");
	answer = hear(patient);
	assert_begins(answer, "HTTP/1.1 200 ");
	free(answer);
	for (size_t i = 0; i < 60; i++)
		close(fds[i]);
}

static void one_source_has_half_of_the_places(void **state)
{
	uint16_t port = start_tcp();
	int fds[METRICS_CONNECTIONS_MOST];

	for (size_t i = 0; i < METRICS_CONNECTIONS_MOST; i++) {
		fds[i] = dial_from("127.0.0.3", port);
		say(fds[i], "GET ");
	}
	WAIT_FOR(counts().refused == METRICS_CONNECTIONS_MOST - METRICS_CONNECTIONS_SOURCE);
	for (size_t i = 0; i < METRICS_CONNECTIONS_MOST; i++)
		close(fds[i]);
	WAIT_FOR(counts().refused == METRICS_CONNECTIONS_MOST);
}

/* A connection that has said nothing is not even accepted: what is asked in one piece never waits for it. */
static void silent_tcp_connections_take_no_place(void **state)
{
	uint16_t port = start_tcp();
	int fds[100], first = dial_from("127.0.0.3", port), last;
	char *answer;

	say(first, "GET ");
	for (size_t i = 0; i < 100; i++)
		fds[i] = dial_from("127.0.0.3", port);
	/* whoever is accepted at all was accepted before this one */
	last = dial_from("127.0.0.4", port);
	say(last, "GET /healthz HTTP/1.1\r\n" HOST "\r\n");
	free(hear(last));
	say(first, "/metrics HTTP/1.1\r\n" HOST "\r\n");
	answer = hear(first);
	assert_begins(answer, "HTTP/1.1 200 ");
	free(answer);
	for (size_t i = 0; i < 100; i++)
		close(fds[i]);
}

static void an_address_of_somebody_else_is_refused(void **state)
{
	assert_int_equal(start("192.0.2.1:9567", render), -EADDRNOTAVAIL);
	assert_string_equal(why, "192.0.2.1:9567: this host does not have that address; write a free "
		"ADDRESS:PORT, unix:/PATH, or off");
}

static void a_unix_socket_is_for_owner_and_group_and_goes_at_the_end(void **state)
{
	mode_t before = umask(0077);
	struct stat st;

	start_unix();
	umask(before);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0660);
	stop(NULL);
	assert_int_equal(lstat(path, &st), -1);
}

static void a_unix_socket_takes_the_place_of_a_dead_one_only(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct metrics_server *first;
	char where[80], *answer;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	FILE *f;

	snprintf(where, sizeof(where), "unix:%s", path);
	memcpy(addr.sun_path, path, sizeof(path));
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	start_unix();
	first = server;
	assert_int_equal(start(where, render), -EADDRINUSE);
	assert_int_equal(metrics_listen_check(&place, why, sizeof(why)), -EADDRINUSE);
	assert_ptr_equal(server, first);
	answer = get("/metrics");
	assert_begins(answer, "HTTP/1.1 200 ");
	free(answer);
	stop(NULL);
	/* a file is nobody's socket, and stays */
	f = fopen(path, "we");
	assert_non_null(f);
	fclose(f);
	assert_int_equal(start(where, render), -EEXIST);
	assert_int_equal(metrics_listen_check(&place, why, sizeof(why)), -EEXIST);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(metrics_listen_check(&place, why, sizeof(why)), 0);
}

static void another_ones_socket_is_not_removed(void **state)
{
	struct stat st;

	start_unix();
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	stop(NULL);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(rmdir(path), 0);
}

/* The thread. */

static void the_thread_takes_no_signals(void **state)
{
	char name[300], line[200];
	unsigned long long blocked = 0;
	struct dirent *entry;
	bool found = false;
	sigset_t now;
	DIR *tasks;
	FILE *f;

	start_unix();
	/* ours are as they were */
	assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &now), 0);
	assert_false(sigismember(&now, SIGTERM));
	tasks = opendir("/proc/self/task");
	assert_non_null(tasks);
	while (!found && (entry = readdir(tasks))) {
		snprintf(name, sizeof(name), "/proc/self/task/%s/status", entry->d_name);
		f = fopen(name, "re");
		while (f && fgets(line, sizeof(line), f)) {
			found |= !strcmp(line, "Name:\tmetrics\n");
			sscanf(line, "SigBlk: %llx", &blocked);
		}
		if (f)
			fclose(f);
	}
	closedir(tasks);
	assert_true(found);
	for (int number = 1; number < 32; number++) {
		if (number != SIGKILL && number != SIGSTOP)
			assert_true(blocked & 1ULL << (number - 1));
	}
}

static void the_end_does_not_wait_for_readers(void **state)
{
	int fd;

	text_len = LARGE;
	start_unix();
	fd = dial();
	say(fd, "GET /metrics HTTP/1.1\r\n" HOST "\r\n");
	WAIT_FOR(renders == 1);
	stop(NULL);
	close(fd);
}

static int make_directory(void **state)
{
	if (!mkdtemp(directory))
		return -1;
	snprintf(pin_dir, sizeof(pin_dir), "%s/pins", directory);
	snprintf(path, sizeof(path), "%s/socket", directory);
	return 0;
}

static int remove_directory(void **state)
{
	return rmdir(directory);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, reset, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_text_comes_whole_in_the_format_that_is_preferred),
		TEST(head_has_the_length_and_no_content),
		TEST(other_pages_and_methods_are_refused),
		TEST(garbage_and_huge_heads_are_refused),
		TEST(a_request_may_come_byte_by_byte),
		TEST(what_cannot_be_made_is_503_with_the_reason),
		TEST(without_a_datapath_it_lives_and_is_not_ready),
		TEST(readiness_says_what_the_controller_said),
		TEST(the_real_text_without_a_datapath_says_so),
		TEST(a_flood_costs_few_texts),
		TEST(silent_connections_make_room_oldest_first),
		TEST(a_silent_connection_ends),
		TEST(slow_readers_delay_nobody_and_hold_few_texts),
		TEST(readers_that_leave_are_no_trouble),
		TEST(tcp_is_served_on_both_families),
		TEST(one_source_does_not_take_the_places_of_another),
		TEST(one_source_has_half_of_the_places),
		TEST(silent_tcp_connections_take_no_place),
		TEST(an_address_of_somebody_else_is_refused),
		TEST(a_unix_socket_is_for_owner_and_group_and_goes_at_the_end),
		TEST(a_unix_socket_takes_the_place_of_a_dead_one_only),
		TEST(another_ones_socket_is_not_removed),
		TEST(the_thread_takes_no_signals),
		TEST(the_end_does_not_wait_for_readers),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
