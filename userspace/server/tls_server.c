// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// TLS as a server, between the server's shared buffers: one read of the socket feeds many records, and one
// write takes many. What OpenSSL itself keeps for a connection is freed whenever nothing is in it.
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/internal.h"

#define RECORD_ROOM	(SERVER_RECORD_MAX + 1024)	/* with what TLS adds */

/* ---- server->wire and server->sealed as a BIO ---- */

static int bio_read(BIO *bio, char *buf, int len)
{
	struct connection *c = BIO_get_data(bio);
	struct server *s = c->server;
	size_t part = s->wire_len < (size_t)len ? s->wire_len : (size_t)len;

	BIO_clear_retry_flags(bio);
	if (!part) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(buf, s->wire_at, part);
	s->wire_at += part;
	s->wire_len -= part;
	return part;
}

static int bio_write(BIO *bio, const char *buf, int len)
{
	struct connection *c = BIO_get_data(bio);
	struct server *s = c->server;

	BIO_clear_retry_flags(bio);
	if (s->sealed_room - s->sealed_len < (size_t)len)
		return -1;
	memcpy(s->sealed + s->sealed_len, buf, len);
	s->sealed_len += len;
	return len;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *get_method(void)
{
	static BIO_METHOD *method;

	if (method)
		return method;
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "talon server");
	if (!method)
		return NULL;
	BIO_meth_set_read(method, bio_read);
	BIO_meth_set_write(method, bio_write);
	BIO_meth_set_ctrl(method, bio_ctrl);
	return method;
}

/* ---- the certificate ---- */

/*
 * gRPC's clients ask for h2, WebSocket's for http/1.1; who asks for neither is refused (RFC 7301 section
 * 3.2).
 */
static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
	unsigned int in_len, void *ctx)
{
	static const unsigned char ours[] = "\x02h2\x08http/1.1";

	if (SSL_select_next_proto((unsigned char **)out, out_len, ours, sizeof(ours) - 1, in, in_len) ==
		OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_OK;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Nobody is there to be asked for a passphrase. */
static int no_passphrase(char *buf, int size, int is_writing, void *ctx)
{
	return -1;
}

static const char *last_error(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());

	return reason ? reason : "OpenSSL does not say why";
}

static int read_pair(SSL_CTX *ctx, const struct server *s, char why[static SERVER_WHY_LEN])
{
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ctx, s->certificate) != 1)
		snprintf(why, SERVER_WHY_LEN,
			"certificate %.120s: %.80s (expected PEM, the server's own first)", s->certificate,
			last_error());
	else if (SSL_CTX_use_PrivateKey_file(ctx, s->key, SSL_FILETYPE_PEM) != 1)
		snprintf(why, SERVER_WHY_LEN, "key %.120s: %.80s (expected PEM without a passphrase)", s->key,
			last_error());
	else if (SSL_CTX_check_private_key(ctx) != 1)
		snprintf(why, SERVER_WHY_LEN, "key %.120s: it is not that of the certificate", s->key);
	else
		return 0;
	ERR_clear_error();
	return -EINVAL;
}

/*
 * TLS 1.3's AES-128 is the cheapest where there is hardware for it; who has none asks for ChaCha20 first and
 * gets it.
 */
static void set_up(SSL_CTX *ctx)
{
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_ciphersuites(ctx,
		"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
		SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	SSL_CTX_set_alpn_select_cb(ctx, select_alpn, NULL);
}

int server_tls_load(struct server *s, char why[static SERVER_WHY_LEN])
{
	SSL_CTX *ctx = get_method() ? SSL_CTX_new(TLS_server_method()) : NULL;
	int ret;

	if (!ctx) {
		snprintf(why, SERVER_WHY_LEN, "out of memory");
		return -ENOMEM;
	}
	/* First, so that a change meanwhile is seen as one. */
	if (stat(s->certificate, &s->certificate_stat))
		s->certificate_stat = (struct stat){};
	if (stat(s->key, &s->key_stat))
		s->key_stat = (struct stat){};
	set_up(ctx);
	ret = read_pair(ctx, s, why);
	if (ret) {
		SSL_CTX_free(ctx);
		return ret;
	}
	SSL_CTX_free(s->tls);
	s->tls = ctx;
	return 0;
}

static bool is_changed(const char *path, const struct stat *known)
{
	struct stat now;

	if (stat(path, &now))
		return false;
	return now.st_mtim.tv_sec != known->st_mtim.tv_sec || now.st_mtim.tv_nsec != known->st_mtim.tv_nsec ||
		now.st_ino != known->st_ino || now.st_dev != known->st_dev || now.st_size != known->st_size;
}

bool server_tls_is_changed(const struct server *s)
{
	return is_changed(s->certificate, &s->certificate_stat) || is_changed(s->key, &s->key_stat);
}

/* ---- one connection ---- */

int server_tls_accept(struct connection *c)
{
	BIO *bio;

	c->ssl = SSL_new(c->server->tls);
	bio = c->ssl ? BIO_new(get_method()) : NULL;
	if (!bio) {
		SSL_free(c->ssl);
		c->ssl = NULL;
		return -ENOMEM;
	}
	BIO_set_data(bio, c);
	BIO_set_init(bio, 1);
	SSL_set_bio(c->ssl, bio, bio);
	SSL_set_accept_state(c->ssl);
	return 0;
}

int server_tls_handshake(struct connection *c)
{
	int ret;

	ERR_clear_error();
	ret = SSL_do_handshake(c->ssl);
	if (ret == 1)
		return 1;
	ret = SSL_get_error(c->ssl, ret) == SSL_ERROR_WANT_READ ? 0 : -EPROTO;
	ERR_clear_error();
	return ret;
}

ssize_t server_tls_open(struct connection *c, uint8_t *buf, size_t room)
{
	size_t len = 0, got;
	int error;

	ERR_clear_error();
	while (len < room && SSL_read_ex(c->ssl, buf + len, room - len, &got) == 1)
		len += got;
	if (len)
		return len;
	error = SSL_get_error(c->ssl, 0);
	ERR_clear_error();
	return error == SSL_ERROR_WANT_READ ? 0 : error == SSL_ERROR_ZERO_RETURN ? -EPIPE : -EPROTO;
}

int server_tls_seal(struct connection *c)
{
	struct server *s = c->server;
	size_t put;

	ERR_clear_error();
	while (c->out.waiting && s->sealed_room - s->sealed_len >= RECORD_ROOM) {
		struct chunk *chunk = c->out.first;

		if (SSL_write_ex(c->ssl, chunk->bytes + chunk->at,
			chunk->len < SERVER_RECORD_MAX ? chunk->len : SERVER_RECORD_MAX, &put) != 1) {
			ERR_clear_error();
			return -EPROTO;
		}
		out_consume(s, &c->out, put);
	}
	return 0;
}

void server_tls_goodbye(struct connection *c)
{
	if (!c->ssl)
		return;
	if (SSL_is_init_finished(c->ssl) && !connection_has_waiting(c)) {
		SSL_shutdown(c->ssl);
		connection_put_sealed(c);
	}
	SSL_free(c->ssl);
	ERR_clear_error();
	c->ssl = NULL;
}
