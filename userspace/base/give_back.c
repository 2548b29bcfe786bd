// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The program holds its BPF objects as data and links large libraries: most of that is read once,
// at the start.
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/give_back.h"

/* "7f00-7f10 r-xp 00000000 fe:01 1234   /usr/lib/x.so": an inode that is not 0 means a file. */
static bool read_header(const char *line, struct memory_mapping *mapping)
{
	unsigned long start, end, offset, inode;
	unsigned int major, minor;
	char rights[5];

	if (sscanf(line, "%lx-%lx %4s %lx %x:%x %lu", &start, &end, rights, &offset, &major, &minor,
		&inode) != 7)
		return false;
	*mapping = (struct memory_mapping){
		.start = start,
		.end = end,
		.is_plain = inode && rights[1] == '-' && rights[3] == 'p',
	};
	return true;
}

bool memory_read_line(const char *line, struct memory_mapping *mapping)
{
	unsigned long kib;

	if (read_header(line, mapping))
		return false;
	/* Relocated read-only data is a private copy: once dropped, it would be read back unrelocated. */
	if (sscanf(line, "Anonymous: %lu kB", &kib) != 1)
		return false;
	mapping->is_clean = !kib;
	mapping->has_counts = true;
	return mapping->is_plain && mapping->is_clean;
}

void memory_give_back(void)
{
	struct memory_mapping mapping = {};
	char line[512];
	FILE *f;

	malloc_trim(0);
	f = fopen("/proc/self/smaps", "re");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		if (memory_read_line(line, &mapping))
			madvise((void *)mapping.start, mapping.end - mapping.start, MADV_DONTNEED);
	}
	fclose(f);
}
