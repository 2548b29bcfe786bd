// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// ChaCha20 of OpenSSL and of libsodium behind one function. OpenSSL is loaded at run time, so that no other
// process pays for it.
#include "keystream/engine.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"

#define TRIAL_SLOTS	64	/* filled in each round of a measurement */
#define TRIAL_ROUNDS	5	/* of which the fastest counts */

/* OpenSSL's functions, with the names and types of its manual. */
struct openssl {
	void *library;
	void *ctx;
	void *(*EVP_CIPHER_CTX_new)(void);
	void (*EVP_CIPHER_CTX_free)(void *ctx);
	const void *(*EVP_chacha20)(void);
	int (*EVP_EncryptInit_ex)(void *ctx, const void *type, void *impl, const unsigned char *key,
		const unsigned char *iv);
	int (*EVP_EncryptUpdate)(void *ctx, unsigned char *out, int *outl, const unsigned char *in, int inl);
};

struct engine {
	enum engine_kind kind;
	struct openssl openssl;
	uint8_t key[32];
	uint8_t stream[ENGINE_STREAM_MAX];
};

static const uint8_t zeros[ENGINE_STREAM_MAX];

static bool openssl_find(struct openssl *o)
{
	static const char *const names[] = { "libcrypto.so.3", "libcrypto.so.1.1" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !o->library; i++)
		o->library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	if (!o->library)
		return false;
#define FIND(name) (*(void **)&o->name = dlsym(o->library, #name))
	return FIND(EVP_CIPHER_CTX_new) && FIND(EVP_CIPHER_CTX_free) && FIND(EVP_chacha20) &&
		FIND(EVP_EncryptInit_ex) && FIND(EVP_EncryptUpdate);
#undef FIND
}

static int openssl_open(struct openssl *o)
{
	if (!openssl_find(o))
		return -ENOENT;
	o->ctx = o->EVP_CIPHER_CTX_new();
	if (!o->ctx)
		return -ENOMEM;
	return o->EVP_EncryptInit_ex(o->ctx, o->EVP_chacha20(), NULL, NULL, NULL) == 1 ? 0 : -ENOENT;
}

static void openssl_close(struct openssl *o)
{
	if (o->ctx)
		o->EVP_CIPHER_CTX_free(o->ctx);	/* wipes its key */
	if (o->library)
		dlclose(o->library);
}

int engine_new_of(struct engine **ret_engine, enum engine_kind kind)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	int ret = 0;

	if (!engine)
		return -ENOMEM;
	engine->kind = kind;
	if (kind == ENGINE_OPENSSL)
		ret = openssl_open(&engine->openssl);
	if (ret) {
		engine_free(engine);
		return ret;
	}
	engine_set_key(engine, (const uint32_t *)zeros);
	*ret_engine = engine;
	return 0;
}

void engine_free(struct engine *engine)
{
	if (!engine)
		return;
	openssl_close(&engine->openssl);
	sodium_memzero(engine, sizeof(*engine));
	free(engine);
}

const char *engine_name(const struct engine *engine)
{
	static const char *const names[ENGINE_KIND_COUNT] = { [ENGINE_OPENSSL] = "openssl",
		[ENGINE_LIBSODIUM] = "libsodium" };

	return names[engine->kind];
}

void engine_set_key(struct engine *engine, const uint32_t key[static 8])
{
	memcpy(engine->key, key, sizeof(engine->key));
	if (engine->kind == ENGINE_OPENSSL)
		engine->openssl.EVP_EncryptInit_ex(engine->openssl.ctx, NULL, NULL, engine->key, NULL);
}

/* @len bytes of keystream from block 0 on: encrypts zeros. */
static void generate(struct engine *engine, uint64_t counter, uint32_t len)
{
	/* OpenSSL: block counter (32 bits, 0), nonce. libsodium: the nonce alone. */
	uint8_t iv[16] = { 0 };
	int out;

	memcpy(iv + 8, &counter, sizeof(counter));
	if (engine->kind == ENGINE_OPENSSL) {
		engine->openssl.EVP_EncryptInit_ex(engine->openssl.ctx, NULL, NULL, NULL, iv);
		engine->openssl.EVP_EncryptUpdate(engine->openssl.ctx, engine->stream, &out, zeros, len);
	} else {
		crypto_stream_chacha20_ietf(engine->stream, len, iv + 4, engine->key);
	}
}

void engine_fill(struct engine *engine, struct talon_keystream_slot *slot, uint32_t index,
	enum talon_keystream_dir dir, uint64_t counter, uint32_t len)
{
	generate(engine, counter, 64 + len);
	slot->counter = counter;
	slot->index = index;
	slot->dir = dir;
	slot->len = len;
	memcpy(slot->poly_key, engine->stream, sizeof(slot->poly_key));
	memcpy(slot->stream, engine->stream + 64, len);
}

static uint64_t measure(struct engine *engine)
{
	uint64_t best = UINT64_MAX, took;

	for (int i = 0; i < TRIAL_ROUNDS; i++) {
		took = clock_mono_ns();
		for (uint64_t counter = 0; counter < TRIAL_SLOTS; counter++)
			generate(engine, counter, ENGINE_STREAM_MAX);
		took = clock_mono_ns() - took;
		if (took < best)
			best = took;
	}
	return best;
}

int engine_new(struct engine **ret_engine)
{
	struct engine *engines[ENGINE_KIND_COUNT] = { NULL };
	uint64_t took, best = UINT64_MAX;
	int chosen = -1, ret = -ENOENT;

	for (int i = 0; i < ENGINE_KIND_COUNT; i++) {
		int error = engine_new_of(&engines[i], i);

		if (error) {
			ret = error;
			continue;
		}
		took = measure(engines[i]);
		if (took < best) {
			best = took;
			chosen = i;
		}
	}
	for (int i = 0; i < ENGINE_KIND_COUNT; i++) {
		if (i != chosen)
			engine_free(engines[i]);
	}
	if (chosen < 0)
		return ret;
	*ret_engine = engines[chosen];
	return 0;
}
