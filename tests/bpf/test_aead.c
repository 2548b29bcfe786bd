// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// ChaCha20-Poly1305 in BPF against libsodium, in XDP and in tc: verdict and bytes.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "aead_test.skel.h"
#include "aead_test_tc.skel.h"
#include "bpf/aead_test.h"

#define OFF	58	/* after the Ethernet, IPv4, UDP and data message headers */
#define SHIFT	32
#define TAG_LEN	16
#define LEN_MAX	1500

/* One hook's programs. */
struct hook {
	struct aead_test *xdp;
	struct aead_test_tc *tc;
	int open_fd;
	int seal_fd;
	int jobs_fd;
};

struct run {
	int verdict;
	uint32_t size;
	uint8_t in[2048];
	uint8_t out[2048];
};

static const uint64_t counters[] = {
	0, 1, 0xffffffffULL, 1ULL << 32, (1ULL << 32) + 1, (1ULL << 60) - 1, 1ULL << 60, ~0ULL - 8192, ~0ULL,
};

static int load_xdp(void **state)
{
	static struct hook hook;

	hook.xdp = aead_test__open_and_load();
	if (!hook.xdp)
		return -errno;
	hook.open_fd = bpf_program__fd(hook.xdp->progs.open);
	hook.seal_fd = bpf_program__fd(hook.xdp->progs.seal);
	hook.jobs_fd = bpf_map__fd(hook.xdp->maps.jobs);
	*state = &hook;
	return 0;
}

static int load_tc(void **state)
{
	static struct hook hook;

	hook.tc = aead_test_tc__open_and_load();
	if (!hook.tc)
		return -errno;
	hook.open_fd = bpf_program__fd(hook.tc->progs.open);
	hook.seal_fd = bpf_program__fd(hook.tc->progs.seal);
	hook.jobs_fd = bpf_map__fd(hook.tc->maps.jobs);
	*state = &hook;
	return 0;
}

static int unload(void **state)
{
	struct hook *hook = *state;

	aead_test__destroy(hook->xdp);
	aead_test_tc__destroy(hook->tc);
	return 0;
}

static uint32_t pad16(uint32_t len)
{
	return (len + 15) & ~15U;
}

static void random_job(struct aead_test_job *job, uint32_t len)
{
	randombytes_buf(job->key, sizeof(job->key));
	if (randombytes_uniform(2))
		randombytes_buf(&job->counter, sizeof(job->counter));
	else
		job->counter = counters[randombytes_uniform(sizeof(counters) / sizeof(counters[0]))];
	job->off = OFF;
	job->len = len;
}

/* RFC 8439 section 2.8 by libsodium; room for @len + TAG_LEN bytes at @to. */
static void reference_seal(uint8_t *to, const uint8_t *plain, uint32_t len, const struct aead_test_job *job)
{
	uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES] = { 0 };

	memcpy(nonce + 4, &job->counter, sizeof(job->counter));
	assert_int_equal(crypto_aead_chacha20poly1305_ietf_encrypt(to, NULL, plain, len, NULL, 0, NULL, nonce,
				 (const uint8_t *)job->key), 0);
}

static void run_program(const struct hook *hook, int prog_fd, const struct aead_test_job *job,
	struct run *run)
{
	uint32_t zero = 0;
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = run->in, .data_size_in = run->size,
		.data_out = run->out, .data_size_out = sizeof(run->out));

	assert_int_equal(bpf_map_update_elem(hook->jobs_fd, &zero, job, BPF_ANY), 0);
	assert_int_equal(bpf_prog_test_run_opts(prog_fd, &opts), 0);
	assert_int_equal(opts.data_size_out, run->size);
	run->verdict = (int)opts.retval;
}

static void prepare_open(struct run *run, const struct aead_test_job *job, const uint8_t *plain)
{
	randombytes_buf(run->in, OFF);
	reference_seal(run->in + OFF, plain, job->len, job);
	run->size = OFF + job->len + TAG_LEN;
}

static void opens_what_libsodium_sealed_at_every_length(void **state)
{
	struct aead_test_job job;
	uint8_t plain[LEN_MAX];
	struct run run;

	for (uint32_t len = 0; len <= LEN_MAX; len++) {
		random_job(&job, len);
		randombytes_buf(plain, len);
		prepare_open(&run, &job, plain);
		run_program(*state, ((struct hook *)*state)->open_fd, &job, &run);
		assert_int_equal(run.verdict, 0);
		assert_memory_equal(run.out, run.in, OFF);
		assert_memory_equal(run.out + OFF, plain, len);
		assert_memory_equal(run.out + OFF + len, run.in + OFF + len, TAG_LEN);
	}
}

static void seals_as_libsodium_does_at_every_length(void **state)
{
	struct aead_test_job job;
	uint8_t plain[LEN_MAX + 16], expected[LEN_MAX + 16 + TAG_LEN];
	struct run run;

	for (uint32_t len = 0; len <= LEN_MAX; len++) {
		uint32_t end = pad16(len) + TAG_LEN;

		random_job(&job, len);
		randombytes_buf(run.in, sizeof(run.in));
		run.size = OFF + SHIFT + len;
		memset(plain, 0, sizeof(plain));
		memcpy(plain, run.in + OFF + SHIFT, len);
		reference_seal(expected, plain, pad16(len), &job);
		run_program(*state, ((struct hook *)*state)->seal_fd, &job, &run);
		assert_int_equal(run.verdict, 0);
		assert_memory_equal(run.out, run.in, OFF);
		assert_memory_equal(run.out + OFF, expected, end);
		assert_memory_equal(run.out + OFF + end, run.in + OFF + end, run.size - OFF - end);
	}
}

static void every_counter_gives_its_own_nonce(void **state)
{
	uint8_t plain[96];
	struct aead_test_job job;
	struct run run;

	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		random_job(&job, sizeof(plain));
		job.counter = counters[i];
		randombytes_buf(plain, sizeof(plain));
		prepare_open(&run, &job, plain);
		run_program(*state, ((struct hook *)*state)->open_fd, &job, &run);
		assert_int_equal(run.verdict, 0);
		assert_memory_equal(run.out + OFF, plain, sizeof(plain));
		job.counter++;
		run_program(*state, ((struct hook *)*state)->open_fd, &job, &run);
		assert_int_equal(run.verdict, -EBADMSG);
	}
}

static void every_bit_of_the_tag_counts(void **state)
{
	static const uint32_t lens[] = { 0, 1, 16, 64, 100 };
	uint8_t plain[100] = { 0 };
	struct aead_test_job job;
	struct run run;

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		random_job(&job, lens[i]);
		prepare_open(&run, &job, plain);
		for (int bit = 0; bit < TAG_LEN * 8; bit++) {
			uint8_t *byte = &run.in[OFF + lens[i] + bit / 8];

			*byte ^= 1 << bit % 8;
			run_program(*state, ((struct hook *)*state)->open_fd, &job, &run);
			assert_int_equal(run.verdict, -EBADMSG);
			*byte ^= 1 << bit % 8;
		}
	}
}

static void every_byte_of_the_ciphertext_counts(void **state)
{
	uint8_t plain[213] = { 0 };
	struct aead_test_job job;
	struct run run;

	random_job(&job, sizeof(plain));
	prepare_open(&run, &job, plain);
	for (uint32_t i = 0; i < sizeof(plain); i++) {
		run.in[OFF + i] ^= 0x80;
		run_program(*state, ((struct hook *)*state)->open_fd, &job, &run);
		assert_int_equal(run.verdict, -EBADMSG);
		run.in[OFF + i] ^= 0x80;
	}
}

static void ciphertext_of_another_length_does_not_open(void **state)
{
	uint8_t plain[80] = { 0 };
	struct aead_test_job job;
	struct run run;

	random_job(&job, 64);
	prepare_open(&run, &job, plain);
	run.size += 16;
	memmove(run.in + OFF + 80, run.in + OFF + 64, TAG_LEN);
	memset(run.in + OFF + 64, 0, 16);
	job.len = 80;
	run_program(*state, ((struct hook *)*state)->open_fd, &job, &run);
	assert_int_equal(run.verdict, -EBADMSG);
}

static void a_truncated_packet_is_refused_untouched(void **state)
{
	static const uint32_t lens[] = { 0, 1, 15, 16, 63, 64, 65, 200, 1408, LEN_MAX };
	struct aead_test_job job;
	struct run run;

	randombytes_buf(run.in, sizeof(run.in));
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		uint32_t full = OFF + lens[i] + TAG_LEN;

		random_job(&job, lens[i]);
		for (uint32_t missing = 1; missing <= lens[i] + TAG_LEN; missing += 1 + missing / 8) {
			run.size = full - missing;
			run_program(*state, ((struct hook *)*state)->open_fd, &job, &run);
			assert_int_equal(run.verdict, -EINVAL);
			assert_memory_equal(run.out, run.in, run.size);

			run.size = full - TAG_LEN + SHIFT - missing;
			run_program(*state, ((struct hook *)*state)->seal_fd, &job, &run);
			assert_int_equal(run.verdict, -EINVAL);
			assert_memory_equal(run.out, run.in, run.size);
		}
	}
}

static void absurd_offsets_and_lengths_are_refused_untouched(void **state)
{
	static const uint32_t absurd[] = { 1601, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffff0,
		0xffffffff };
	struct hook *hook = *state;
	struct aead_test_job job;
	struct run run;

	randombytes_buf(run.in, sizeof(run.in));
	run.size = 1600;
	for (size_t i = 0; i < 2 * sizeof(absurd) / sizeof(absurd[0]); i++) {
		random_job(&job, 64);
		if (i & 1)
			job.len = absurd[i / 2];
		else
			job.off = absurd[i / 2];
		run_program(hook, hook->open_fd, &job, &run);
		assert_int_equal(run.verdict, -EINVAL);
		assert_memory_equal(run.out, run.in, run.size);
		run_program(hook, hook->seal_fd, &job, &run);
		assert_int_equal(run.verdict, -EINVAL);
		assert_memory_equal(run.out, run.in, run.size);
	}
}

static void any_offset_up_to_the_largest_works(void **state)
{
	struct hook *hook = *state;
	struct aead_test_job job;
	uint8_t plain[333];
	struct run run;

	for (uint32_t off = 14; off <= 512; off++) {
		random_job(&job, sizeof(plain));
		job.off = off;
		randombytes_buf(plain, sizeof(plain));
		reference_seal(run.in + off, plain, sizeof(plain), &job);
		run.size = off + sizeof(plain) + TAG_LEN;
		run_program(hook, hook->open_fd, &job, &run);
		assert_int_equal(run.verdict, 0);
		assert_memory_equal(run.out + off, plain, sizeof(plain));
	}
}

static void what_was_sealed_opens_again(void **state)
{
	struct hook *hook = *state;
	struct aead_test_job job;
	uint8_t plain[LEN_MAX];
	struct run run;

	for (uint32_t len = 0; len <= LEN_MAX; len += 1 + len / 16) {
		random_job(&job, len);
		randombytes_buf(plain, len);
		memcpy(run.in + OFF + SHIFT, plain, len);
		run.size = OFF + SHIFT + len;
		run_program(hook, hook->seal_fd, &job, &run);
		assert_int_equal(run.verdict, 0);

		memcpy(run.in, run.out, run.size);
		job.len = pad16(len);
		run.size = OFF + job.len + TAG_LEN;
		run_program(hook, hook->open_fd, &job, &run);
		assert_int_equal(run.verdict, 0);
		assert_memory_equal(run.out + OFF, plain, len);
		assert_true(len == job.len || sodium_is_zero(run.out + OFF + len, job.len - len));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opens_what_libsodium_sealed_at_every_length),
		cmocka_unit_test(seals_as_libsodium_does_at_every_length),
		cmocka_unit_test(every_counter_gives_its_own_nonce),
		cmocka_unit_test(every_bit_of_the_tag_counts),
		cmocka_unit_test(every_byte_of_the_ciphertext_counts),
		cmocka_unit_test(ciphertext_of_another_length_does_not_open),
		cmocka_unit_test(a_truncated_packet_is_refused_untouched),
		cmocka_unit_test(absurd_offsets_and_lengths_are_refused_untouched),
		cmocka_unit_test(any_offset_up_to_the_largest_works),
		cmocka_unit_test(what_was_sealed_opens_again),
	};
	int failed;

	if (sodium_init() < 0)
		return 1;
	failed = cmocka_run_group_tests_name("aead in XDP", tests, load_xdp, unload);
	failed += cmocka_run_group_tests_name("aead in tc", tests, load_tc, unload);
	return failed != 0;
}
