// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Finds the group in /proc/self and its files in /sys, then goes up.
#include "cgroup/memory.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Version 1 says "no limit" by the largest number of whole pages: anything close to it. */
#define NO_LIMIT_V1	(1ULL << 62)

/* Where one hierarchy lies. */
struct tree {
	bool	is_there;
	char	group[PATH_MAX];	/* of this process, as /proc/self/cgroup has it */
	char	top[PATH_MAX];		/* the group that is mounted */
	char	mount[PATH_MAX];	/* where */
};

struct trees {
	struct tree v1, v2;
};

static FILE *open_below(const char *root, const char *path)
{
	char full[2 * PATH_MAX];

	snprintf(full, sizeof(full), "%s%s", root, path);
	return fopen(full, "re");
}

/* Whether @list, with commas, has @word. */
static bool has_word(const char *list, const char *word)
{
	const size_t len = strlen(word);

	for (const char *at = list; (at = strstr(at, word)); at += len) {
		if ((at == list || at[-1] == ',') && (!at[len] || at[len] == ','))
			return true;
	}
	return false;
}

/* A line "ID:CONTROLLERS:GROUP" (cgroups(7)). */
static void take_group(struct trees *trees, char *line)
{
	char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
	struct tree *tree;

	if (!group)
		return;
	*group++ = '\0';
	controllers++;
	if (!*controllers && !strncmp(line, "0:", 2))
		tree = &trees->v2;
	else if (has_word(controllers, "memory"))
		tree = &trees->v1;
	else
		return;
	snprintf(tree->group, sizeof(tree->group), "%s", group);
}

/* proc(5): spaces and the like are written as \ooo. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; to++) {
		unsigned byte;
		int len = 0;

		if (*text == '\\' && sscanf(text + 1, "%3o%n", &byte, &len) == 1 && len == 3) {
			*to = byte;
			text += 4;
		} else {
			*to = *text++;
		}
	}
	*to = '\0';
}

/* A line of mountinfo (proc(5)): ID PARENT DEVICE TOP MOUNT OPTIONS ... - TYPE SOURCE OPTIONS. */
static void take_mount(struct trees *trees, const char *line)
{
	char top[PATH_MAX], mount[PATH_MAX], type[32], options[PATH_MAX];
	const char *dash = strstr(line, " - ");
	struct tree *tree;

	_Static_assert(PATH_MAX == 4096, "the widths below");
	if (!dash || sscanf(line, "%*s %*s %*s %4095s %4095s", top, mount) != 2 ||
		sscanf(dash + 3, "%31s %*s %4095s", type, options) != 2)
		return;
	if (!strcmp(type, "cgroup2"))
		tree = &trees->v2;
	else if (!strcmp(type, "cgroup") && has_word(options, "memory"))
		tree = &trees->v1;
	else
		return;
	if (tree->is_there)
		return;
	unescape(top);
	unescape(mount);
	memcpy(tree->top, top, sizeof(top));
	memcpy(tree->mount, mount, sizeof(mount));
	tree->is_there = true;
}

static void each_line(const char *root, const char *path, struct trees *trees, bool is_mounts)
{
	FILE *in = open_below(root, path);
	size_t size = 0;
	char *line = NULL;
	ssize_t len;

	while (in && (len = getline(&line, &size, in)) > 0) {
		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		if (is_mounts)
			take_mount(trees, line);
		else
			take_group(trees, line);
	}
	free(line);
	if (in)
		fclose(in);
}

/* The number in @dir/@name. Returns false if there is none: "max", or no such file. */
static bool read_number(const char *root, const char *dir, const char *name, uint64_t *ret_number)
{
	char path[2 * PATH_MAX];
	unsigned long long number;
	bool is_number;
	FILE *in;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	in = open_below(root, path);
	is_number = in && fscanf(in, "%llu", &number) == 1;
	if (in)
		fclose(in);
	if (is_number)
		*ret_number = number;
	return is_number;
}

/* One line of memory.stat. */
static uint64_t read_stat(const char *root, const char *dir, const char *key)
{
	unsigned long long number = 0, found = 0;
	char path[2 * PATH_MAX], word[64];
	FILE *in;

	snprintf(path, sizeof(path), "%s/memory.stat", dir);
	in = open_below(root, path);
	while (in && fscanf(in, "%63s %llu", word, &number) == 2) {
		if (!strcmp(word, key))
			found = number;
	}
	if (in)
		fclose(in);
	return found;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* Keeps a limit that leaves less than the one before. */
static void offer(struct cgroup_memory *best, uint64_t limit, uint64_t used, const char *dir,
	const char *name)
{
	const struct cgroup_memory offered = { .limit = limit, .used = used };
	char file[2 * PATH_MAX];
	size_t len;

	if (limit >= NO_LIMIT_V1 || cgroup_memory_free(&offered) >= cgroup_memory_free(best))
		return;
	*best = offered;
	snprintf(file, sizeof(file), "%s/%s", dir, name);
	len = strlen(file);
	if (len < sizeof(best->file))
		strcpy(best->file, file);
	else
		snprintf(best->file, sizeof(best->file), "...%s", file + len + 4 - sizeof(best->file));
}

static void look_v1(const char *root, const char *dir, bool is_own, struct cgroup_memory *best)
{
	uint64_t limit, used = 0, cache;

	(void)read_number(root, dir, "memory.usage_in_bytes", &used);
	cache = read_stat(root, dir, "total_inactive_file") + read_stat(root, dir, "total_active_file");
	if (read_number(root, dir, "memory.limit_in_bytes", &limit))
		offer(best, limit, less(used, cache), dir, "memory.limit_in_bytes");
	/* those above too, also where they cannot be seen */
	limit = is_own ? read_stat(root, dir, "hierarchical_memory_limit") : 0;
	if (limit)
		offer(best, limit, less(used, cache), dir, "memory.stat");
	if (read_number(root, dir, "memory.kmem.limit_in_bytes", &limit) &&
		read_number(root, dir, "memory.kmem.usage_in_bytes", &used))
		offer(best, limit, used, dir, "memory.kmem.limit_in_bytes");
}

static void look_v2(const char *root, const char *dir, struct cgroup_memory *best)
{
	uint64_t limit, used = 0, cache;

	if (!read_number(root, dir, "memory.max", &limit))
		return;
	(void)read_number(root, dir, "memory.current", &used);
	cache = read_stat(root, dir, "inactive_file") + read_stat(root, dir, "active_file") +
		read_stat(root, dir, "slab_reclaimable");
	offer(best, limit, less(used, cache), dir, "memory.max");
}

/*
 * What of the process's group lies below the mount. With a cgroup namespace both begin at its root; without,
 * a container's mount shows its own group as the top, under the name that the host has for it.
 */
static const char *below_top(const struct tree *tree)
{
	const size_t len = strlen(tree->top);

	if (!strcmp(tree->top, "/"))
		return tree->group;
	if (strncmp(tree->group, tree->top, len) || (tree->group[len] && tree->group[len] != '/'))
		return "";
	return tree->group + len;
}

static bool is_dir(const char *root, const char *dir)
{
	char full[2 * PATH_MAX];

	snprintf(full, sizeof(full), "%s%s", root, dir);
	return !access(full, F_OK);
}

static void climb(const char *root, const struct tree *tree, bool is_v2, struct cgroup_memory *best)
{
	char dir[2 * PATH_MAX], *slash;
	bool is_own = true;

	if (!tree->is_there)
		return;
	snprintf(dir, sizeof(dir), "%s%s", tree->mount, below_top(tree));
	/* the host's name for a group that is mounted under another */
	if (!is_dir(root, dir) || strstr(dir, "/.."))
		snprintf(dir, sizeof(dir), "%s", tree->mount);
	for (;;) {
		if (dir[strlen(dir) - 1] == '/')
			dir[strlen(dir) - 1] = '\0';
		if (is_v2)
			look_v2(root, dir, best);
		else
			look_v1(root, dir, is_own, best);
		is_own = false;
		slash = strrchr(dir, '/');
		if (strlen(dir) <= strlen(tree->mount) || !slash)
			return;
		*slash = '\0';
	}
}

uint64_t cgroup_memory_free(const struct cgroup_memory *memory)
{
	return memory->limit == CGROUP_NO_LIMIT ? CGROUP_NO_LIMIT : less(memory->limit, memory->used);
}

void cgroup_memory_read(const char *root, struct cgroup_memory *ret_memory)
{
	struct trees *trees = calloc(1, sizeof(*trees));

	*ret_memory = (struct cgroup_memory){ .limit = CGROUP_NO_LIMIT };
	if (!trees)
		return;
	each_line(root, "/proc/self/cgroup", trees, false);
	each_line(root, "/proc/self/mountinfo", trees, true);
	climb(root, &trees->v2, true, ret_memory);
	climb(root, &trees->v1, false, ret_memory);
	free(trees);
}
