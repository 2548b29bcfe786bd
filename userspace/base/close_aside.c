// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Closing descriptors in a thread.
#include <pthread.h>
#include <stdint.h>
#include <unistd.h>

#include "base/close_aside.h"

#define STACK	65536

static void *close_it(void *arg)
{
	close((int)(intptr_t)arg);
	return NULL;
}

void close_aside(int fd)
{
	pthread_attr_t attr;
	pthread_t thread;
	int ret;

	if (fd < 0)
		return;
	ret = pthread_attr_init(&attr);
	if (!ret) {
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		pthread_attr_setstacksize(&attr, STACK);
		ret = pthread_create(&thread, &attr, close_it, (void *)(intptr_t)fd);
		pthread_attr_destroy(&attr);
	}
	if (ret)
		close(fd);
}
