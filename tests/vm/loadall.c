// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Load BPF objects without attaching or pinning anything, and print how many instructions the verifier
// processed for each program.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAID_MAX	(1 << 20)	/* libbpf's log of one object */
#define SAID_SHOWN	6000		/* the end of a rejection says why */

static char said[SAID_MAX];
static size_t said_len;

static int remember(enum libbpf_print_level level, const char *format, va_list args)
{
	int n;

	if (level == LIBBPF_DEBUG)
		return 0;
	n = vsnprintf(said + said_len, sizeof(said) - said_len, format, args);
	if (n < 0)
		return n;
	said_len += (size_t)n;
	if (said_len >= sizeof(said))
		said_len = sizeof(said) - 1;
	return n;
}

static void print_end_of_said(void)
{
	size_t from = said_len > SAID_SHOWN ? said_len - SAID_SHOWN : 0;

	printf("%.*s\n", (int)(said_len - from), said + from);
}

/* Maps keep the small size that the object declares, and stay private. */
static int make_maps_private(struct bpf_object *object)
{
	struct bpf_map *map;
	int ret;

	bpf_object__for_each_map(map, object) {
		ret = bpf_map__set_pin_path(map, NULL);
		if (ret)
			return ret;
	}
	return 0;
}

static int print_programs(struct bpf_object *object)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, object) {
		struct bpf_prog_info info = {};
		__u32 len = sizeof(info);

		if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &len))
			return -errno;
		printf("%s verified_insns %u xlated %u bytes jited %u bytes\n", bpf_program__name(program),
			info.verified_insns, info.xlated_prog_len, info.jited_prog_len);
	}
	return 0;
}

static int load(const char *path)
{
	struct bpf_object *object;
	int ret;

	said_len = 0;
	object = bpf_object__open_file(path, NULL);
	if (!object) {
		ret = -errno;
		goto out;
	}
	ret = make_maps_private(object);
	if (!ret)
		ret = bpf_object__load(object);
	if (!ret)
		ret = print_programs(object);
	bpf_object__close(object);
out:
	if (ret) {
		print_end_of_said();
		printf("%s: %s\n", path, strerror(-ret));
	}
	return ret;
}

int main(int argc, char **argv)
{
	bool failed = false;

	libbpf_set_print(remember);
	for (int i = 1; i < argc; i++)
		if (load(argv[i]))
			failed = true;
	return failed || argc < 2 ? EXIT_FAILURE : EXIT_SUCCESS;
}
