/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by all benches: clock, median, timed BPF_PROG_TEST_RUN, one table and one JSON format. */
#ifndef TALON_TESTS_BENCH_H
#define TALON_TESTS_BENCH_H

#include <bpf/bpf.h>
#include <errno.h>
#include <fnmatch.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* the median of this many is reported; many short ones hide the machine's other load */
#define BENCH_RUNS 15

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* CPU time of this thread: the cost of userspace code even on a busy machine. */
static inline uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static inline int bench_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts @values. */
static inline double bench_median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), bench_compare);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/*
 * Nanoseconds per run of a BPF program over @repeat runs in one system call, as the kernel measures them. The
 * program must put back whatever a run changes: the kernel restores neither bytes nor head between them.
 * @verdict: what the last run must return.
 */
static inline double bench_prog_ns(int prog_fd, const void *packet, uint32_t len, uint32_t repeat,
	uint32_t verdict)
{
	static uint8_t out[65536];
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = packet, .data_size_in = len,
		.data_out = out, .data_size_out = sizeof(out), .repeat = repeat);

	if (bpf_prog_test_run_opts(prog_fd, &opts)) {
		fprintf(stderr, "test run: %s\n", strerror(errno));
		exit(1);
	}
	if (opts.retval != verdict) {
		fprintf(stderr, "test run: verdict %d, not %d\n", (int)opts.retval, (int)verdict);
		exit(1);
	}
	return opts.duration;
}

/* The table goes to stdout, the same values as a JSON array to the file given by --json. */
struct bench {
	FILE *json;
	const char *only;		/* pattern of the rows that are wanted; NULL: all */
	bool more;
};

/* Is the row @name wanted? A bench need not measure what is not. */
static inline bool bench_wants(const struct bench *b, const char *name)
{
	return !b->only || !fnmatch(b->only, name, 0);
}

/* @argv: may hold --json FILE and --only PATTERN. Exits with 2 on anything else. */
static inline void bench_begin(struct bench *b, int argc, char **argv)
{
	const char *json = NULL;

	memset(b, 0, sizeof(*b));
	for (int i = 1; i < argc; i += 2) {
		if (i + 1 < argc && !strcmp(argv[i], "--json")) {
			json = argv[i + 1];
		} else if (i + 1 < argc && !strcmp(argv[i], "--only")) {
			b->only = argv[i + 1];
		} else {
			fprintf(stderr, "usage: %s [--json FILE] [--only PATTERN]\n", argv[0]);
			exit(2);
		}
	}
	if (json) {
		b->json = fopen(json, "we");
		if (!b->json) {
			fprintf(stderr, "%s: %s\n", json, strerror(errno));
			exit(2);
		}
		fputs("[", b->json);
	}
	printf("%-36s %12s %-8s %-14s %12s %8s\n", "name", "value", "unit", "reference", "", "ratio");
}

static inline void bench_number(FILE *to, const char *name, double value)
{
	if (isnan(value))
		fprintf(to, ", \"%s\": null", name);
	else
		fprintf(to, ", \"%s\": %.6g", name, value);
}

/*
 * One line, if the row is wanted. @reference: what gave @reference_value in the same run; NULL (and NAN) if
 * there is no reference. @ratio: how many times better than the reference, so more than 1 is good.
 */
static inline void bench_report(struct bench *b, const char *name, double value, const char *unit,
	const char *reference, double reference_value, double ratio)
{
	if (!bench_wants(b, name))
		return;
	if (reference)
		printf("%-36s %12.4g %-8s %-14s %12.4g %8.2f\n", name, value, unit, reference,
			reference_value, ratio);
	else
		printf("%-36s %12.4g %-8s\n", name, value, unit);
	fflush(stdout);
	if (!b->json)
		return;
	fprintf(b->json, "%s\n\t{\"name\": \"%s\", \"unit\": \"%s\"", b->more ? "," : "", name, unit);
	bench_number(b->json, "value", value);
	if (reference)
		fprintf(b->json, ", \"reference\": \"%s\"", reference);
	else
		fprintf(b->json, ", \"reference\": null");
	bench_number(b->json, "reference_value", reference ? reference_value : NAN);
	bench_number(b->json, "ratio", reference ? ratio : NAN);
	fputs("}", b->json);
	b->more = true;
}

/* 0, or 1 when the file could not be written. */
static inline int bench_end(struct bench *b)
{
	if (!b->json)
		return 0;
	fputs("\n]\n", b->json);
	if (fclose(b->json)) {
		fprintf(stderr, "writing the JSON file: %s\n", strerror(errno));
		return 1;
	}
	return 0;
}

#endif
