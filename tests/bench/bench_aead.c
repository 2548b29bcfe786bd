// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Microseconds per packet to open and to seal in BPF, compared with libsodium and OpenSSL on the same bytes.
#include <openssl/evp.h>
#include <sodium.h>
#include <bpf/libbpf.h>

#include "aead_bench.skel.h"
#include "bench/aead_bench.h"
#include "bench/bench.h"
#include "keystream/window.h"

#define OFF		58
#define SHIFT		32
#define TAG_LEN		16
#define REPEAT		5000
#define USER_REPEAT	5000

struct text {
	uint8_t key[32];
	uint8_t nonce[12];
	uint8_t plain[2048];
	uint8_t sealed[2048];
	uint32_t len;
};

static void die(const char *what)
{
	fprintf(stderr, "%s failed\n", what);
	exit(1);
}

static void sodium_once(struct text *t, bool seal)
{
	uint8_t out[2048];
	int ret;

	if (seal)
		ret = crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, t->plain, t->len, NULL, 0, NULL,
			t->nonce, t->key);
	else
		ret = crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, t->sealed, t->len + TAG_LEN,
			NULL, 0, t->nonce, t->key);
	if (ret)
		die("libsodium");
}

/*
 * One context for all packets, keyed once; only the nonce changes, as a WireGuard
 * implementation would use it.
 */
static EVP_CIPHER_CTX *openssl_context(struct text *t, bool seal)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	if (!ctx || EVP_CipherInit_ex(ctx, EVP_chacha20_poly1305(), NULL, t->key, t->nonce, seal) != 1)
		die("OpenSSL");
	return ctx;
}

static void openssl_once(EVP_CIPHER_CTX *ctx, struct text *t, bool seal)
{
	uint8_t out[2048], tag[TAG_LEN];
	int n, ok;

	ok = EVP_CipherInit_ex(ctx, NULL, NULL, NULL, t->nonce, seal) == 1;
	if (!seal)
		ok = ok && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, t->sealed + t->len) == 1;
	ok = ok && EVP_CipherUpdate(ctx, out, &n, seal ? t->plain : t->sealed, t->len) == 1;
	ok = ok && EVP_CipherFinal_ex(ctx, out + n, &n) == 1;
	if (seal)
		ok = ok && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, tag) == 1;
	if (!ok)
		die("OpenSSL");
}

static double sodium_us(struct text *t, bool seal)
{
	uint64_t start = cpu_ns();

	for (int i = 0; i < USER_REPEAT; i++)
		sodium_once(t, seal);
	return (cpu_ns() - start) / 1e3 / USER_REPEAT;
}

static double openssl_us(struct text *t, bool seal)
{
	EVP_CIPHER_CTX *ctx = openssl_context(t, seal);
	uint64_t start = cpu_ns();

	for (int i = 0; i < USER_REPEAT; i++)
		openssl_once(ctx, t, seal);
	EVP_CIPHER_CTX_free(ctx);
	return (cpu_ns() - start) / 1e3 / USER_REPEAT;
}

static void prepare(struct aead_bench_job *job, struct text *t, bool seal)
{
	memset(job, 0, sizeof(*job));
	memcpy(job->key, t->key, sizeof(job->key));
	memcpy(&job->counter, t->nonce + 4, sizeof(job->counter));
	job->off = OFF;
	job->len = t->len;
	if (seal) {
		memcpy(job->packet + OFF + SHIFT, t->plain, t->len);
		job->size = OFF + SHIFT + t->len;
	} else {
		memcpy(job->packet + OFF, t->sealed, t->len + TAG_LEN);
		job->size = OFF + t->len + TAG_LEN;
	}
}

/* Every slot holds the keystream of the job's packet, so that any of them opens it. */
static void fill_slots(struct aead_bench *skel, const struct aead_bench_job *job)
{
	struct talon_keystream_slot slot = { 0 };
	struct engine *engine;

	if (engine_new(&engine))
		die("a ChaCha20 engine");
	engine_set_key(engine, job->key);
	engine_fill(engine, &slot, 1, TALON_KEYSTREAM_RECV, job->counter, TALON_SLOT_STREAM_LEN);
	for (uint32_t i = 0; i < AEAD_BENCH_SLOTS; i++) {
		if (bpf_map_update_elem(bpf_map__fd(skel->maps.slots), &i, &slot, BPF_ANY))
			die("map update");
	}
	engine_free(engine);
}

/*
 * The helper's work for one packet, on a private window: slots are recycled and refilled, round after round.
 */
static void measure_generate(struct bench *b, struct aead_bench *skel, uint32_t len)
{
	const struct window_ring ring = { 1, TALON_KEYSTREAM_RECV, (len + 63) & ~63U };
	struct engine *engines[1 + ENGINE_KIND_COUNT] = { NULL };
	double us[1 + ENGINE_KIND_COUNT];
	struct window_counts counts = { 0 };
	const uint32_t key[8] = { 1, 2, 3 };
	const int slots = bpf_map__fd(skel->maps.slots);
	struct window window;
	uint64_t counter = 0;
	char name[64];

	if (window_map(&window, &slots, 10, 0, 10) || engine_new(&engines[0]) ||
	    engine_new_of(&engines[1 + ENGINE_OPENSSL], ENGINE_OPENSSL) ||
	    engine_new_of(&engines[1 + ENGINE_LIBSODIUM], ENGINE_LIBSODIUM))
		die("a ChaCha20 engine");
	for (int e = 0; e < 1 + ENGINE_KIND_COUNT; e++) {
		double runs[BENCH_RUNS];

		engine_set_key(engines[e], key);
		for (int i = 0; i < BENCH_RUNS; i++) {
			uint64_t start = cpu_ns();

			for (int n = 0; n < USER_REPEAT; n++)
				window_fill(&window, engines[e], &ring, counter++, &counts);
			runs[i] = (cpu_ns() - start) / 1e3 / USER_REPEAT;
		}
		us[e] = bench_median(runs, BENCH_RUNS);
	}
	snprintf(name, sizeof(name), "keystream.generate.%u", len);
	bench_report(b, name, us[0], "us", "libsodium", us[1 + ENGINE_LIBSODIUM],
		us[1 + ENGINE_LIBSODIUM] / us[0]);
	snprintf(name, sizeof(name), "keystream.generate.%u.openssl", len);
	bench_report(b, name, us[0], "us", "openssl", us[1 + ENGINE_OPENSSL], us[1 + ENGINE_OPENSSL] / us[0]);
	for (int e = 0; e < 1 + ENGINE_KIND_COUNT; e++)
		engine_free(engines[e]);
	window_drain(&window, &counts);
	window_unmap(&window);
}

static void measure(struct bench *b, struct aead_bench *skel, uint32_t len, bool seal, bool ahead)
{
	int prog_fd = bpf_program__fd(ahead ? seal ? skel->progs.seal_ahead : skel->progs.open_ahead :
				      seal ? skel->progs.seal : skel->progs.open);
	int restore_fd = bpf_program__fd(skel->progs.restore);
	double ours[BENCH_RUNS], sodium[BENCH_RUNS], openssl[BENCH_RUNS], us, us_sodium, us_openssl;
	struct aead_bench_job job;
	uint32_t zero = 0;
	struct text t;
	char name[64];

	randombytes_buf(&t, sizeof(t));
	memset(t.nonce, 0, 4);
	t.len = len;
	crypto_aead_chacha20poly1305_ietf_encrypt(t.sealed, NULL, t.plain, len, NULL, 0, NULL,
		t.nonce, t.key);
	prepare(&job, &t, seal);
	if (bpf_map_update_elem(bpf_map__fd(skel->maps.jobs), &zero, &job, BPF_ANY))
		die("map update");

	if (ahead)
		fill_slots(skel, &job);
	for (int i = 0; i < BENCH_RUNS; i++) {
		ours[i] = (bench_prog_ns(prog_fd, job.packet, job.size, REPEAT, 0) -
			bench_prog_ns(restore_fd, job.packet, job.size, REPEAT, 0)) / 1e3;
		sodium[i] = sodium_us(&t, seal);
		openssl[i] = openssl_us(&t, seal);
	}
	us = bench_median(ours, BENCH_RUNS);
	us_sodium = bench_median(sodium, BENCH_RUNS);
	us_openssl = bench_median(openssl, BENCH_RUNS);
	snprintf(name, sizeof(name), "aead.%s.%s.%u", seal ? "seal" : "open",
		ahead ? "ahead" : "inline", len);
	bench_report(b, name, us, "us", "libsodium", us_sodium, us_sodium / us);
	strcat(name, ".openssl");
	bench_report(b, name, us, "us", "openssl", us_openssl, us_openssl / us);
}

int main(int argc, char **argv)
{
	static const uint32_t lens[] = { 64, 512, 1280, 1408 };
	struct aead_bench *skel;
	struct bench b;

	bench_begin(&b, argc, argv);
	if (sodium_init() < 0)
		die("libsodium");
	skel = aead_bench__open_and_load();
	if (!skel)
		die("loading the BPF programs");
	for (int ahead = 0; ahead < 2; ahead++)
		for (int seal = 0; seal < 2; seal++)
			for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
				measure(&b, skel, lens[i], seal, ahead);
	measure_generate(&b, skel, 64);
	measure_generate(&b, skel, 1408);
	aead_bench__destroy(skel);
	return bench_end(&b);
}
