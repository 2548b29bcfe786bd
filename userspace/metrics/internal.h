/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files that make the exposition share: the facts, and how a sample is written. */
#ifndef TALON_METRICS_INTERNAL_H
#define TALON_METRICS_INTERNAL_H

#include <stdio.h>

#include "metrics/metrics.h"
#include "metrics/metric_rows.h"
#include "status/status.h"
#include "talon/fact_types.h"

#define METRICS_MAPS_MAX	96
#define METRICS_RINGS_MAX	8
#define METRICS_PROGRAMS_MAX	8

#define METRIC_ID(id, name, type, unit, labels, series, help) METRIC_##id,
enum metric { METRICS(METRIC_ID) METRIC_COUNT };

struct metrics_map {
	char name[32];
	uint64_t memory;		/* bytes, as the kernel charges them */
	bool has_entries;
	uint64_t entries, limit;
};

struct metrics_ring { char name[32]; uint64_t bytes, limit; };
struct metrics_program { char name[32]; uint64_t runs, run_ns; };

/* One that has series of its own. */
struct metrics_peer {
	uint32_t id;
	struct talon_peer_info info;
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets;
	uint8_t family, flags;		/* of its endpoint */
	bool is_connected;
	uint32_t held;			/* flow records */
};

struct metrics_peers {
	size_t connected, idle, never, sessions;
	bool has_expiry, has_handshake;
	uint64_t expiry_ns;		/* of the session that ends first */
	uint64_t handshake_ns;		/* CLOCK_BOOTTIME of the newest */
	struct metrics_peer *top;	/* most traffic first */
	size_t top_count;
	size_t others;
	uint64_t others_rx, others_tx;	/* bytes */
};

struct metrics_data {
	bool has_datapath;
	char why[256];			/* if there is none */
	struct status status;		/* without routes and peers */
	uint64_t unix_ns;		/* this host's clock at the start */
	uint64_t boot_unix_ns;		/* what it said when CLOCK_BOOTTIME was 0 */
	bool is_fresh;			/* the controller runs: gauges among the facts hold */
	uint64_t facts[TALON_FACTS_ENTRIES];
	struct metrics_map maps[METRICS_MAPS_MAX];
	size_t map_count;
	struct metrics_ring rings[METRICS_RINGS_MAX];
	size_t ring_count;
	struct metrics_program programs[METRICS_PROGRAMS_MAX];
	size_t program_count;
	struct metrics_peers peers;
};

/* collect.c: everything but peers. Returns 0 or a negative errno with one line in @why. */
int metrics_collect(const struct metrics_options *options, struct metrics_data *ret_data, char *why,
	size_t size);
void metrics_data_done(struct metrics_data *data);
/* Makes the exposition of @data. @ret_text: from malloc(), without a NUL. Returns 0 or -ENOMEM. */
int metrics_print(const struct metrics_data *data, const struct metrics_options *options, char **ret_text,
	size_t *ret_len);
/* @boot_ns as Unix time, in whole seconds: it has to be the same in each scrape. 0 stays 0: never. */
uint64_t metrics_since_unix_ns(const struct metrics_data *data, uint64_t boot_ns);

/* maps.c: sizes and fill of maps and rings, run times. What cannot be read is left out. */
void metrics_read_maps(struct metrics_data *data, const char *root);
/* Whether the controller says how full @map is, and by which fact. */
bool metrics_map_is_told(const char *map, enum talon_fact *ret_fact);

/* peers.c. Returns 0 or a negative errno. @top: how many get series of their own. */
int metrics_read_peers(struct metrics_data *data, const char *root, uint32_t top);

/* text.c */
struct metrics_text {
	FILE *out;
	enum metrics_format format;
	uint64_t created_unix_ns;	/* when counters began */
	enum metric now;		/* family of the samples that follow */
};

/* A label of a sample; ends with one whose name is NULL. */
struct metrics_label { const char *name, *value; };
#define LABELS(...) ((const struct metrics_label[]){ __VA_ARGS__, {} })
#define NO_LABELS ((const struct metrics_label[]){ {} })

/* Begins a family: the samples that follow belong to it. */
void metrics_family(struct metrics_text *text, enum metric id);
void metrics_sample(struct metrics_text *text, const struct metrics_label *labels, uint64_t value);
/* @ns: written in seconds. */
void metrics_sample_ns(struct metrics_text *text, const struct metrics_label *labels, uint64_t ns);
void metrics_sample_ratio(struct metrics_text *text, const struct metrics_label *labels, double value);
/* The value of a label, escaped. */
void metrics_escape(FILE *out, const char *value);
/* The parts of a sample, for families that are not in metric_rows.h: everything before the value, */
void metrics_name(struct metrics_text *text, const char *name, const char *suffix,
	const struct metrics_label *labels);
/* a value in seconds with the end of the line, */
void metrics_seconds(FILE *out, uint64_t ns);
/* and of a counter, where the format has it, when it began. */
void metrics_created(struct metrics_text *text, const char *name, const struct metrics_label *labels);
void metrics_end(struct metrics_text *text);

/* families.c, families_mesh.c: all of them. */
void metrics_write(struct metrics_text *text, const struct metrics_data *data);
void metrics_write_mesh(struct metrics_text *text, const struct metrics_data *data);
void metrics_write_peers(struct metrics_text *text, const struct metrics_data *data, bool has_top);
/* aliases.c */
void metrics_write_aliases(struct metrics_text *text, const struct metrics_data *data);

#endif
