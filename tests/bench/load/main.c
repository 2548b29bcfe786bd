// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// load: one run against one routing peer; prints one line of JSON. load.sh builds the wire and calls it.
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <netinet/ether.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/load.h"
#include "bench/load/packet.h"

/* Only dropped packets are lost, however busy the machine is. */
#define CHECK_LIMIT_NS	60000000000ULL
#define CHECK_STUCK_NS	2000000000ULL

enum option_id { KIND, DIR, DEVICE, GATEWAY_DEVICE, GATEWAY_NODE_MAC, NODE, NODE_MAC, PORT, LAPTOP, MESH,
	GATEWAY, KEY, PEER_KEY, LENGTH, COUNT,
	FLOWS, BURST, BATCH, WINDOW, RATE, SAMPLES, MS, CORE, NICE, UNFINISHED_SUM, CHECK };

static const struct option names[] = {
	{ "kind", required_argument, NULL, KIND },		/* wireguard, plain or bounce */
	{ "dir", required_argument, NULL, DIR },		/* in or out */
	{ "device", required_argument, NULL, DEVICE },
	{ "gateway-device", required_argument, NULL, GATEWAY_DEVICE },	/* the gateway is on the node */
	{ "gateway-node-mac", required_argument, NULL, GATEWAY_NODE_MAC },
	{ "node", required_argument, NULL, NODE },
	{ "node-mac", required_argument, NULL, NODE_MAC },
	{ "port", required_argument, NULL, PORT },
	{ "laptop", required_argument, NULL, LAPTOP },
	{ "mesh", required_argument, NULL, MESH },
	{ "gateway", required_argument, NULL, GATEWAY },
	{ "key", required_argument, NULL, KEY },		/* file with the laptop's private key */
	{ "peer-key", required_argument, NULL, PEER_KEY },	/* file with the node's public key */
	{ "length", required_argument, NULL, LENGTH },
	{ "count", required_argument, NULL, COUNT },
	{ "flows", required_argument, NULL, FLOWS },
	{ "burst", required_argument, NULL, BURST },
	{ "batch", required_argument, NULL, BATCH },
	{ "window", required_argument, NULL, WINDOW },
	{ "rate", required_argument, NULL, RATE },
	{ "samples", required_argument, NULL, SAMPLES },
	{ "ms", required_argument, NULL, MS },
	{ "core", required_argument, NULL, CORE },
	{ "nice", required_argument, NULL, NICE },
	{ "unfinished-sum", no_argument, NULL, UNFINISHED_SUM },
	{ "check", no_argument, NULL, CHECK },	/* every packet must arrive, be looked into and be right */
	{ 0 }
};

static void refuse(const char *what)
{
	fprintf(stderr, "load: %s\n", what);
	exit(2);
}

static __be32 address(const char *text)
{
	struct in_addr addr;

	if (inet_pton(AF_INET, text, &addr) != 1)
		refuse("not an IPv4 address");
	return addr.s_addr;
}

static void read_mac(const char *text, uint8_t ret_mac[static 6])
{
	const struct ether_addr *mac = ether_aton(text);

	if (!mac)
		refuse("not a MAC address");
	memcpy(ret_mac, mac, 6);
}

static long number(const char *text, long least, long most)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end || value < least || value > most) {
		fprintf(stderr, "load: '%s' is not within %ld-%ld\n", text, least, most);
		exit(2);
	}
	return value;
}

static int word(const char *text, const char *const *words)
{
	for (int i = 0; words[i]; i++) {
		if (!strcmp(text, words[i]))
			return i;
	}
	refuse("not a word for this option");
	return -1;
}

static void read_key(const char *path, uint8_t ret_key[static KEY_LEN])
{
	char text[KEY_BASE64_LEN + 2];
	FILE *f = fopen(path, "re");

	if (!f || !fgets(text, sizeof(text), f))
		refuse("a key's file cannot be read");
	fclose(f);
	text[strcspn(text, "\n")] = '\0';
	if (key_from_base64(text, ret_key))
		refuse("a key's file holds no key");
	sodium_memzero(text, sizeof(text));
}

static const char *const kinds[] = { "wireguard", "plain", "bounce", NULL };
static const char *const dirs[] = { "in", "out", NULL };

static void take_option(struct load_options *o, bool *ret_check, int id, const char *value)
{
	switch ((enum option_id)id) {
	case KIND: o->kind = word(value, kinds); break;
	case DIR: o->dir = word(value, dirs); break;
	case DEVICE: o->device = value; break;
	case GATEWAY_DEVICE: o->gateway_device = value; break;
	case GATEWAY_NODE_MAC: read_mac(value, o->gateway_node_mac); break;
	case NODE: o->names.node = address(value); break;
	case NODE_MAC: read_mac(value, o->node_mac); break;
	case PORT: o->names.port = htons(number(value, 1, 65535)); break;
	case LAPTOP: o->names.laptop = address(value); break;
	case MESH: o->names.mesh = address(value); break;
	case GATEWAY: o->names.gateway = address(value); break;
	case KEY: read_key(value, o->private_key.bytes); break;
	case PEER_KEY: read_key(value, o->peer); break;
	case LENGTH: o->length = number(value, 48, 1440) & ~15; break;
	case COUNT: o->count = number(value, 1, 100000000); break;
	case FLOWS: o->flows = number(value, 1, LOAD_FLOWS_MAX); break;
	case BURST: o->burst = number(value, 1, 64); break;
	case BATCH: o->batch = number(value, 1, 256); break;
	case WINDOW: o->window = number(value, 0, 1000000); break;
	case RATE: o->rate = number(value, 0, 100000000); break;
	case SAMPLES: o->samples = number(value, 1, 100000000); break;
	case MS: o->limit_ns = number(value, 1, 60000) * 1000000ULL; break;
	case CORE: o->core = number(value, -1, 1023); break;
	case NICE: o->nice = number(value, 0, 19); break;
	case UNFINISHED_SUM: o->unfinished_sum = true; break;
	case CHECK: *ret_check = true; break;
	}
}

static void read_options(struct load_options *o, bool *ret_check, int argc, char **argv)
{
	int id;

	*o = (struct load_options){ .length = 1280, .count = 4000, .flows = 8, .burst = 1,
		.batch = 64, .samples = 250,
		.limit_ns = 2000000000, .stuck_ns = 5000000, .core = -1, .names.port = htons(51820) };
	*ret_check = false;
	while ((id = getopt_long(argc, argv, "", names, NULL)) >= 0) {
		if (id == '?')
			exit(2);
		take_option(o, ret_check, id, optarg);
	}
	if (optind != argc || !o->device || !o->names.node || !o->names.laptop || !o->names.mesh ||
		!o->names.gateway)
		refuse("device, node, laptop, mesh and gateway must be named, and nothing else be there");
	if (*ret_check) {
		o->samples = o->count;
		o->limit_ns = CHECK_LIMIT_NS;
		o->stuck_ns = CHECK_STUCK_NS;
	}
}

static void print_result(const struct load_options *o, const struct load_result *r)
{
	double loss = r->sent ? 100.0 * ((double)r->sent - r->delivered) / r->sent : 0;

	printf("{\"dir\": \"%s\", \"length\": %u, \"window\": %u, \"rate\": %u, ", dirs[o->dir], o->length,
		o->window, o->rate);
	printf("\"sent\": %u, \"delivered\": %llu, \"odd\": %llu, \"loss\": %.3f, \"samples\": %u, \"bad\": "
		"%u, ", r->sent, (unsigned long long)r->delivered, (unsigned long long)r->odd, loss,
		r->samples, r->bad);
	printf("\"offered_mpps\": %.4f, \"mpps\": %.4f, \"gbit\": %.4f, ", r->offered_pps / 1e6, r->pps / 1e6,
		r->pps * o->length * 8 / 1e9);
	if (isnan(r->p50_us))
		printf("\"p50\": null, \"p99\": null}\n");
	else
		printf("\"p50\": %.2f, \"p99\": %.2f}\n", r->p50_us, r->p99_us);
}

/* Returns the exit status. */
static int judge(const struct load_options *o, const struct load_result *r, bool check)
{
	if (r->bad || r->odd) {
		fprintf(stderr, "load: %u of %u samples wrong, %llu packets of a wrong length\n", r->bad,
			r->samples, (unsigned long long)r->odd);
		return 1;
	}
	if (check && (r->delivered != r->sent || r->samples != r->sent)) {
		fprintf(stderr, "load: %u sent, %llu arrived, %u looked into\n", r->sent,
			(unsigned long long)r->delivered, r->samples);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct load_options options;
	struct load_result result;
	struct load *load;
	bool check;
	int ret;

	read_options(&options, &check, argc, argv);
	ret = load_open(&load, &options);
	secret_key_wipe(&options.private_key);
	if (ret)
		return 1;
	ret = load_prepare(load) || load_send(load) || load_judge(load, &result);
	load_close(load);
	if (ret)
		return 1;
	print_result(&options, &result);
	return judge(&options, &result, check);
}
