// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Whether the control group lets a start have the memory for its maps. What it refuses later, it refuses
// without a word: by killing the process.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cgroup/memory.h"
#include "log/log.h"
#include "plane/run.h"
#include "preflight/internal.h"

#define MIB	(1ULL << 20)

/* Rounded up: whoever sets as much has enough. */
static unsigned mib(uint64_t bytes)
{
	return (bytes + MIB - 1) / MIB;
}

static uint64_t beside(const struct memory_facts *facts)
{
	return facts->is_mesh ? MEMORY_BESIDE_MESH : MEMORY_BESIDE;
}

static bool is_enough(const struct memory_facts *facts)
{
	return cgroup_memory_free(&facts->group) >= facts->need.maps + beside(facts);
}

/* The least limit that will do, a multiple of 4 MiB: what is in use varies by a page or a thousand. */
#define USED_VARIES	2

static unsigned least_limit(const struct memory_facts *facts)
{
	return (mib(facts->group.used + facts->need.maps + beside(facts)) + USED_VARIES + 3) & ~3U;
}

static void say_options(const struct datapath_need *need, char *text, size_t size)
{
	if (need->flows >= MIB)
		text_append(text, size, ", --max-flows (%u take %u MiB)", need->max_flows, mib(need->flows));
	if (need->peers >= MIB)
		text_append(text, size, ", --max-peers (%u take %u MiB)", need->max_peers, mib(need->peers));
	if (need->keystream >= MIB)
		text_append(text, size, ", --keystream-memory (takes %u MiB)", mib(need->keystream));
}

/* What is needed and what there is, for a log and for people. */
static void say_need(const struct memory_facts *facts, char *text, size_t size)
{
	const struct datapath_need *need = &facts->need;

	text[0] = '\0';
	if (need->there)
		text_append(text, size, "maps of %u MiB are there already, and new ones take %u MiB",
			mib(need->there), mib(need->maps));
	else
		text_append(text, size, "maps for %u peers, %u flows and %u processors take %u MiB",
			need->max_peers, need->max_flows, need->cpus, mib(need->maps));
	text_append(text, size, ", the start %u MiB beside them", mib(beside(facts)));
	if (facts->group.limit == CGROUP_NO_LIMIT)
		text_append(text, size, "; no limit");
	else
		text_append(text, size, "; limit %u MiB, %u MiB of it in use",
			(unsigned)(facts->group.limit / MIB), mib(facts->group.used));
}

int memory_refuse(const struct memory_facts *facts, char *why, size_t size)
{
	const struct datapath_need *need = &facts->need;
	char options[200] = "";

	if (!facts->is_known || is_enough(facts))
		return 0;
	say_options(need, options, sizeof(options));
	snprintf(why, size, "maps take %u MiB and the start %u MiB beside them, but the limit %s is %u MiB, "
		"%u MiB of it in use; set a memory limit of %uMi or more%s%s", mib(need->maps),
		mib(beside(facts)), facts->group.file, (unsigned)(facts->group.limit / MIB),
		mib(facts->group.used), least_limit(facts), options[0] ? ", or smaller sizes: " : "",
		options[0] ? options + 2 : "");
	return -ENOMEM;
}

void memory_read(const struct config *config, const char *root, struct memory_facts *ret_facts)
{
	*ret_facts = (struct memory_facts){ .is_mesh = config->mesh.enabled };
	cgroup_memory_read(root, &ret_facts->group);
	ret_facts->is_known = !plane_need(config, &ret_facts->need);
}

int preflight_check_memory(const struct config *config, char *why, size_t size)
{
	struct memory_facts facts;
	char line[256];
	int ret;

	memory_read(config, "", &facts);
	ret = memory_refuse(&facts, why, size);
	if (ret || !facts.is_known)
		return ret;
	say_need(&facts, line, sizeof(line));
	/* Where there is a limit this may be the last line before the kernel ends the process. */
	if (facts.group.limit == CGROUP_NO_LIMIT)
		log_debug("memory: %s", line);
	else
		log_info("memory: %s", line);
	return 0;
}

void judge_memory(const struct memory_facts *facts, struct preflight_report *report)
{
	struct preflight_finding *f;
	char text[PREFLIGHT_TEXT];

	if (!facts->is_known) {
		find(report, PREFLIGHT_MEMORY, PREFLIGHT_NOTE,
			"not known: the programs' objects cannot be opened");
		return;
	}
	if (memory_refuse(facts, text, sizeof(text))) {
		find_line(report, PREFLIGHT_MEMORY, PREFLIGHT_PROBLEM, text);
		return;
	}
	say_need(facts, text, sizeof(text));
	if (facts->group.limit == CGROUP_NO_LIMIT ||
		cgroup_memory_free(&facts->group) >= facts->need.maps + beside(facts) + facts->need.growth) {
		find(report, PREFLIGHT_MEMORY, PREFLIGHT_OK, "%s", text);
		return;
	}
	f = find(report, PREFLIGHT_MEMORY, PREFLIGHT_NOTE, "%s", text);
	find_why(f, "maps grow by up to %u MiB with traffic, and stop growing where the limit is near: fewer "
		"flows, slower encryption", mib(facts->need.growth));
	find_act(f, "set a memory limit of %uMi or more, should that matter",
		least_limit(facts) + ((mib(facts->need.growth) + 3) & ~3U));
}
