// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Signing in, against an HTTP server of our own that says what a test tells it, and a browser that
// the test is.
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/sha.h>
#include <sodium.h>

#include "login/internal.h"
#include "management.pb-c.h"
#include "unit/tls_server.h"

#define STEPS_MAX	16
#define AUDIENCE	"netbird-cli"

/* --- the provider --- */

struct step {
	unsigned int status;
	const char *body;
	const char *header;		/* a line with its end; NULL: none */
	size_t padding;			/* spaces before the body */
};

static struct {
	pthread_t thread;
	int fd;
	uint16_t port;
	char url[64];
	SSL_CTX *tls;			/* NULL: plain HTTP */
	SSL *ssl;			/* of the connection being served */
	char guest[64];			/* the common name of the client's certificate, if it showed one */
	struct step steps[STEPS_MAX];
	size_t count, asked;
	char requests[STEPS_MAX][4096];	/* first line and form */

	uint64_t now_ns;
	unsigned int slept[64], sleeps;
	char why[400];
	char *token;
} w;

static void send_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = w.ssl ? SSL_write(w.ssl, text, len) : send(fd, text, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;		/* the client had enough */
		text += n;
		len -= n;
	}
}

static ssize_t receive_some(int fd, char *text, size_t size)
{
	return w.ssl ? SSL_read(w.ssl, text, size) : recv(fd, text, size, 0);
}

/* The head and as many bytes of a form as it says. False: nothing came, as from who does not trust us. */
static bool read_request(int fd, char *request, size_t size)
{
	char text[16384] = "", *end, *length;
	size_t len = 0, need = SIZE_MAX;
	ssize_t n;

	while (len < need && (n = receive_some(fd, text + len, sizeof(text) - 1 - len)) > 0) {
		len += n;
		text[len] = 0;
		end = strstr(text, "\r\n\r\n");
		length = strcasestr(text, "content-length:");
		if (end)
			need = end + 4 - text + (length ? strtoul(length + 15, NULL, 10) : 0);
	}
	if (!len)
		return false;
	end = strstr(text, "\r\n\r\n");
	assert(end && strcasestr(text, "\r\ncontent-type: application/x-www-form-urlencoded\r\n"));
	snprintf(request, size, "%.*s %s", (int)strcspn(text, "\r"), text, end + 4);
	return true;
}

static void answer_step(int fd, const struct step *step)
{
	char head[512], *padding = malloc(step->padding + 1);
	size_t len = step->padding + strlen(step->body);

	memset(padding, ' ', step->padding);
	snprintf(head, sizeof(head),
		"HTTP/1.1 %u X\r\nContent-Type: application/json\r\nConnection: close\r\n%sContent-Length: "
		"%zu\r\n\r\n", step->status, step->header ? step->header : "", len);
	send_all(fd, head, strlen(head));
	send_all(fd, padding, step->padding);
	send_all(fd, step->body, strlen(step->body));
	free(padding);
}

/* Returns false if the client does not like our certificate. */
static bool shake_hands(int fd)
{
	X509 *guest;
	bool is_good;

	if (!w.tls)
		return true;
	w.ssl = SSL_new(w.tls);
	SSL_set_fd(w.ssl, fd);
	is_good = SSL_accept(w.ssl) == 1;
	guest = is_good ? SSL_get1_peer_certificate(w.ssl) : NULL;
	if (guest)
		X509_NAME_get_text_by_NID(X509_get_subject_name(guest), NID_commonName, w.guest,
			sizeof(w.guest));
	X509_free(guest);
	return is_good;
}

static void hang_up(int fd)
{
	if (w.ssl)
		SSL_shutdown(w.ssl);
	SSL_free(w.ssl);
	w.ssl = NULL;
	close(fd);
}

/* Status 0: hangs up without a word. */
static void *serve(void *ctx)
{
	int fd;

	while ((fd = accept(w.fd, NULL, NULL)) >= 0) {
		size_t i = w.asked;

		if (!shake_hands(fd) || !read_request(fd, w.requests[i], sizeof(w.requests[i]))) {
			hang_up(fd);
			continue;
		}
		/* before the answer, with which a test goes on */
		__atomic_store_n(&w.asked, i + 1, __ATOMIC_RELEASE);
		if (i < w.count && w.steps[i].status)
			answer_step(fd, &w.steps[i]);
		hang_up(fd);
	}
	return NULL;
}

static int provider_listen(uint16_t port, uint16_t *ret_port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(port) };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	getsockname(fd, (struct sockaddr *)&addr, &len);
	*ret_port = ntohs(addr.sin_port);
	return fd;
}

static int make_world(void **state)
{
	memset(&w, 0, sizeof(w));
	w.now_ns = 1000000000000;
	w.fd = provider_listen(0, &w.port);
	snprintf(w.url, sizeof(w.url), "http://127.0.0.1:%u/token", w.port);
	return pthread_create(&w.thread, NULL, serve, NULL);
}

static int end_world(void **state)
{
	shutdown(w.fd, SHUT_RDWR);
	pthread_join(w.thread, NULL);
	close(w.fd);
	SSL_CTX_free(w.tls);
	login_token_free(w.token);
	return 0;
}

static void script(const struct step *steps, size_t count)
{
	memcpy(w.steps, steps, count * sizeof(*steps));
	w.count = count;
}

#define SCRIPT(...)						\
	do {							\
		const struct step steps_[] = { __VA_ARGS__ };	\
		script(steps_, sizeof(steps_) / sizeof(steps_[0]));	\
	} while (0)

static uint64_t now_ns(void *ctx)
{
	return w.now_ns;
}

static void sleep_s(void *ctx, unsigned int seconds)
{
	w.slept[w.sleeps++] = seconds;
	w.now_ns += seconds * 1000000000ULL;
}

/* A token with these claims; static. */
static const char *jwt(const char *claims)
{
	static char text[1024];
	char middle[700];

	sodium_bin2base64(middle, sizeof(middle), (const uint8_t *)claims, strlen(claims),
		sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	snprintf(text, sizeof(text), "eyJhbGciOiJSUzI1NiJ9.%s.c2ln", middle);
	return text;
}

static const char *granted(const char *name, const char *claims)
{
	static char text[2048];

	snprintf(text, sizeof(text), "{\"%s\":\"%s\",\"token_type\":\"bearer\",\"expires_in\":3600}", name,
		jwt(claims));
	return text;
}

static struct provider provider_of(const char *redirect, const char *second)
{
	return (struct provider){
		.client_id = "netbird-cli", .client_secret = "", .audience = AUDIENCE,
			.scope = "openid email",
		.device_auth_endpoint = w.url, .token_endpoint = w.url,
		.authorization_endpoint = "https://id.example/auth?x=1", .prompt = "prompt=login",
		.redirects = { (char *)redirect, (char *)second }, .redirect_count = second ? 2 : 1,
	};
}

static struct sign_in sign_in_of(const struct provider *provider, FILE *out)
{
	return (struct sign_in){ .provider = provider, .management.scheme = SERVER_HTTPS, .out = out,
		.clock = { now_ns, sleep_s, NULL }, .callback_ms = 20000 };
}

/* --- the device flow --- */

#define DEVICE "{\"device_code\":\"dev-1\",\"user_code\":\"ABCD-EFGH\"," \
	"\"verification_uri\":\"https://id.example/d\"," \
	"\"verification_uri_complete\":\"https://id.example/d?user_code=ABCD-EFGH\"," \
	"\"expires_in\":300,\"interval\":2}"
#define PENDING	{ 400, "{\"error\":\"authorization_pending\"}", NULL, 0 }
#define OURS	"{\"aud\":\"netbird-cli\"}"

/* Runs it; returns its result, and what was shown in @shown. */
static int run_device(bool use_id_token, char *shown, size_t size)
{
	struct provider provider = provider_of("", NULL);
	struct sign_in s;
	FILE *out = fmemopen(shown, size, "w");
	int ret;

	provider.use_id_token = use_id_token;
	s = sign_in_of(&provider, out);
	ret = device_sign_in(&s, &w.token, w.why, sizeof(w.why));
	fclose(out);
	return ret;
}

static void a_device_code_is_shown_and_polled_until_the_token_is_there(void **state)
{
	char shown[1024], want[1024];

	SCRIPT({ 200, DEVICE, NULL, 0 }, PENDING, { 400, "{\"error\":\"slow_down\"}", NULL, 0 }, PENDING,
		{ 200, "{\"error\":\"slow_down\"}", NULL, 0 },
		{ 200, granted("access_token", OURS), NULL, 0 });
	assert_int_equal(run_device(false, shown, sizeof(shown)), 0);
	assert_string_equal(w.token, jwt(OURS));
	assert_non_null(strstr(shown, "\n\n  https://id.example/d?user_code=ABCD-EFGH\n\n"));
	assert_non_null(strstr(shown, "ABCD-EFGH\n"));
	/* the first poll is one interval after the start; slow_down adds 5 s each time */
	assert_int_equal(w.sleeps, 5);
	assert_int_equal(w.slept[0], 2);
	assert_int_equal(w.slept[1], 2);
	assert_int_equal(w.slept[2], 7);
	assert_int_equal(w.slept[3], 7);
	assert_int_equal(w.slept[4], 12);
	assert_int_equal(w.asked, 6);
	assert_string_equal(w.requests[0],
		"POST /token HTTP/1.1 client_id=netbird-cli&audience=netbird-cli&scope=openid%20email");
	snprintf(want, sizeof(want), "POST /token HTTP/1.1 client_id=netbird-cli&grant_type="
		"urn%%3Aietf%%3Aparams%%3Aoauth%%3Agrant-type%%3Adevice_code&device_code=dev-1");
	for (int i = 1; i < 6; i++)
		assert_string_equal(w.requests[i], want);
}

static void a_code_that_is_not_in_the_page_is_shown_apart(void **state)
{
	char shown[1024];

	SCRIPT({ 200,
		"{\"device_code\":\"d\",\"user_code\":\"WXYZ\","
		"\"verification_uri\":\"https://id.example/d\",\"expires_in\":9}", NULL, 0 },
		{ 200, granted("id_token", "{\"aud\":[\"a\",\"netbird-cli\"]}"), NULL, 0 });
	assert_int_equal(run_device(true, shown, sizeof(shown)), 0);
	assert_non_null(strstr(shown, "https://id.example/d\n\nEnter this code there: WXYZ\n"));
	assert_int_equal(w.slept[0], 5);	/* no interval was named */
}

static void signing_in_ends_with_one_line(void **state)
{
	static const struct { unsigned int status; const char *body; int ret; const char *why; } cases[] = {
		{ 400, "{\"error\":\"access_denied\"}", -EACCES,
			"signing in was refused at the identity provider" },
		{ 400, "{\"error\":\"expired_token\"}", -EACCES,
			"the code has expired before anybody signed in" },
		{ 401, "{\"error\":\"invalid_client\",\"error_description\":\"who?\"}", -EACCES,
			"the identity provider says: invalid_client: who?" },
		{ 500, "{\"error\":\"authorization_pending\"}", -EBADMSG,
			"the identity provider answers with HTTP status 500" },
		{ 503, "busy", -EBADMSG, "the identity provider answers with HTTP status 503" },
		{ 200, "{}", -EBADMSG, "the identity provider's answer has no access_token" },
		{ 200, "{\"access_token\":\"a b\"}", -EBADMSG,
			"the identity provider's answer has no access_token" },
		{ 200, "{\"id_token\":\"a.b.c\"}", -EBADMSG,
			"the identity provider's answer has no access_token" },
		{ 200, "<html>", -EBADMSG, "the identity provider's answer is not JSON" },
		{ 404, "<html>", -EBADMSG, "the identity provider answers with HTTP status 404" },
		{ 200, "[1]", -EBADMSG, "the identity provider's answer is not JSON" },
		{ 200, "{\"access_token\":\"a.b.c\",\"access_token\":\"d.e.f\"}", -EBADMSG,
			"the identity provider's answer is not JSON" },
		{ 200, "{\"access_token\":\"opaque\"}", -EBADMSG,
			"the identity provider's token is not a JSON Web Token" },
		{ 302, "", -EBADMSG,
			"the identity provider answers with HTTP status 302, a redirect, which is not "
			"followed" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char shown[1024];

		SCRIPT({ 200, DEVICE, NULL, 0 }, { cases[i].status, cases[i].body,
			cases[i].status == 302 ? "Location: http://127.0.0.1:1/\r\n" : NULL, 0 });
		assert_int_equal(run_device(false, shown, sizeof(shown)), cases[i].ret);
		assert_string_equal(w.why, cases[i].why);
		assert_null(w.token);
		assert_int_equal(w.asked, 2);
		end_world(state);
		make_world(state);
	}
}

static void a_token_for_others_is_not_taken(void **state)
{
	static const char *const claims[] = { "{\"aud\":\"another\"}", "{\"aud\":[\"a\",\"b\"]}", "{}",
		"{\"aud\":5}", "{\"aud\":[5]}", "{\"aud\":\"NETBIRD-CLI\"}" };

	for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
		assert_int_equal(token_check_audience(jwt(claims[i]), AUDIENCE, w.why, sizeof(w.why)),
			-EBADMSG);
		assert_string_equal(w.why,
			"the identity provider's token is not for the audience netbird-cli");
	}
	assert_int_equal(token_check_audience(jwt(OURS), AUDIENCE, w.why, sizeof(w.why)), 0);
	for (int i = 0; i < 6; i++) {
		static const char *const texts[] = { "", "a.b", "a.b.", ".e30.c", "a.e30.c.d", "a.!!.c" };

		assert_int_equal(token_check_audience(texts[i], AUDIENCE, w.why, sizeof(w.why)), -EBADMSG);
		assert_string_equal(w.why, "the identity provider's token is not a JSON Web Token");
	}
}

static void nobody_signs_in_forever(void **state)
{
	char shown[1024];

	SCRIPT({ 200,
		"{\"device_code\":\"d\",\"user_code\":\"U\","
		"\"verification_uri\":\"https://id.example/d\",\"expires_in\":11,\"interval\":3}", NULL, 0 },
		PENDING, PENDING, PENDING, PENDING, PENDING);
	assert_int_equal(run_device(false, shown, sizeof(shown)), -ETIMEDOUT);
	assert_string_equal(w.why, "nobody signed in within 11 s");
	assert_int_equal(w.asked, 4);	/* after 3, 6 and 9 s */
}

static void a_connection_that_fails_is_tried_a_few_times(void **state)
{
	char shown[1024];

	SCRIPT({ 200, DEVICE, NULL, 0 }, { 0, "", NULL, 0 }, { 0, "", NULL, 0 }, { 0, "", NULL, 0 }, PENDING,
		{ 200, granted("access_token", OURS), NULL, 0 });
	assert_int_equal(run_device(false, shown, sizeof(shown)), 0);
	assert_int_equal(w.slept[0], 2);
	assert_int_equal(w.slept[3], 17);	/* and asked more slowly (RFC 8628 section 3.5) */
	end_world(state);
	make_world(state);
	SCRIPT({ 200, DEVICE, NULL, 0 }, { 0, "", NULL, 0 }, { 0, "", NULL, 0 }, { 0, "", NULL, 0 },
		{ 0, "", NULL, 0 });
	assert_int_equal(run_device(false, shown, sizeof(shown)), -EHOSTUNREACH);
	assert_int_equal(w.asked, 5);
}

static void a_start_that_cannot_be_is_refused(void **state)
{
#define START(code, user, url) "{\"device_code\":\"" code "\",\"user_code\":\"" user "\"," \
	"\"verification_uri\":\"" url "\"}"
	static const struct { unsigned int status; const char *body, *why; } cases[] = {
		{ 200, START("", "U", "https://i/"), "the identity provider's answer has no device_code" },
		{ 200, START("d", "", "https://i/"), "the identity provider's answer has no user_code" },
		{ 200, START("d", "\\u001b[2J", "https://i/"),
			"the identity provider's answer has no user_code" },
		{ 200, START("d", "U", ""),
			"the identity provider's answer has no verification_uri that is a URL" },
		{ 200, START("d", "U", "javascript:x"),
			"the identity provider's answer has no verification_uri that is a URL" },
		{ 200, START("d", "U", "https://i/\\n\\u001b"),
			"the identity provider's answer has no verification_uri that is a URL" },
		{ 200, "nothing", "the identity provider's answer is not JSON" },
		{ 400, "{\"error\":\"invalid_scope\"}", "the identity provider says: invalid_scope" },
		{ 201, START("d", "U", "https://i/"), "the identity provider answers with HTTP status 201" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char shown[1024] = "";

		SCRIPT({ cases[i].status, cases[i].body, NULL, 0 });
		assert_int_equal(run_device(false, shown, sizeof(shown)), -EBADMSG);
		assert_string_equal(w.why, cases[i].why);
		assert_string_equal(shown, "");
		end_world(state);
		make_world(state);
	}
}

static void numbers_of_seconds_make_sense(void **state)
{
	static const struct { const char *fields; unsigned int expires_s, interval_s; } cases[] = {
		{ "", 600, 5 }, { ",\"interval\":0", 600, 5 }, { ",\"interval\":-3,\"expires_in\":-1",
			600, 5 },
		{ ",\"interval\":\"7\",\"expires_in\":\"8\"", 600, 5 },
		{ ",\"interval\":7.5,\"expires_in\":30", 30, 7 },
		{ ",\"interval\":1e300,\"expires_in\":1e300", 86400, 600 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char body[300];
		struct web_answer answer = { .status = 200, .body = body };
		struct device_start start;

		answer.len = snprintf(body, sizeof(body), "{\"device_code\":\"d\",\"user_code\":\"U\","
			"\"verification_uri\":\"https://i/\"%s}", cases[i].fields);
		assert_int_equal(answer_read_device(&answer, &start, w.why, sizeof(w.why)), 0);
		assert_int_equal(start.expires_s, cases[i].expires_s);
		assert_int_equal(start.interval_s, cases[i].interval_s);
		device_start_done(&start);
	}
}

/* --- what goes where --- */

static void secrets_go_over_tls_or_stay_on_this_host(void **state)
{
	static const struct { const char *url, *management; bool is_good; } cases[] = {
		{ "https://id.example/token", "https://m.example", true },
		{ "https://id.example:8443/token", "http://m.example", true },
		{ "http://id.example/token", "https://m.example", false },
		{ "http://id.example/token", "http://m.example", false },
		/* the provider inside a management server that itself is spoken to in the clear */
		{ "http://m.example:5556/token", "http://m.example:8080", true },
		{ "http://m.example/token", "https://m.example", false },
		{ "http://localhost:53000/", "https://m.example", true },
		{ "http://127.8.9.1/", "https://m.example", true },
		{ "http://[::1]:80/", "https://m.example", true },
		{ "http://128.0.0.1/", "https://m.example", false },
		{ "http://localhost.evil.example/", "https://m.example", false },
		{ "http://localhost\\@evil.example/", "https://m.example", false },
		{ "https://user@id.example/", "https://m.example", false },
		{ "https://id.example/#x", "https://m.example", false },
		{ "https://id.example/a b", "https://m.example", false },
		{ "ftp://id.example/", "https://m.example", false },
		{ "file:///etc/passwd", "https://m.example", false },
		{ "id.example/token", "https://m.example", false },
		{ "", "https://m.example", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct server_url management;

		assert_int_equal(server_url_parse(cases[i].management, SERVER_SCHEMES_WEB, &management), 0);
		*w.why = 0;
		assert_int_equal(web_check_url("TokenEndpoint", cases[i].url, &management, w.why,
			sizeof(w.why)), cases[i].is_good ? 0 : -EPROTONOSUPPORT);
		if (!cases[i].is_good)
			assert_int_equal(strncmp(w.why, "TokenEndpoint ", 14), 0);
	}
}

static void neither_flow_sends_anything_in_the_clear(void **state)
{
	struct provider provider = provider_of("http://localhost:53000/", NULL);
	struct sign_in s = sign_in_of(&provider, stderr);

	provider.token_endpoint = "http://id.example/token";
	assert_int_equal(device_sign_in(&s, &w.token, w.why, sizeof(w.why)), -EPROTONOSUPPORT);
	assert_string_equal(w.why,
		"TokenEndpoint http://id.example/token: expected https://; a token is not sent without TLS");
	assert_int_equal(pkce_sign_in(&s, &w.token, w.why, sizeof(w.why)), -EPROTONOSUPPORT);
	provider = provider_of("http://localhost:53000/", NULL);
	provider.authorization_endpoint = "http://id.example/auth";
	assert_int_equal(pkce_sign_in(&s, &w.token, w.why, sizeof(w.why)), -EPROTONOSUPPORT);
	provider.device_auth_endpoint = "http://id.example/device";
	assert_int_equal(device_sign_in(&s, &w.token, w.why, sizeof(w.why)), -EPROTONOSUPPORT);
	assert_int_equal(w.asked, 0);
}

static void an_answer_is_bounded_and_redirects_are_not_followed(void **state)
{
	struct web_answer answer = {};
	struct form form = {};
	char other[64];
	uint16_t port;
	int fd = provider_listen(0, &port);
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	form_add(&form, "a", "b");
	snprintf(other, sizeof(other), "Location: http://127.0.0.1:%u/\r\n", port);
	SCRIPT({ 200, "{}", NULL, WEB_BODY_MAX - 2 }, { 200, "{}", NULL, WEB_BODY_MAX - 1 },
		{ 307, "{}", other, 0 });
	assert_int_equal(web_post(w.url, &form, NULL, &answer, w.why, sizeof(w.why)), 0);
	assert_int_equal(answer.len, WEB_BODY_MAX);
	web_answer_done(&answer);
	assert_int_equal(web_post(w.url, &form, NULL, &answer, w.why, sizeof(w.why)), -EMSGSIZE);
	assert_non_null(strstr(w.why, ": the answer is longer than 65536 bytes"));
	assert_int_equal(web_post(w.url, &form, NULL, &answer, w.why, sizeof(w.why)), 0);
	assert_int_equal(answer.status, 307);
	web_answer_done(&answer);
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	close(fd);
	snprintf(other, sizeof(other), "http://127.0.0.1:%u/", port);
	assert_int_equal(web_post(other, &form, NULL, &answer, w.why, sizeof(w.why)), -EHOSTUNREACH);
	assert_int_equal(strncmp(w.why, other, strlen(other)), 0);
	assert_null(answer.body);
	form_done(&form);
}

static void forms_are_read_as_they_are_written(void **state)
{
	char all[96], back[96];
	struct form form = {};

	for (int i = 0; i < 95; i++)
		all[i] = ' ' + i;
	all[95] = 0;
	form_add(&form, "n&", all);
	assert_int_equal(strncmp(form.text, "n%26=%20%21%22", 14), 0);
	assert_null(strchr(form.text + 5, '&'));
	assert_true(form_decode(slice_from(form.text + 5), back, sizeof(back)));
	assert_string_equal(back, all);
	assert_false(form_decode(slice_from(form.text + 5), back, 95));
	assert_string_equal(back, "");
	form_done(&form);
	assert_true(form_decode(slice_from("a+b%2b%2B"), back, sizeof(back)));
	assert_string_equal(back, "a b++");
	for (int i = 0; i < 7; i++) {
		static const char *const bad[] = { "%", "%4", "%4g", "%00", "%0a", "\xc3\xa4", "%ff" };

		assert_false(form_decode(slice_from(bad[i]), back, sizeof(back)));
	}
}

/* --- PKCE --- */

#define STATE "0123456789abcdef"

static void requests_are_judged_strictly(void **state)
{
#define GET(target) "GET " target " HTTP/1.1\r\nHost: localhost\r\n\r\n"
	static const struct { const char *head; enum callback_verdict verdict; const char *code; } cases[] = {
		{ GET("/?code=c0de&state=" STATE), CALLBACK_CODE, "c0de" },
		{ GET("/any/path?x=1&state=" STATE "&code=a%2Fb+c"), CALLBACK_CODE, "a/b c" },
		{ "GET /?code=c&state=" STATE " HTTP/1.0\r\n\r\n", CALLBACK_CODE, "c" },
		{ GET("/?error=access_denied&state=" STATE), CALLBACK_REFUSED, "access_denied" },
		{ GET("/?error=e&error_description=no+way&state=" STATE), CALLBACK_REFUSED, "e: no way" },
		{ GET("/?error=e&error_description=%00&state=" STATE), CALLBACK_REFUSED, "e" },
		{ GET("/?error=e&code=c&state=" STATE), CALLBACK_REFUSED, "e" },
		{ GET("/?code=c&state=0123456789abcdeF"), CALLBACK_STRANGE, "" },
		{ GET("/?code=c&state=0123456789abcde"), CALLBACK_STRANGE, "" },
		{ GET("/?code=c&state="), CALLBACK_STRANGE, "" },
		{ GET("/?code=c"), CALLBACK_STRANGE, "" },
		{ GET("/?error=access_denied"), CALLBACK_STRANGE, "" },	/* any page could send it */
		{ GET("/?state=" STATE), CALLBACK_MALFORMED, "" },
		{ GET("/?code=&state=" STATE), CALLBACK_MALFORMED, "" },
		{ GET("/?code=a&code=b&state=" STATE), CALLBACK_MALFORMED, "" },
		{ GET("/?code=a&state=x&state=" STATE), CALLBACK_MALFORMED, "" },
		{ GET("/?code=%0a&state=" STATE), CALLBACK_MALFORMED, "" },
		{ GET("/?code=%&state=" STATE), CALLBACK_MALFORMED, "" },
		{ GET("/"), CALLBACK_ELSEWHERE, "" },
		{ GET("/favicon.ico"), CALLBACK_ELSEWHERE, "" },
		{ GET("/?"), CALLBACK_ELSEWHERE, "" },
		{ "POST /?code=c&state=" STATE " HTTP/1.1\r\n\r\n", CALLBACK_MALFORMED, "" },
		{ "GET http://x/?code=c&state=" STATE " HTTP/1.1\r\n\r\n", CALLBACK_MALFORMED, "" },
		{ "GET /?code=c&state=" STATE " HTTP/2.0\r\n\r\n", CALLBACK_MALFORMED, "" },
		{ "GET /?code=c&state=" STATE "\r\n\r\n", CALLBACK_MALFORMED, "" },
		{ "GET  /?code=c&state=" STATE " HTTP/1.1\r\n\r\n", CALLBACK_MALFORMED, "" },
		{ "GET /?code=c&state=" STATE " HTTP/1.1\n\n", CALLBACK_MALFORMED, "" },
		{ "\r\n\r\n", CALLBACK_MALFORMED, "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char code[CALLBACK_CODE_LEN] = "";

		assert_int_equal(callback_judge(slice_from(cases[i].head), STATE, code), cases[i].verdict);
		assert_string_equal(code, cases[i].code);
	}
}

/* A browser: sends @text to @port of this host, and returns the status of the answer; 0: none. */
static unsigned int browse(bool six, uint16_t port, const char *text)
{
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_port = htons(port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in to4 = { .sin_family = AF_INET, .sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char answer[2048] = "";
	unsigned int status = 0;

	if (!connect(fd, six ? (struct sockaddr *)&to6 : (struct sockaddr *)&to4,
		six ? sizeof(to6) : sizeof(to4))) {
		send_all(fd, text, strlen(text));
		if (recv(fd, answer, sizeof(answer) - 1, MSG_WAITALL) > 0)
			sscanf(answer, "HTTP/1.1 %u", &status);
	}
	close(fd);
	/* nothing that somebody sent comes back, whatever it was */
	assert_null(strstr(answer, "c0de"));
	return status;
}

struct attempt {
	pthread_t thread;
	struct provider provider;
	struct sign_in s;
	int pipe[2];
	int ret;
	char page[2048];		/* the address that was shown */
};

static void *attempt_run(void *ctx)
{
	struct attempt *a = ctx;

	a->ret = pkce_sign_in(&a->s, &w.token, w.why, sizeof(w.why));
	return NULL;
}

static void attempt_start(struct attempt *a, const char *redirect, const char *second)
{
	char text[4096] = "", *at;
	size_t len = 0;
	ssize_t n;

	*a = (struct attempt){ .provider = provider_of(redirect, second) };
	assert_int_equal(pipe(a->pipe), 0);
	a->s = sign_in_of(&a->provider, fdopen(a->pipe[1], "w"));
	assert_int_equal(pthread_create(&a->thread, NULL, attempt_run, a), 0);
	while (!strstr(text, "\n\n  ") || !strstr(strstr(text, "\n\n  ") + 4, "\n\n")) {
		n = read(a->pipe[0], text + len, sizeof(text) - 1 - len);
		assert_true(n > 0);
		len += n;
		text[len] = 0;
	}
	at = strstr(text, "\n\n  ") + 4;
	snprintf(a->page, sizeof(a->page), "%.*s", (int)strcspn(at, "\n"), at);
}

static int attempt_end(struct attempt *a)
{
	pthread_join(a->thread, NULL);
	fclose(a->s.out);
	close(a->pipe[0]);
	return a->ret;
}

/* A parameter of the page's address, decoded. */
static const char *parameter(const struct attempt *a, const char *name)
{
	static char value[1024];
	struct slice rest = slice_from(strchr(a->page, '?') + 1), pair;

	while (slice_next(&rest, "&", &pair)) {
		struct slice after = pair, key = slice_cut(&after, "=");

		if (slice_is(key, name)) {
			assert_true(form_decode(after, value, sizeof(value)));
			return value;
		}
	}
	fail_msg("no %s in %s", name, a->page);
	return NULL;
}

static uint16_t free_port(void)
{
	uint16_t port;

	close(provider_listen(0, &port));
	return port;
}

static void come_back(const struct attempt *a, bool six, uint16_t port, unsigned int want)
{
	char request[1024];

	snprintf(request, sizeof(request), "GET /?code=c0de&state=%s HTTP/1.1\r\nHost: localhost\r\n\r\n",
		parameter(a, "state"));
	assert_int_equal(browse(six, port, request), want);
}

static void assert_challenge_fits(const struct attempt *a, const char *form)
{
	const char *verifier = strstr(form, "&code_verifier=") + 15;
	uint8_t hash[SHA256_DIGEST_LENGTH];
	char challenge[64];

	assert_int_equal(strlen(verifier), 128);
	SHA256((const uint8_t *)verifier, strlen(verifier), hash);
	sodium_bin2base64(challenge, sizeof(challenge), hash, sizeof(hash),
		sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	assert_string_equal(parameter(a, "code_challenge"), challenge);
	assert_null(strstr(a->page, verifier));
}

static void a_browser_brings_the_code_back(void **state)
{
	char redirect[64], want[200];
	uint16_t port = free_port();
	struct attempt a;

	SCRIPT({ 200, granted("access_token", OURS), NULL, 0 });
	snprintf(redirect, sizeof(redirect), "http://localhost:%u/", port);
	attempt_start(&a, redirect, NULL);
	assert_int_equal(strncmp(a.page,
		"https://id.example/auth?x=1&response_type=code&client_id=netbird-cli&", 68), 0);
	assert_string_equal(parameter(&a, "redirect_uri"), redirect);
	assert_string_equal(parameter(&a, "scope"), "openid email");
	assert_string_equal(parameter(&a, "audience"), AUDIENCE);
	assert_string_equal(parameter(&a, "code_challenge_method"), "S256");
	assert_string_equal(parameter(&a, "prompt"), "login");
	assert_int_equal(strlen(parameter(&a, "state")), 48);
	come_back(&a, false, port, 200);
	assert_int_equal(attempt_end(&a), 0);
	assert_string_equal(w.token, jwt(OURS));
	snprintf(want, sizeof(want),
		"POST /token HTTP/1.1 "
		"grant_type=authorization_code&code=c0de&redirect_uri="
		"http%%3A%%2F%%2Flocalhost%%3A%u%%2F&client_id=netbird-cli&code_verifier=", port);
	assert_int_equal(strncmp(w.requests[0], want, strlen(want)), 0);
	assert_challenge_fits(&a, w.requests[0]);
	assert_int_equal(browse(false, port, ""), 0);	/* nobody listens any more */
}

/* Icons, connections opened ahead, guesses, and a page that sends what it likes. */
static void only_our_own_callback_ends_the_wait(void **state)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	uint16_t port = free_port();
	char redirect[64], *large = malloc(CALLBACK_HEAD_MAX + 100);
	struct attempt a;
	int silent[20];

	SCRIPT({ 200, granted("access_token", OURS), NULL, 0 });
	snprintf(redirect, sizeof(redirect), "http://127.0.0.1:%u/", port);
	attempt_start(&a, redirect, NULL);
	to.sin_port = htons(port);
	for (int i = 0; i < 20; i++) {
		silent[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(silent[i], (struct sockaddr *)&to, sizeof(to)), 0);
	}
	assert_int_equal(browse(false, port, "GET /favicon.ico HTTP/1.1\r\n\r\n"), 404);
	assert_int_equal(browse(false, port, "GET /?code=c0de&state=guess HTTP/1.1\r\n\r\n"), 400);
	assert_int_equal(browse(false, port, "GET /?error=access_denied HTTP/1.1\r\n\r\n"), 400);
	assert_int_equal(browse(false, port, "\x16\x03\x01 no HTTP at all\r\n\r\n"), 400);
	memset(large, 'a', CALLBACK_HEAD_MAX + 99);
	large[CALLBACK_HEAD_MAX + 99] = 0;
	browse(false, port, large);	/* cut off, with an answer or without */
	come_back(&a, false, port, 200);
	assert_int_equal(attempt_end(&a), 0);
	for (int i = 0; i < 20; i++)
		close(silent[i]);
	free(large);
}

static void the_second_port_is_used_where_the_first_is_taken(void **state)
{
	char redirects[2][64];
	uint16_t taken, port = free_port();
	int fd = provider_listen(0, &taken);
	struct attempt a;

	SCRIPT({ 200, granted("access_token", OURS), NULL, 0 });
	snprintf(redirects[0], sizeof(redirects[0]), "http://localhost:%u/", taken);
	snprintf(redirects[1], sizeof(redirects[1]), "http://localhost:%u/", port);
	attempt_start(&a, redirects[0], redirects[1]);
	assert_string_equal(parameter(&a, "redirect_uri"), redirects[1]);
	come_back(&a, false, port, 200);
	assert_int_equal(attempt_end(&a), 0);
	a.provider = provider_of(redirects[0], "https://id.example/back");
	assert_int_equal(pkce_sign_in(&a.s, &w.token, w.why, sizeof(w.why)), -EADDRINUSE);
	assert_non_null(strstr(w.why, "has a port on this host that is free"));
	close(fd);
}

static void it_listens_on_loopback_addresses_alone(void **state)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	uint16_t port = free_port();
	struct callback callback;
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	int fd;

	assert_int_equal(callback_open(&callback, port), 0);
	getsockname(callback.fds[0], (struct sockaddr *)&addr, &len);
	assert_int_equal(((struct sockaddr_in *)&addr)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	if (callback.fds[1] < 0) {
		callback_close(&callback);
		skip();		/* no IPv6 here */
	}
	len = sizeof(addr);
	getsockname(callback.fds[1], (struct sockaddr *)&addr, &len);
	assert_true(IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&addr)->sin6_addr));
	callback_close(&callback);
	/* somebody else on ::1 would get what a browser sends to localhost */
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	six.sin6_port = htons(port);
	assert_int_equal(bind(fd, (struct sockaddr *)&six, sizeof(six)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(callback_open(&callback, port), -EADDRINUSE);
	close(fd);
}

static void a_browser_may_come_by_ipv6(void **state)
{
	char redirect[64];
	uint16_t port = free_port();
	struct callback callback;
	struct attempt a;
	bool has_six;

	assert_int_equal(callback_open(&callback, port), 0);
	has_six = callback.fds[1] >= 0;
	callback_close(&callback);
	if (!has_six)
		skip();
	SCRIPT({ 200, granted("access_token", OURS), NULL, 0 });
	snprintf(redirect, sizeof(redirect), "http://localhost:%u/", port);
	attempt_start(&a, redirect, NULL);
	come_back(&a, true, port, 200);
	assert_int_equal(attempt_end(&a), 0);
}

static void a_refusal_at_the_provider_is_told(void **state)
{
	char redirect[64], request[300];
	uint16_t port = free_port();
	struct attempt a;

	snprintf(redirect, sizeof(redirect), "http://localhost:%u/", port);
	attempt_start(&a, redirect, NULL);
	snprintf(request, sizeof(request),
		"GET /?error=access_denied&error_description=not+you&state=%s HTTP/1.1\r\n\r\n",
		parameter(&a, "state"));
	assert_int_equal(browse(false, port, request), 200);
	assert_int_equal(attempt_end(&a), -EACCES);
	assert_string_equal(w.why, "the identity provider says: access_denied: not you");
	assert_int_equal(w.asked, 0);
}

static void an_exchange_that_fails_is_told(void **state)
{
	static const struct { struct step step; int ret; const char *why; } cases[] = {
		{ { 400, "{\"error\":\"invalid_grant\"}", NULL, 0 }, -EACCES,
			"the identity provider says: invalid_grant" },
		{ { 400, "{\"error\":\"authorization_pending\"}", NULL, 0 }, -EBADMSG,
			"the identity provider's answer is one of another flow" },
		{ { 502, "", NULL, 0 }, -EBADMSG, "the identity provider answers with HTTP status 502" },
		{ { 200, "{\"access_token\":\"a.e30.c\"}", NULL, 0 }, -EBADMSG,
			"the identity provider's token is not for the audience netbird-cli" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char redirect[64];
		uint16_t port = free_port();
		struct attempt a;

		SCRIPT(cases[i].step);
		snprintf(redirect, sizeof(redirect), "http://localhost:%u/", port);
		attempt_start(&a, redirect, NULL);
		come_back(&a, false, port, 200);
		assert_int_equal(attempt_end(&a), cases[i].ret);
		assert_string_equal(w.why, cases[i].why);
		assert_null(w.token);
		end_world(state);
		make_world(state);
	}
}

static void a_browser_that_never_comes_is_not_waited_for_for_ever(void **state)
{
	struct callback callback;
	char code[CALLBACK_CODE_LEN];

	assert_int_equal(callback_open(&callback, free_port()), 0);
	assert_int_equal(callback_wait(&callback, STATE, 30, code), -ETIMEDOUT);
	callback_close(&callback);
}

static void a_client_secret_goes_to_the_token_endpoint_of_pkce_alone(void **state)
{
	char redirect[64], shown[1024];
	uint16_t port = free_port();
	struct provider provider = provider_of("", NULL);
	struct sign_in s;
	struct attempt a;
	FILE *out = fmemopen(shown, sizeof(shown), "w");

	SCRIPT({ 200, granted("access_token", OURS), NULL, 0 }, { 200, DEVICE, NULL, 0 },
		{ 400, "{\"error\":\"access_denied\"}", NULL, 0 });
	snprintf(redirect, sizeof(redirect), "http://localhost:%u/", port);
	attempt_start(&a, redirect, NULL);
	a.provider.client_secret = "s3cret";
	come_back(&a, false, port, 200);
	assert_int_equal(attempt_end(&a), 0);
	assert_non_null(strstr(w.requests[0], "&client_secret=s3cret&"));
	assert_null(strstr(a.page, "s3cret"));
	provider.client_secret = "s3cret";
	s = sign_in_of(&provider, out);
	login_token_free(w.token);
	w.token = NULL;
	assert_int_equal(device_sign_in(&s, &w.token, w.why, sizeof(w.why)), -EACCES);
	assert_null(strstr(w.requests[1], "s3cret"));
	assert_null(strstr(w.requests[2], "s3cret"));
	fclose(out);
}

/* --- TLS --- */

static struct pair authority;
static char ca_path[] = "/tmp/talon-login-ca.XXXXXX", guest_path[] = "/tmp/talon-login-guest.XXXXXX";

static void use_tls(const char *names, const struct pair *issuer)
{
	struct pair pair = make_certificate(issuer, "id", names, -3600, 3600);

	w.tls = SSL_CTX_new(TLS_server_method());
	assert_int_equal(SSL_CTX_use_certificate(w.tls, pair.cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(w.tls, pair.key), 1);
	free_pair(&pair);
	snprintf(w.url, sizeof(w.url), "https://127.0.0.1:%u/token", w.port);
}

static int make_certificates(void **state)
{
	struct pair guest;

	close(mkstemp(ca_path));
	close(mkstemp(guest_path));
	authority = make_certificate(NULL, "authority", NULL, -3600, 3600);
	guest = make_certificate(&authority, "talon", NULL, -3600, 3600);
	write_pem(ca_path, &authority, false);
	write_pem(guest_path, &guest, true);
	free_pair(&guest);
	setenv("SSL_CERT_FILE", ca_path, 1);
	return 0;
}

static int remove_certificates(void **state)
{
	unlink(ca_path);
	unlink(guest_path);
	free_pair(&authority);
	unsetenv("SSL_CERT_FILE");
	return 0;
}

static void a_provider_must_have_the_certificate_of_its_name(void **state)
{
	struct pair stranger = make_certificate(NULL, "stranger", NULL, -3600, 3600);
	const struct { const char *names; const struct pair *issuer; int ret; } cases[] = {
		{ "IP:127.0.0.1", &authority, 0 }, { "IP:127.0.0.2", &authority, -EHOSTUNREACH },
		{ "DNS:localhost", &authority, -EHOSTUNREACH }, { "IP:127.0.0.1", &stranger, -EHOSTUNREACH },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct web_answer answer = {};
		struct form form = {};

		use_tls(cases[i].names, cases[i].issuer);
		SCRIPT({ 200, "{}", NULL, 0 });
		form_add(&form, "secret", "s3cret");
		assert_int_equal(web_post(w.url, &form, NULL, &answer, w.why, sizeof(w.why)), cases[i].ret);
		assert_int_equal(w.asked, !cases[i].ret);
		form_done(&form);
		web_answer_done(&answer);
		end_world(state);
		make_world(state);
	}
	free_pair(&stranger);
}

static void a_certificate_of_ours_is_shown_when_the_code_is_exchanged_and_no_other_time(void **state)
{
	char redirect[64], shown[1024];
	uint16_t port = free_port();
	struct attempt a;

	use_tls("IP:127.0.0.1", &authority);
	SSL_CTX_set_verify(w.tls, SSL_VERIFY_PEER, NULL);
	assert_int_equal(SSL_CTX_load_verify_locations(w.tls, ca_path, NULL), 1);
	SCRIPT({ 200, granted("access_token", OURS), NULL, 0 }, { 200, DEVICE, NULL, 0 },
		{ 400, "{\"error\":\"access_denied\"}", NULL, 0 });
	snprintf(redirect, sizeof(redirect), "http://localhost:%u/", port);
	attempt_start(&a, redirect, NULL);
	a.s.certificate = (struct web_certificate){ guest_path, guest_path };
	come_back(&a, false, port, 200);
	assert_int_equal(attempt_end(&a), 0);
	assert_string_equal(w.guest, "talon");
	*w.guest = 0;
	assert_int_equal(run_device(false, shown, sizeof(shown)), -EACCES);
	assert_int_equal(w.asked, 3);
	assert_string_equal(w.guest, "");
}

static void a_certificate_of_ours_that_is_not_there_ends_it(void **state)
{
	const struct web_certificate own = { "/nonexistent/c.pem", "/nonexistent/k.pem" };
	struct web_answer answer = {};
	struct form form = {};

	use_tls("IP:127.0.0.1", &authority);
	form_add(&form, "secret", "s3cret");
	assert_int_equal(web_post(w.url, &form, &own, &answer, w.why, sizeof(w.why)), -EHOSTUNREACH);
	assert_non_null(strstr(w.why, "/nonexistent/c.pem"));
	assert_int_equal(w.asked, 0);
	form_done(&form);
}

/* --- management's word, and the environment's --- */

static Management__ProviderConfig config_of(void)
{
	Management__ProviderConfig config = MANAGEMENT__PROVIDER_CONFIG__INIT;
	static char *redirects[] = { "http://localhost:53000/", "http://localhost:54000/" };

	config.client_id = "cli";
	config.audience = "aud";
	config.device_auth_endpoint = "https://id.example/device";
	config.token_endpoint = "https://id.example/token";
	config.authorization_endpoint = "https://id.example/auth";
	config.scope = "openid profile";
	config.redirect_urls = redirects;
	config.n_redirect_urls = 2;
	return config;
}

static int parse_config(enum provider_flow flow, Management__ProviderConfig *config, struct provider *ret)
{
	Management__DeviceAuthorizationFlow device = MANAGEMENT__DEVICE_AUTHORIZATION_FLOW__INIT;
	Management__PKCEAuthorizationFlow pkce = MANAGEMENT__PKCEAUTHORIZATION_FLOW__INIT;
	uint8_t bytes[8192];
	size_t len;

	device.provider_config = pkce.provider_config = config;
	len = flow == PROVIDER_DEVICE ? protobuf_c_message_pack(&device.base, bytes)
		: protobuf_c_message_pack(&pkce.base, bytes);
	*w.why = 0;
	return provider_parse(flow, bytes, len, ret, w.why, sizeof(w.why));
}

static void a_provider_has_what_its_flow_needs(void **state)
{
	static const struct { size_t at; const char *name; bool device, pkce; } needed[] = {
#define NEEDED(member, name, device, pkce) \
	{ offsetof(Management__ProviderConfig, member), name, device, pkce }
		NEEDED(client_id, "ClientID", true, true),
			NEEDED(token_endpoint, "TokenEndpoint", true, true),
		NEEDED(scope, "Scope", true, true), NEEDED(audience, "Audience", true, false),
		NEEDED(device_auth_endpoint, "DeviceAuthEndpoint", true, false),
		NEEDED(authorization_endpoint, "AuthorizationEndpoint", false, true),
	};

	for (int flow = 0; flow < 2; flow++)
		for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
			Management__ProviderConfig config = config_of();
			bool is_needed = flow == PROVIDER_DEVICE ? needed[i].device : needed[i].pkce;
			struct provider provider = {};
			char want[100];

			*(char **)((char *)&config + needed[i].at) = "";
			assert_int_equal(parse_config(flow, &config, &provider), is_needed ? -EBADMSG : 0);
			snprintf(want, sizeof(want),
				"management names a provider for signing in without a %s", needed[i].name);
			assert_string_equal(w.why, is_needed ? want : "");
			if (!is_needed && !strcmp(needed[i].name, "Audience"))
				assert_string_equal(provider.audience, "cli");
			provider_done(&provider);
			*(char **)((char *)&config + needed[i].at) = "https://\x1b[2J/";
			assert_int_equal(parse_config(flow, &config, &provider), -EBADMSG);
			assert_non_null(strstr(w.why, "with a malformed"));
		}
}

static void a_provider_is_read_whole(void **state)
{
	Management__ProviderConfig config = config_of();
	struct provider provider;
	static const struct { bool disable; uint32_t flag; const char *prompt; } prompts[] = {
		{ false, 0, "prompt=login" }, { false, 1, "max_age=0" }, { false, 2, "" }, { false, 9, "" },
		{ true, 0, "" }, { true, 1, "" },
	};

	for (size_t i = 0; i < sizeof(prompts) / sizeof(prompts[0]); i++) {
		config.disable_prompt_login = prompts[i].disable;
		config.login_flag = prompts[i].flag;
		config.use_id_token = i & 1;
		assert_int_equal(parse_config(PROVIDER_PKCE, &config, &provider), 0);
		assert_string_equal(provider.prompt, prompts[i].prompt);
		assert_int_equal(provider.use_id_token, i & 1);
		assert_int_equal(provider.redirect_count, 2);
		assert_string_equal(provider.redirects[1], "http://localhost:54000/");
		provider_done(&provider);
	}
	config.n_redirect_urls = 0;
	assert_int_equal(parse_config(PROVIDER_PKCE, &config, &provider), -EBADMSG);
	assert_non_null(strstr(w.why, "RedirectURL"));
	assert_int_equal(parse_config(PROVIDER_DEVICE, &config, &provider), 0);
	provider_done(&provider);
	assert_int_equal(parse_config(PROVIDER_DEVICE, NULL, &provider), -EBADMSG);
	assert_int_equal(provider_parse(PROVIDER_PKCE, (const uint8_t *)"\x0a\xff", 2, &provider, w.why,
		sizeof(w.why)), -EBADMSG);
	assert_string_equal(w.why, "management's answer about signing in cannot be read");
}

static void a_graphical_session_is_told_by_its_environment(void **state)
{
	static const struct { const char *env; bool is; } cases[] = {
		{ "PATH=/bin", false }, { "DISPLAY=:0", true }, { "DISPLAY=", false },
		{ "WAYLAND_DISPLAY=w", true },
		{ "BROWSER=firefox", true }, { "DESKTOP_SESSION=x", true }, { "XDG_CURRENT_DESKTOP=x", true },
		{ "XDG_SESSION_TYPE=x11", true }, { "XDG_SESSION_TYPE=wayland", true },
		{ "XDG_SESSION_TYPE=mir", true },
		{ "XDG_SESSION_TYPE=tty", false }, { "DISPLAYS=:0", false }, { "display=:0", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *env[] = { "HOME=/", (char *)cases[i].env, NULL };

		assert_int_equal(login_is_graphical(env), cases[i].is);
	}
}

static void a_qr_code_needs_a_terminal(void **state)
{
	char text[20000];
	FILE *out = fmemopen(text, sizeof(text), "w");

	assert_int_equal(login_can_draw(out, w.why, sizeof(w.why)), -ENOTTY);
	assert_string_equal(w.why, "--qr: expected a terminal to draw on");
	if (!qr_draw(out, "https://id.example/d?user_code=ABCD-EFGH")) {
		fclose(out);
		/* version 3 has 29 modules; two around it on each side, two rows to a line */
		for (size_t at = 0, lines = 0; lines < 16; lines++) {
			size_t modules = 0;

			for (; text[at] != '\n'; at++)
				modules += ((unsigned char)text[at] & 0xc0) != 0x80;
			assert_int_equal(modules, 33);
			at++;
		}
		assert_int_equal(qr_draw(stderr, ""), -EINVAL);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_world, end_world)
	const struct CMUnitTest tests[] = {
		TEST(a_device_code_is_shown_and_polled_until_the_token_is_there),
		TEST(a_code_that_is_not_in_the_page_is_shown_apart),
		TEST(signing_in_ends_with_one_line),
		TEST(a_token_for_others_is_not_taken),
		TEST(nobody_signs_in_forever),
		TEST(a_connection_that_fails_is_tried_a_few_times),
		TEST(a_start_that_cannot_be_is_refused),
		TEST(numbers_of_seconds_make_sense),
		TEST(secrets_go_over_tls_or_stay_on_this_host),
		TEST(neither_flow_sends_anything_in_the_clear),
		TEST(an_answer_is_bounded_and_redirects_are_not_followed),
		TEST(forms_are_read_as_they_are_written),
		TEST(requests_are_judged_strictly),
		TEST(a_browser_brings_the_code_back),
		TEST(only_our_own_callback_ends_the_wait),
		TEST(the_second_port_is_used_where_the_first_is_taken),
		TEST(it_listens_on_loopback_addresses_alone),
		TEST(a_browser_may_come_by_ipv6),
		TEST(a_refusal_at_the_provider_is_told),
		TEST(an_exchange_that_fails_is_told),
		TEST(a_browser_that_never_comes_is_not_waited_for_for_ever),
		TEST(a_client_secret_goes_to_the_token_endpoint_of_pkce_alone),
		TEST(a_provider_must_have_the_certificate_of_its_name),
		TEST(a_certificate_of_ours_is_shown_when_the_code_is_exchanged_and_no_other_time),
		TEST(a_certificate_of_ours_that_is_not_there_ends_it),
		TEST(a_provider_has_what_its_flow_needs),
		TEST(a_provider_is_read_whole),
		TEST(a_graphical_session_is_told_by_its_environment),
		TEST(a_qr_code_needs_a_terminal),
	};

	signal(SIGPIPE, SIG_IGN);	/* of the provider, when a client hangs up */
	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
