// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// TLS by OpenSSL over a socket that somebody else waits for. Nothing of OpenSSL is set up
// before the first handshake, and the roots are only in memory while one is under way.
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "stream/internal.h"
#include "stream/stream.h"

#define RECORD_MAX	16384
#define NAMES_TOLD	3	/* of a certificate for somebody else */
#define NAME_TOLD	100	/* bytes of the server's own, so that the reason has room */

struct tls {
	SSL *ssl;
	char name[STREAM_NAME_LEN];
	char alpn[16];
	char why[STREAM_WHY_LEN];
	bool is_up;
	/*
	 * Of the record that the socket did not take: OpenSSL wants the same bytes again, but our caller was
	 * told that they are gone.
	 */
	uint8_t *held;
	size_t held_len;
};

static SSL_CTX *context;
static BIO_METHOD *socket_method;

static void __attribute__((format(printf, 2, 3))) say(struct tls *tls, const char *format, ...)
{
	int len = snprintf(tls->why, sizeof(tls->why), "%.*s: ", NAME_TOLD, tls->name);
	va_list args;

	va_start(args, format);
	vsnprintf(tls->why + len, sizeof(tls->why) - len, format, args);
	va_end(args);
}

/* ---- the socket as a BIO: OpenSSL's own would raise SIGPIPE ---- */

static int bio_fd(BIO *bio)
{
	return (intptr_t)BIO_get_data(bio);
}

static int bio_result(BIO *bio, ssize_t n, int retry)
{
	BIO_clear_retry_flags(bio);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_flags(bio, retry | BIO_FLAGS_SHOULD_RETRY);
	return n;
}

static int bio_read(BIO *bio, char *buf, int len)
{
	return bio_result(bio, recv(bio_fd(bio), buf, len, 0), BIO_FLAGS_READ);
}

static int bio_write(BIO *bio, const char *buf, int len)
{
	return bio_result(bio, send(bio_fd(bio), buf, len, MSG_NOSIGNAL), BIO_FLAGS_WRITE);
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *new_socket_method(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "talon socket");

	if (!method)
		return NULL;
	BIO_meth_set_read(method, bio_read);
	BIO_meth_set_write(method, bio_write);
	BIO_meth_set_ctrl(method, bio_ctrl);
	return method;
}

static BIO *new_bio(int fd)
{
	BIO *bio = BIO_new(socket_method);

	if (!bio)
		return NULL;
	BIO_set_data(bio, (void *)(intptr_t)fd);
	BIO_set_init(bio, 1);
	return bio;
}

/* ---- who may be trusted ---- */

/*
 * The bundle takes 30 ms to read, the directory of hashed names nothing: the bundle is only read where the
 * directory did not help.
 */
static X509_STORE *new_store(bool with_bundle)
{
	X509_STORE *store = X509_STORE_new();
	X509_LOOKUP *lookup;

	if (!store)
		return NULL;
	lookup = X509_STORE_add_lookup(store, X509_LOOKUP_hash_dir());
	if (lookup)
		X509_LOOKUP_add_dir(lookup, NULL, X509_FILETYPE_DEFAULT);
	lookup = with_bundle ? X509_STORE_add_lookup(store, X509_LOOKUP_file()) : NULL;
	if (lookup)
		X509_LOOKUP_load_file(lookup, NULL, X509_FILETYPE_DEFAULT);
	ERR_clear_error();
	return store;
}

static bool is_unknown_issuer(int error)
{
	switch (error) {
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_UNTRUSTED:
		return true;
	default:
		return false;
	}
}

static void tell_date(const ASN1_TIME *time, char text[static 32])
{
	struct tm tm;

	if (!time || ASN1_TIME_to_tm(time, &tm) != 1 || !strftime(text, 32, "%Y-%m-%d %H:%M UTC", &tm))
		strcpy(text, "an unknown time");
}

/* Names of certificates are the other side's words: printable ones only. */
static void append_name(char *text, size_t size, const char *separator, const ASN1_STRING *name)
{
	size_t at = strlen(text);
	const unsigned char *bytes = ASN1_STRING_get0_data(name);

	at += snprintf(text + at, size - at, "%s", separator);
	for (int i = 0; i < ASN1_STRING_length(name) && at + 1 < size; i++)
		text[at++] = bytes[i] > ' ' && bytes[i] < 0x7f ? bytes[i] : '?';
	if (at < size)
		text[at] = 0;
}

static void tell_names(X509 *cert, char *text, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	int told = 0;

	*text = 0;
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && told < NAMES_TOLD; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_DNS)
			append_name(text, size, told++ ? ", " : "", name->d.dNSName);
	}
	if (!told)
		snprintf(text, size, "no host name");
	GENERAL_NAMES_free(names);
}

static void explain_certificate(struct tls *tls, X509_STORE_CTX *verify, int error)
{
	X509 *cert = X509_STORE_CTX_get_current_cert(verify);
	char text[160];

	if (error == X509_V_ERR_CERT_HAS_EXPIRED && cert) {
		tell_date(X509_get0_notAfter(cert), text);
		say(tls, "its certificate expired on %s", text);
	} else if (error == X509_V_ERR_CERT_NOT_YET_VALID && cert) {
		tell_date(X509_get0_notBefore(cert), text);
		say(tls, "its certificate is not valid before %s (is this host's clock right?)", text);
	} else if ((error == X509_V_ERR_HOSTNAME_MISMATCH ||
		error == X509_V_ERR_IP_ADDRESS_MISMATCH) && cert) {
		tell_names(cert, text, sizeof(text));
		say(tls, "its certificate is for other names (%s)", text);
	} else if (is_unknown_issuer(error)) {
		say(tls, "its certificate is signed by an authority that this host does not know: %s "
			"(SSL_CERT_FILE may name the CA)", X509_verify_cert_error_string(error));
	} else {
		say(tls, "its certificate is not accepted: %s", X509_verify_cert_error_string(error));
	}
}

/* The same again with the bundle. Returns 1 or 0 as X509_verify_cert(); explains a failure. */
static int verify_with_bundle(struct tls *tls, X509_STORE_CTX *verify)
{
	X509_STORE *store = new_store(true);
	X509_STORE_CTX *again = X509_STORE_CTX_new();
	int ret = 0, error = X509_V_ERR_OUT_OF_MEM;

	if (!store || !again ||
		!X509_STORE_CTX_init(again, store, X509_STORE_CTX_get0_cert(verify),
		X509_STORE_CTX_get0_untrusted(verify)) || !X509_STORE_CTX_set_default(again, "ssl_server") ||
		!X509_VERIFY_PARAM_set1(X509_STORE_CTX_get0_param(again), SSL_get0_param(tls->ssl)))
		goto out;
	ret = X509_verify_cert(again) == 1;
	error = X509_STORE_CTX_get_error(again);
	if (!ret)
		explain_certificate(tls, again, error);
out:
	X509_STORE_CTX_set_error(verify, ret ? X509_V_OK : error);
	X509_STORE_CTX_free(again);
	X509_STORE_free(store);
	return ret;
}

static int verify_certificate(X509_STORE_CTX *verify, void *unused)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(verify, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *tls = SSL_get_app_data(ssl);
	int ret = X509_verify_cert(verify), error = X509_STORE_CTX_get_error(verify);

	if (ret == 1)
		return 1;
	if (is_unknown_issuer(error) && !getenv("SSL_CERT_FILE"))
		return verify_with_bundle(tls, verify);
	explain_certificate(tls, verify, error);
	return 0;
}

/* ---- a connection ---- */

static int get_context(void)
{
	if (context)
		return 0;
	if (!socket_method)
		socket_method = new_socket_method();
	context = SSL_CTX_new(TLS_client_method());
	if (!context || !socket_method)
		return -ENOMEM;
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(context,
		SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(context, verify_certificate, NULL);
	return 0;
}

void tls_global_done(void)
{
	SSL_CTX_free(context);
	BIO_meth_free(socket_method);
	context = NULL;
	socket_method = NULL;
}

static bool is_address(const char *host)
{
	uint8_t bytes[16];

	return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* The name that the certificate must have, and that is asked for (SNI is for names only). */
static bool set_host(SSL *ssl, const char *host)
{
	char name[STREAM_HOST_LEN];
	size_t len = strlen(host);

	if (is_address(host))
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
	snprintf(name, sizeof(name), "%s", host);
	if (len > 1 && len < sizeof(name) && name[len - 1] == '.')
		name[len - 1] = 0;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, name) && SSL_set_tlsext_host_name(ssl, name);
}

static bool set_alpn(SSL *ssl, const char *alpn)
{
	uint8_t wire[17];
	size_t len = strlen(alpn);

	wire[0] = len;
	memcpy(wire + 1, alpn, len);
	/* 0 is success, in this one function */
	return !len || !SSL_set_alpn_protos(ssl, wire, len + 1);
}

static bool set_up(struct tls *tls, int fd, const char *host)
{
	X509_STORE *store = new_store(getenv("SSL_CERT_FILE"));
	BIO *bio;

	if (!store)
		return false;
	SSL_set0_verify_cert_store(tls->ssl, store);
	bio = new_bio(fd);
	if (!bio)
		return false;
	SSL_set_bio(tls->ssl, bio, bio);
	SSL_set_app_data(tls->ssl, tls);
	SSL_set_connect_state(tls->ssl);
	return set_host(tls->ssl, host) && set_alpn(tls->ssl, tls->alpn);
}

int tls_new(int fd, const char *host, const char *name, const char *alpn, struct tls **ret_tls)
{
	struct tls *tls;
	int ret = get_context();

	if (ret)
		return ret;
	tls = calloc(1, sizeof(*tls));
	if (!tls)
		return -ENOMEM;
	snprintf(tls->name, sizeof(tls->name), "%s", name);
	snprintf(tls->alpn, sizeof(tls->alpn), "%s", alpn ? alpn : "");
	tls->ssl = SSL_new(context);
	if (!tls->ssl || !set_up(tls, fd, host)) {
		tls_free(tls);
		return -ENOMEM;
	}
	*ret_tls = tls;
	return 0;
}

void tls_free(struct tls *tls)
{
	if (!tls)
		return;
	if (tls->is_up && !tls->held)
		SSL_shutdown(tls->ssl);
	SSL_free(tls->ssl);
	ERR_clear_error();
	free(tls->held);
	free(tls);
}

static void explain_handshake(struct tls *tls, int saved_errno)
{
	unsigned long error = ERR_peek_error();
	const char *reason = ERR_reason_error_string(error);

	switch (ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0) {
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_HTTP_REQUEST:
	case SSL_R_HTTPS_PROXY_REQUEST:
		say(tls, "no TLS there (is it a plain HTTP port?)");
		return;
	case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
		say(tls, "the server refuses %s in the TLS handshake (ALPN)", tls->alpn);
		return;
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
		say(tls, "the server does not speak TLS 1.2 or newer");
		return;
	}
	if (!error)
		reason = saved_errno ? strerror(saved_errno) : "the server closed the connection";
	say(tls, "TLS handshake: %s", reason ? reason : "failed");
}

/* h2 has to be what both agreed on: a server that ignores ALPN would take our bytes for HTTP/1.1. */
static int check_alpn(struct tls *tls)
{
	const uint8_t *got;
	unsigned int len;

	if (strcmp(tls->alpn, "h2"))
		return 0;
	SSL_get0_alpn_selected(tls->ssl, &got, &len);
	if (len == 2 && !memcmp(got, "h2", 2))
		return 0;
	say(tls, "the server did not select h2 in the TLS handshake (ALPN); HTTP/2 is needed, also of a "
		"proxy in front");
	return -EPROTO;
}

int tls_handshake(struct tls *tls, uint32_t *ret_events)
{
	int ret, error;

	ERR_clear_error();
	errno = 0;
	ret = SSL_do_handshake(tls->ssl);
	error = ret == 1 ? SSL_ERROR_NONE : SSL_get_error(tls->ssl, ret);
	switch (error) {
	case SSL_ERROR_NONE:
		SSL_set0_verify_cert_store(tls->ssl, NULL);
		tls->is_up = true;
		return check_alpn(tls);
	case SSL_ERROR_WANT_READ:
		*ret_events = EPOLLIN;
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		*ret_events = EPOLLOUT;
		return -EAGAIN;
	}
	if (!*tls->why)
		explain_handshake(tls, errno);
	ERR_clear_error();
	return -EPROTO;
}

const char *tls_why(const struct tls *tls)
{
	return tls->why;
}

static int failure(struct tls *tls, int error, int saved_errno)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());

	tls->is_up = false;
	if (error == SSL_ERROR_SYSCALL && saved_errno)
		return -saved_errno;
	say(tls, "TLS: %s", reason ? reason : "the connection broke");
	ERR_clear_error();
	return -EPROTO;
}

ssize_t tls_read(struct tls *tls, void *buf, size_t len, bool *ret_wants_room)
{
	size_t got;
	int ret, error;

	ERR_clear_error();
	errno = 0;
	ret = SSL_read_ex(tls->ssl, buf, len, &got);
	if (ret == 1)
		return got;
	error = SSL_get_error(tls->ssl, ret);
	switch (error) {
	case SSL_ERROR_WANT_WRITE:
		*ret_wants_room = true;
		return -EAGAIN;
	case SSL_ERROR_WANT_READ:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		return failure(tls, error, errno);
	}
}

/* Bytes or a negative errno; at most one record. */
static ssize_t write_record(struct tls *tls, const void *buf, size_t len)
{
	size_t put;
	int ret, error;

	ERR_clear_error();
	errno = 0;
	ret = SSL_write_ex(tls->ssl, buf, len, &put);
	if (ret == 1)
		return put;
	error = SSL_get_error(tls->ssl, ret);
	return error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ ? -EAGAIN : failure(tls,
		error, errno);
}

int tls_flush(struct tls *tls)
{
	ssize_t put;

	if (!tls->held)
		return 0;
	put = write_record(tls, tls->held, tls->held_len);
	if (put < 0)
		return put;
	free(tls->held);
	tls->held = NULL;
	return 0;
}

static ssize_t hold(struct tls *tls, const void *buf, size_t len)
{
	tls->held = malloc(len);
	if (!tls->held)
		return -ENOMEM;
	memcpy(tls->held, buf, len);
	tls->held_len = len;
	return len;
}

ssize_t tls_write(struct tls *tls, const void *buf, size_t len)
{
	int ret = tls_flush(tls);
	size_t done = 0;

	if (ret)
		return ret;
	while (done < len && !tls->held) {
		size_t part = len - done < RECORD_MAX ? len - done : RECORD_MAX;
		ssize_t put = write_record(tls, (const uint8_t *)buf + done, part);

		if (put == -EAGAIN)
			put = hold(tls, (const uint8_t *)buf + done, part);
		if (put < 0)
			return put;
		done += put;
	}
	return done;
}

bool tls_is_holding(const struct tls *tls)
{
	return tls->held;
}

bool tls_has_pending(const struct tls *tls)
{
	return SSL_has_pending(tls->ssl);
}
