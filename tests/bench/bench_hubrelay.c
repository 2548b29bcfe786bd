// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The hub's relay beside NetBird's: the same load on both, in turns. The load are both ends of pairs of
 * peers, who speak relay frames over WebSockets and send no more than a window of packets ahead of what has
 * arrived, as connections through a tunnel do. The server has one core to itself, the load another one.
 *
 * STOCK_RELAY is the path of NetBird's relay; without it only ours is measured, and the table says so.
 */
#include "bench/bench.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sched.h>
#include <signal.h>
#include <sodium.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hubrelay/hubrelay.h"
#include "netbird/relay_wire.h"
#include "websocket/websocket_frame.h"
#include "websocket/websocket_upgrade.h"

#define PACKET		1280
#define MESSAGE		(RELAY_TRANSPORT_LEN + PACKET)
#define HEADER		8		/* of a masked frame of that length */
#define FRAME		(HEADER + MESSAGE)
#define BATCH		48
#define READ_MAX	(256 * 1024)
#define STALL_NS	500000000ULL	/* what has not arrived then is lost */
#define SWEEP_NS	50000000ULL
#define WARM_NS		200000000ULL
#define RUN_NS		1000000000ULL
#define RUNS		3
#define WINDOW		512		/* packets; a quarter of it for each of many pairs */
#define PAIRS		100
#define PROBES		1000
#define PROBE_GAP_US	500
#define SECRET		"bench"

struct target {
	const char *name;
	bool is_ours, is_tls;
	uint16_t port;
	pid_t pid;
	clockid_t clock;	/* its CPU time */
};

struct end {
	int fd;
	SSL *ssl;
	uint8_t id[RELAY_ID_LEN];
};

struct pair {
	struct end from, to;
	uint8_t frames[BATCH * FRAME];
	size_t at, len;		/* what of it still goes out */
	uint32_t sent, arrived;	/* sequence numbers */
	uint64_t progress_ns;
	bool wants_room;
	/* the receiver's place in the stream of frames */
	uint8_t head[4 + RELAY_TRANSPORT_LEN + 4];
	size_t head_len, skip;
	uint64_t packets;
	int64_t lost;
};

struct load {
	struct pair *pairs;
	size_t count, window;
	int epoll;
	uint8_t *buffer;
};

static const uint8_t mask[WEBSOCKET_MASK_LEN] = { 0x37, 0xfa, 0x21, 0x3d };
static char folder[] = "/tmp/bench_hubrelay.XXXXXX", cert_path[64];
static uint8_t secret[HUBRELAY_SECRET_LEN];
static SSL_CTX *client_ctx;

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* On a machine that others use, too: in a session of our own we weigh as much as the scheduler allows. */
static void shield(void)
{
	int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "-20", 3) != 3)
		setpriority(PRIO_PROCESS, 0, -20);
	if (fd >= 0)
		close(fd);
}

/* A core, and a session, of its own. */
static void pin(int cpu)
{
	cpu_set_t set;

	setsid();
	shield();
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* The servers */

static bool on_socket(void *ctx, struct server_socket *socket, const struct server_request *request,
	const struct server_socket_events **ret_events, void **ret_ctx)
{
	return hubrelay_take(ctx, socket, request, ret_events, ret_ctx);
}

static bool on_call(void *ctx, struct server_call *call, const struct server_request *request,
	const struct server_call_events **ret_events, void **ret_ctx)
{
	return false;
}

static void on_request(void *ctx, const struct server_request *request, struct server_answer *ret_answer)
{
	ret_answer->status = 404;
}

static void serve(bool is_tls, int port_fd)
{
	static const struct server_events events = { .call = on_call, .socket = on_socket,
		.request = on_request };
	struct server_options options = { .listen = { .family = AF_INET }, .connections_per_address = 1000,
		.certificate = is_tls ? cert_path : NULL, .key = is_tls ? cert_path : NULL };
	struct hubrelay_options relay_options = { .instance_url = "rel://bench" };
	char why[SERVER_WHY_LEN];
	struct hubrelay *relay;
	struct server *server;
	struct loop *loop;
	uint16_t port;

	memcpy(relay_options.secret, secret, sizeof(secret));
	options.listen.remote.word[0] = htonl(INADDR_LOOPBACK);
	if (loop_new(&loop) || hubrelay_new(loop, &relay_options, &relay))
		die("hubrelay");
	if (server_new(loop, &options, &events, relay, &server, why)) {
		fprintf(stderr, "server: %s\n", why);
		exit(1);
	}
	port = server_port(server);
	if (write(port_fd, &port, sizeof(port)) != sizeof(port))
		die("pipe");
	close(port_fd);
	loop_run(loop);
	exit(0);
}

static void start_ours(struct target *t)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		die("pipe");
	t->pid = fork();
	if (!t->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		pin(0);
		serve(t->is_tls, fds[1]);
	}
	close(fds[1]);
	if (read(fds[0], &t->port, sizeof(t->port)) != sizeof(t->port))
		die("our server did not start");
	close(fds[0]);
}

static uint16_t free_port(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(addr);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) || getsockname(fd, (struct sockaddr *)&addr,
		&len))
		die("socket");
	close(fd);
	return ntohs(addr.sin_port);
}

static int dial(uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		close(fd);
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void start_stock(struct target *t, const char *path)
{
	char listen[32], health[32], metrics[16], exposed[48];
	int fd = -1;

	t->port = free_port();
	snprintf(listen, sizeof(listen), "127.0.0.1:%u", t->port);
	snprintf(exposed, sizeof(exposed), "rel%s://%s", t->is_tls ? "s" : "", listen);
	snprintf(health, sizeof(health), "127.0.0.1:%u", free_port());
	snprintf(metrics, sizeof(metrics), "%u", free_port());
	t->pid = fork();
	if (!t->pid) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pin(0);
		dup2(null, 1);
		dup2(null, 2);
		execl(path, path, "-l", listen, "-e", exposed, "-s", SECRET, "-H", health, "--metrics-port",
			metrics, "--log-level", "error", t->is_tls ? "--tls-cert-file" : NULL, cert_path,
			"--tls-key-file", cert_path, NULL);
		_exit(1);
	}
	for (int i = 0; i < 500 && fd < 0; i++) {
		usleep(20000);
		fd = dial(t->port);
	}
	if (fd < 0)
		die("the stock relay did not start");
	close(fd);
}

static void start(struct target *t, const char *stock)
{
	if (t->is_ours)
		start_ours(t);
	else
		start_stock(t, stock);
	if (clock_getcpuclockid(t->pid, &t->clock))
		die("clock_getcpuclockid");
}

static double server_cpu_s(const struct target *t)
{
	struct timespec ts;

	clock_gettime(t->clock, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* The clients: blocking until they are in */

static void put(struct end *e, const void *bytes, size_t len)
{
	if (e->ssl ? SSL_write(e->ssl, bytes, len) != (int)len : send(e->fd, bytes, len,
		MSG_NOSIGNAL) != (ssize_t)len)
		die("a client's connection");
}

static void get(struct end *e, void *bytes, size_t len)
{
	while (len) {
		ssize_t n = e->ssl ? SSL_read(e->ssl, bytes, len) : recv(e->fd, bytes, len, 0);

		if (n <= 0)
			die("the server ended a client's connection");
		bytes = (uint8_t *)bytes + n;
		len -= n;
	}
}

static void upgrade(struct end *e)
{
	char request[512], key[WEBSOCKET_KEY_LEN + 1], accept[WEBSOCKET_ACCEPT_LEN + 1], answer[2048],
		why[128];
	size_t len = 0;
	int ret;

	websocket_key_make(key);
	websocket_key_accept(key, accept);
	ret = websocket_request_write("127.0.0.1", "/relay", key, request, sizeof(request));
	put(e, request, ret);
	do {
		get(e, answer + len++, 1);
		ret = websocket_answer_parse(answer, len, accept, why, sizeof(why));
	} while (!ret && len < sizeof(answer));
	if (ret <= 0) {
		fprintf(stderr, "upgrade: %s\n", ret ? why : "too long");
		exit(1);
	}
}

static void say(struct end *e, const uint8_t *message, size_t len)
{
	uint8_t frame[WEBSOCKET_HEADER_MAX + RELAY_AUTH_MAX];
	size_t header = websocket_frame_write(WEBSOCKET_BINARY, len, mask, frame);

	websocket_mask_copy(frame + header, message, len, mask, 0);
	put(e, frame, header + len);
}

static void hear(struct end *e, enum relay_type type)
{
	uint8_t head[2], message[RELAY_MESSAGE_MAX];

	get(e, head, sizeof(head));
	get(e, message, head[1]);
	if (message[1] != type)
		die("the relay said something else");
}

static void authenticate(const struct target *t, struct end *e, const uint8_t key[static KEY_LEN])
{
	char payload[HUBRELAY_PAYLOAD_LEN] = "4102444800", signature[HUBRELAY_SIGNATURE_LEN];
	uint8_t message[RELAY_AUTH_MAX], sig[RELAY_SIGNATURE_LEN], hmac_key[32];

	if (t->is_ours) {
		hubrelay_token(secret, key, 4102444800, payload, signature);
		sodium_base642bin(sig, sizeof(sig), signature, strlen(signature), NULL, NULL, NULL,
			sodium_base64_VARIANT_ORIGINAL);
	} else {
		crypto_hash_sha256(hmac_key, (const uint8_t *)SECRET, strlen(SECRET));
		crypto_auth_hmacsha256(sig, (const uint8_t *)payload, strlen(payload), hmac_key);
	}
	say(e, message, relay_auth_write(e->id, payload, sig, message));
	hear(e, RELAY_AUTH_RESPONSE);
}

static void connect_end(const struct target *t, struct end *e, unsigned n)
{
	uint8_t key[KEY_LEN] = {};

	memcpy(key, &n, sizeof(n));
	relay_id(key, e->id);
	e->fd = dial(t->port);
	if (e->fd < 0)
		die("connect");
	if (t->is_tls) {
		e->ssl = SSL_new(client_ctx);
		SSL_set_fd(e->ssl, e->fd);
		if (SSL_connect(e->ssl) != 1)
			die("TLS handshake");
	}
	upgrade(e);
	authenticate(t, e, key);
	fcntl(e->fd, F_SETFL, O_NONBLOCK);
}

static void disconnect_end(struct end *e)
{
	SSL_free(e->ssl);
	close(e->fd);
}

/* The load */

static void fill(struct pair *p)
{
	uint8_t message[MESSAGE];

	randombytes_buf(message, sizeof(message));
	relay_transport_write(p->to.id, message);
	for (unsigned i = 0; i < BATCH; i++) {
		uint8_t *at = p->frames + i * FRAME;

		websocket_frame_write(WEBSOCKET_BINARY, MESSAGE, mask, at);
		websocket_mask_copy(at + HEADER, message, MESSAGE, mask, 0);
	}
}

static void stamp(uint8_t *frame, uint32_t seq)
{
	websocket_mask_copy(frame + HEADER + RELAY_TRANSPORT_LEN, (const uint8_t *)&seq, sizeof(seq), mask,
		RELAY_TRANSPORT_LEN);
}

static ssize_t put_some(struct end *e, const uint8_t *bytes, size_t len)
{
	ssize_t n;

	if (!e->ssl)
		return send(e->fd, bytes, len, MSG_NOSIGNAL);
	ERR_clear_error();
	n = SSL_write(e->ssl, bytes, len);
	if (n > 0)
		return n;
	if (SSL_get_error(e->ssl, n) != SSL_ERROR_WANT_WRITE)
		die("SSL_write");
	errno = EAGAIN;
	return -1;
}

static void watch(struct load *load, struct pair *p, bool wants_room)
{
	struct epoll_event event = { .events = wants_room ? EPOLLOUT : 0, .data.u64 = (p - load->pairs) * 2 };

	if (p->wants_room == wants_room)
		return;
	p->wants_room = wants_room;
	epoll_ctl(load->epoll, EPOLL_CTL_MOD, p->from.fd, &event);
}

/* As much as the window lets through and the socket takes. */
static void send_more(struct load *load, struct pair *p)
{
	for (;;) {
		ssize_t n;

		if (p->at == p->len) {
			size_t room = load->window - (p->sent - p->arrived), count = room < BATCH ? room :
				BATCH;

			if (!count)
				break;
			for (size_t i = 0; i < count; i++)
				stamp(p->frames + i * FRAME, ++p->sent);
			p->at = 0;
			p->len = count * FRAME;
		}
		n = put_some(&p->from, p->frames + p->at, p->len - p->at);
		if (n < 0 && errno == EAGAIN) {
			watch(load, p, true);
			return;
		}
		if (n < 0)
			die("send");
		p->at += n;
	}
	watch(load, p, false);
}

static void arrive(struct pair *p)
{
	uint32_t seq;

	if (p->head[0] != 0x82 || p->head[1] != 126 || p->head[5] != RELAY_TRANSPORT ||
		memcmp(p->head + 6, p->from.id, RELAY_ID_LEN)) {
		fprintf(stderr, "something else than a packet of the other end came\n");
		exit(1);
	}
	memcpy(&seq, p->head + 4 + RELAY_TRANSPORT_LEN, sizeof(seq));
	p->packets++;
	if ((int32_t)(seq - p->arrived) <= 0) {	/* given up too early */
		p->lost--;
		return;
	}
	p->lost += seq - p->arrived - 1;
	p->arrived = seq;
}

static void take(struct pair *p, const uint8_t *bytes, size_t len)
{
	while (len) {
		size_t n = p->skip < len ? p->skip : len;

		p->skip -= n;
		bytes += n;
		len -= n;
		n = sizeof(p->head) - p->head_len;
		n = n < len ? n : len;
		memcpy(p->head + p->head_len, bytes, n);
		p->head_len += n;
		bytes += n;
		len -= n;
		if (p->head_len < sizeof(p->head))
			return;
		arrive(p);
		p->head_len = 0;
		p->skip = 4 + MESSAGE - sizeof(p->head);
	}
}

static void receive(struct load *load, struct pair *p)
{
	struct end *e = &p->to;

	for (size_t total = 0; total < READ_MAX;) {
		ssize_t n = e->ssl ? SSL_read(e->ssl, load->buffer, READ_MAX) : recv(e->fd, load->buffer,
			READ_MAX, 0);

		if (n <= 0 && (e->ssl ? SSL_get_error(e->ssl, n) == SSL_ERROR_WANT_READ : n < 0 &&
			errno == EAGAIN))
			return;
		if (n <= 0)
			die("the server ended a client's connection");
		take(p, load->buffer, n);
		total += n;
		if (!e->ssl)
			return;
	}
}

/* Without an answer for long, what is on its way is lost. */
static void forget_lost(struct load *load, uint64_t now)
{
	for (size_t i = 0; i < load->count; i++) {
		struct pair *p = &load->pairs[i];

		if (p->at < p->len || p->sent == p->arrived || now - p->progress_ns < STALL_NS)
			continue;
		p->lost += p->sent - p->arrived;
		p->arrived = p->sent;
		p->progress_ns = now;
		send_more(load, p);
	}
}

static void run_until(struct load *load, uint64_t until)
{
	struct epoll_event events[256];
	uint64_t now = now_ns(), checked = now;

	for (; now < until; now = now_ns()) {
		int n = epoll_wait(load->epoll, events, 256, 10);

		for (int i = 0; i < n; i++) {
			struct pair *p = &load->pairs[events[i].data.u64 / 2];

			if (events[i].data.u64 % 2) {
				p->progress_ns = now;
				receive(load, p);
			}
			send_more(load, p);
		}
		if (now - checked > SWEEP_NS) {
			forget_lost(load, now);
			checked = now;
		}
	}
}

static void connect_all(struct load *load, const struct target *t, size_t count, size_t window)
{
	load->count = count;
	load->window = window;
	load->pairs = calloc(count, sizeof(*load->pairs));
	load->buffer = malloc(READ_MAX);
	load->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!load->pairs || !load->buffer || load->epoll < 0)
		die("load");
	for (size_t i = 0; i < count; i++) {
		struct pair *p = &load->pairs[i];
		struct epoll_event from = { .data.u64 = i * 2 }, to = { .events = EPOLLIN,
			.data.u64 = i * 2 + 1 };

		connect_end(t, &p->from, i * 2);
		connect_end(t, &p->to, i * 2 + 1);
		fill(p);
		epoll_ctl(load->epoll, EPOLL_CTL_ADD, p->from.fd, &from);
		epoll_ctl(load->epoll, EPOLL_CTL_ADD, p->to.fd, &to);
	}
}

static void disconnect_all(struct load *load)
{
	for (size_t i = 0; i < load->count; i++) {
		disconnect_end(&load->pairs[i].from);
		disconnect_end(&load->pairs[i].to);
	}
	close(load->epoll);
	free(load->buffer);
	free(load->pairs);
}

struct result {
	double gbits, cpu_s_gb, busy, load_busy, jain, lost;
};

static struct result push(const struct target *t, size_t count, size_t window)
{
	double cpu, load_cpu, sum = 0, squares = 0;
	struct result r = {};
	struct load load;
	int64_t lost = 0;
	uint64_t begin;

	connect_all(&load, t, count, window);
	for (size_t i = 0; i < count; i++) {
		load.pairs[i].progress_ns = now_ns();
		send_more(&load, &load.pairs[i]);
	}
	run_until(&load, now_ns() + WARM_NS);
	for (size_t i = 0; i < count; i++)
		load.pairs[i].packets = load.pairs[i].lost = 0;
	cpu = server_cpu_s(t);
	load_cpu = cpu_ns();
	begin = now_ns();
	run_until(&load, begin + RUN_NS);
	begin = now_ns() - begin;
	cpu = server_cpu_s(t) - cpu;
	load_cpu = cpu_ns() - load_cpu;
	for (size_t i = 0; i < count; i++) {
		double packets = load.pairs[i].packets;

		sum += packets;
		squares += packets * packets;
		lost += load.pairs[i].lost;
	}
	disconnect_all(&load);
	if (!sum)
		die("no packet arrived");
	r.gbits = sum * PACKET * 8 / begin;
	r.cpu_s_gb = cpu / (sum * PACKET / 1e9);
	r.busy = cpu * 1e9 / begin;
	r.load_busy = load_cpu / begin;
	r.jain = sum * sum / (count * squares);
	r.lost = lost / (sum + lost);
	return r;
}

struct delay {
	double p50_us, p99_us;
};

/* One packet at a time, at a low rate. */
static struct delay probe(const struct target *t)
{
	static double us[PROBES];
	struct epoll_event event;
	struct load load;
	struct delay d;

	connect_all(&load, t, 1, 1);
	for (unsigned i = 0; i < PROBES; i++) {
		struct pair *p = &load.pairs[0];
		uint64_t begin = now_ns();

		send_more(&load, p);
		while (p->arrived != p->sent) {
			epoll_wait(load.epoll, &event, 1, 1000);
			receive(&load, p);
		}
		us[i] = (now_ns() - begin) / 1e3;
		usleep(PROBE_GAP_US);
	}
	disconnect_all(&load);
	d.p50_us = bench_median(us, PROBES);
	d.p99_us = us[PROBES * 99 / 100];
	return d;
}

/* Reports */

static const struct row {
	const char *name, *unit;
	bool is_less_better;
} rows[] = {
	{ "pair", "Gbit/s", false }, { "pair.cpu", "s/GB", true },
	{ "pairs100", "Gbit/s", false }, { "pairs100.cpu", "s/GB", true }, { "pairs100.jain", "", false },
	{ "delay.p50", "us", true }, { "delay.p99", "us", true },
};
#define ROWS (sizeof(rows) / sizeof(*rows))

/* One run of everything, in the order of rows[]. */
static void measure(const struct target *t, size_t window, double ret_values[static ROWS])
{
	struct result one = push(t, 1, window), many = push(t, PAIRS, window / 4);
	struct delay delay = probe(t);

	fprintf(stderr,
		"%s%s: %.2f Gbit/s, core busy %.2f, load's %.2f, lost %.4f; %u pairs: %.2f, %.2f, %.4f\n",
		t->name, t->is_tls ? " TLS" : "", one.gbits, one.busy, one.load_busy, one.lost, PAIRS,
			many.busy,
		many.load_busy, many.lost);
	fprintf(stderr, "\tdelay p50 %.0f, p99 %.0f us\n", delay.p50_us, delay.p99_us);
	memcpy(ret_values, (double [ROWS]){ one.gbits, one.cpu_s_gb, many.gbits, many.cpu_s_gb, many.jain,
		delay.p50_us, delay.p99_us }, sizeof(double [ROWS]));
}

/* @targets: ours, and the stock one if there is one. */
static void compare(struct bench *b, const struct target *targets, size_t count, size_t window)
{
	double values[RUNS][2][ROWS] = {}, column[RUNS], medians[2] = { NAN, NAN };
	char name[64];

	for (unsigned run = 0; run < RUNS; run++) {
		for (size_t i = 0; i < count; i++)
			measure(&targets[i], window, values[run][i]);
	}
	for (size_t r = 0; r < ROWS; r++) {
		for (size_t i = 0; i < count; i++) {
			for (unsigned run = 0; run < RUNS; run++)
				column[run] = values[run][i][r];
			medians[i] = bench_median(column, RUNS);
		}
		snprintf(name, sizeof(name), "hub.relay.%s%s", targets->is_tls ? "tls." : "", rows[r].name);
		bench_report(b, name, medians[0], rows[r].unit, count > 1 ? "stock relay" : NULL, medians[1],
			rows[r].is_less_better ? medians[1] / medians[0] : medians[0] / medians[1]);
	}
}

static void make_credentials(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	FILE *f;

	if (!mkdtemp(folder))
		die(folder);
	snprintf(cert_path, sizeof(cert_path), "%s/cert.pem", folder);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
		(const uint8_t *)"bench", -1, -1,
		0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	X509_set_pubkey(cert, key);
	X509_sign(cert, key, EVP_sha256());
	f = fopen(cert_path, "we");
	if (!f || !PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) || !PEM_write_X509(f, cert) ||
		fclose(f))
		die(cert_path);
	X509_free(cert);
	EVP_PKEY_free(key);
	client_ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_mode(client_ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	randombytes_buf(secret, sizeof(secret));
}

/* Who leads a group of processes cannot have a session of its own; its child can. */
static void leave_group(void)
{
	int status = 1;
	pid_t pid = fork();

	if (pid > 0) {
		waitpid(pid, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

int main(int argc, char **argv)
{
	const char *stock = getenv("STOCK_RELAY"), *window = getenv("WINDOW");
	struct bench b;

	bench_begin(&b, argc, argv);
	leave_group();
	if (!stock)
		printf("STOCK_RELAY is not set: the hub's relay alone, nothing to compare with\n");
	make_credentials();
	for (int is_tls = 0; is_tls < 2; is_tls++) {
		struct target targets[2] = { { .name = "ours", .is_ours = true, .is_tls = is_tls },
			{ .name = "stock", .is_tls = is_tls } };
		size_t count = stock ? 2 : 1;

		for (size_t i = 0; i < count; i++)
			start(&targets[i], stock);
		pin(1);
		compare(&b, targets, count, window ? atoi(window) : WINDOW);
		for (size_t i = 0; i < count; i++) {
			kill(targets[i].pid, SIGKILL);
			waitpid(targets[i].pid, NULL, 0);
		}
	}
	unlink(cert_path);
	rmdir(folder);
	SSL_CTX_free(client_ctx);
	return bench_end(&b);
}
