/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ICMP errors about packets that are too large, from the error queue of a socket. */
#ifndef TALON_ENDPOINTS_PMTU_NEWS_H
#define TALON_ENDPOINTS_PMTU_NEWS_H

#include <stdbool.h>

#include "talon/peer_types.h"

#define PMTU_NEWS_MAX 16

/* Destinations for which an error reported a packet as too large. */
struct pmtu_news {
	unsigned count;
	bool is_full;			/* there were more */
	struct talon_addr remotes[PMTU_NEWS_MAX];
};

/* Errors about what the datapath sends from the port go to the socket's queue. Returns 0, or -1 and errno. */
int pmtu_news_listen(int fd, int family);
/* Reads what is there, at most 64 errors; the rest is there next time. */
void pmtu_news_read(struct pmtu_news *news, int fd);

#endif
