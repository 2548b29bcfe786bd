// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Service addresses out of kube-proxy's rules: elements of nftables' maps, rules of iptables-nft, entries of
// iptables-legacy.
#include <arpa/inet.h>
#include <net/if.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "net/nl.h"

static char buf[NL_BUF] __attribute__((aligned(8)));
static char seen[512];

static void keep(const struct net_service *service, void *user)
{
	char text[INET6_ADDRSTRLEN];
	size_t at = strlen(seen);

	inet_ntop(service->family, &service->addr, text, sizeof(text));
	snprintf(seen + at, sizeof(seen) - at, "%s%s ", text, service->is_dropped ? " dropped" : "");
}

static struct nlmsghdr *start(uint8_t message, uint8_t family)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(memset(buf, 0, sizeof(buf)));
	struct nfgenmsg *msg;

	nlh->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | message;
	msg = mnl_nlmsg_put_extra_header(nlh, sizeof(*msg));
	msg->nfgen_family = family;
	return nlh;
}

static void put_verdict(struct nlmsghdr *nlh, uint16_t type, uint32_t code)
{
	struct nlattr *data = mnl_attr_nest_start(nlh, type),
		*verdict = mnl_attr_nest_start(nlh, NFTA_DATA_VERDICT);

	mnl_attr_put_u32(nlh, NFTA_VERDICT_CODE, htonl(code));
	mnl_attr_nest_end(nlh, verdict);
	mnl_attr_nest_end(nlh, data);
}

static void put_value(struct nlmsghdr *nlh, uint16_t type, const void *value, size_t len)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, type);

	mnl_attr_put(nlh, NFTA_DATA_VALUE, len, value);
	mnl_attr_nest_end(nlh, nest);
}

/* "ADDRESS . tcp . 80 : VERDICT" */
static void put_element(struct nlmsghdr *nlh, const char *addr, size_t addr_len, size_t len, uint32_t verdict)
{
	struct nlattr *element = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);
	uint8_t key[24] = {};

	assert_int_equal(inet_pton(addr_len == 16 ? AF_INET6 : AF_INET, addr, key), 1);
	put_value(nlh, NFTA_SET_ELEM_KEY, key, len);
	put_verdict(nlh, NFTA_SET_ELEM_DATA, verdict);
	mnl_attr_nest_end(nlh, element);
}

static void elements_of_kube_proxys_maps(void **state)
{
	struct nlmsghdr *nlh = start(NFT_MSG_NEWSETELEM, NFPROTO_IPV4);
	struct nlattr *list = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_LIST_ELEMENTS);

	put_element(nlh, "10.96.0.1", 4, 12, NFT_GOTO);
	put_element(nlh, "192.168.1.161", 4, 12, NF_DROP);
	put_element(nlh, "10.96.0.2", 4, 8, NFT_GOTO);		/* too short for a port */
	put_element(nlh, "10.96.0.3", 4, 12, NF_ACCEPT);	/* left alone */
	mnl_attr_nest_end(nlh, list);
	seen[0] = '\0';
	assert_int_equal(nl_parse_service_elements(nlh, keep, NULL), 0);
	assert_string_equal(seen, "10.96.0.1 192.168.1.161 dropped ");

	nlh = start(NFT_MSG_NEWSETELEM, NFPROTO_IPV6);
	list = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_LIST_ELEMENTS);
	put_element(nlh, "fd00::1", 16, 24, NFT_JUMP);
	mnl_attr_nest_end(nlh, list);
	seen[0] = '\0';
	assert_int_equal(nl_parse_service_elements(nlh, keep, NULL), 0);
	assert_string_equal(seen, "fd00::1 ");
	assert_int_equal(nl_parse_service_elements(start(NFT_MSG_NEWSETELEM, NFPROTO_INET), keep, NULL),
		-EBADMSG);
	assert_int_equal(nl_parse_service_elements(start(NFT_MSG_NEWRULE, NFPROTO_IPV4), keep, NULL),
		-EBADMSG);
}

static struct nlattr *begin_expression(struct nlmsghdr *nlh, const char *name, struct nlattr **ret_data)
{
	struct nlattr *expression = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);

	mnl_attr_put_strz(nlh, NFTA_EXPR_NAME, name);
	*ret_data = mnl_attr_nest_start(nlh, NFTA_EXPR_DATA);
	return expression;
}

static void end_expression(struct nlmsghdr *nlh, struct nlattr *expression, struct nlattr *data)
{
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, expression);
}

struct rule {
	uint32_t offset, len, op, verdict;
	const char *target;		/* instead of a verdict */
	bool masks;
};

/* "-d 10.96.0.1/32 -j ..." as iptables-nft writes it. */
static const struct nlmsghdr *rule(const struct rule *r)
{
	static const uint8_t addr[4] = { 10, 96, 0, 1 };
	struct nlmsghdr *nlh = start(NFT_MSG_NEWRULE, NFPROTO_IPV4);
	struct nlattr *list = mnl_attr_nest_start(nlh, NFTA_RULE_EXPRESSIONS), *expression, *data;

	expression = begin_expression(nlh, "payload", &data);
	mnl_attr_put_u32(nlh, NFTA_PAYLOAD_BASE, htonl(NFT_PAYLOAD_NETWORK_HEADER));
	mnl_attr_put_u32(nlh, NFTA_PAYLOAD_OFFSET, htonl(r->offset));
	mnl_attr_put_u32(nlh, NFTA_PAYLOAD_LEN, htonl(r->len));
	end_expression(nlh, expression, data);
	if (r->masks) {
		expression = begin_expression(nlh, "bitwise", &data);
		end_expression(nlh, expression, data);
	}
	expression = begin_expression(nlh, "cmp", &data);
	mnl_attr_put_u32(nlh, NFTA_CMP_OP, htonl(r->op));
	put_value(nlh, NFTA_CMP_DATA, addr, r->len < 4 ? r->len : 4);
	end_expression(nlh, expression, data);
	expression = begin_expression(nlh, r->target ? "target" : "immediate", &data);
	if (r->target)
		mnl_attr_put_strz(nlh, NFTA_TARGET_NAME, r->target);
	else
		put_verdict(nlh, NFTA_IMMEDIATE_DATA, r->verdict);
	end_expression(nlh, expression, data);
	mnl_attr_nest_end(nlh, list);
	return nlh;
}

static void rules_of_iptables_nft(void **state)
{
	struct rule r = { .offset = 16, .len = 4, .op = NFT_CMP_EQ, .verdict = NFT_JUMP };
	struct net_service service;

	assert_int_equal(nl_parse_service_rule(rule(&r), &service), 0);
	seen[0] = '\0';
	keep(&service, NULL);
	assert_string_equal(seen, "10.96.0.1 ");
	assert_false(service.is_dropped);
	r.verdict = NF_DROP;
	assert_int_equal(nl_parse_service_rule(rule(&r), &service), 0);
	assert_true(service.is_dropped);
	r.target = "REJECT";
	assert_int_equal(nl_parse_service_rule(rule(&r), &service), 0);
	assert_false(service.is_dropped);
	r.target = "MARK";
	assert_int_equal(nl_parse_service_rule(rule(&r), &service), -EBADMSG);
}

static void rules_that_name_no_single_destination(void **state)
{
	static const struct rule rules[] = {
		{ .offset = 12, .len = 4, .op = NFT_CMP_EQ, .verdict = NFT_JUMP },	/* the source */
		{ .offset = 16, .len = 3, .op = NFT_CMP_EQ, .verdict = NFT_JUMP },	/* a network */
		{ .offset = 16, .len = 4, .op = NFT_CMP_EQ, .verdict = NFT_JUMP, .masks = true },
		{ .offset = 16, .len = 4, .op = NFT_CMP_NEQ, .verdict = NFT_JUMP },
		{ .offset = 16, .len = 4, .op = NFT_CMP_EQ, .verdict = (uint32_t)NFT_RETURN },
		{ .offset = 24, .len = 16, .op = NFT_CMP_EQ, .verdict = NFT_JUMP },	/* of IPv6 */
	};
	struct net_service service;

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		assert_int_equal(nl_parse_service_rule(rule(&rules[i]), &service), -EBADMSG);
	assert_int_equal(nl_parse_service_rule(start(NFT_MSG_NEWRULE, NFPROTO_IPV4), &service), -EBADMSG);
}

/* iptables-legacy. */

static uint8_t blob[8192];
static size_t blob_len;

static void put_chain(bool six, const char *name)
{
	struct xt_error_target target = { .target.u.user = { .target_size = sizeof(target),
		.name = "ERROR" } };
	struct ip6t_entry six_entry = { .target_offset = sizeof(six_entry),
		.next_offset = sizeof(six_entry) + sizeof(target) };
	struct ipt_entry entry = { .target_offset = sizeof(entry),
		.next_offset = sizeof(entry) + sizeof(target) };
	size_t len = six ? sizeof(six_entry) : sizeof(entry);

	strncpy(target.errorname, name, sizeof(target.errorname) - 1);
	memcpy(blob + blob_len, six ? (void *)&six_entry : (void *)&entry, len);
	memcpy(blob + blob_len + len, &target, sizeof(target));
	blob_len += len + sizeof(target);
}

static void put_rule(const char *dst, uint32_t mask, uint8_t invflags, const char *target, int verdict)
{
	struct xt_standard_target standard = { .target.u.user.target_size = sizeof(standard),
		.verdict = verdict };
	struct ipt_entry entry = { .ip = { .dst.s_addr = inet_addr(dst), .dmsk.s_addr = htonl(mask),
		.invflags = invflags }, .target_offset = sizeof(entry),
		.next_offset = sizeof(entry) + sizeof(standard) };

	strncpy(standard.target.u.user.name, target, sizeof(standard.target.u.user.name) - 1);
	memcpy(blob + blob_len, &entry, sizeof(entry));
	memcpy(blob + blob_len + sizeof(entry), &standard, sizeof(standard));
	blob_len += entry.next_offset;
}

static void entries_of_iptables_legacy(void **state)
{
	struct xt_standard_target standard = { .target.u.user.target_size = sizeof(standard),
		.verdict = 400 };
	struct ip6t_entry entry = { .target_offset = sizeof(entry),
		.next_offset = sizeof(entry) + sizeof(standard) };

	blob_len = 0;
	put_rule("10.1.0.1", ~0U, 0, "", 400);			/* PREROUTING, not ours */
	put_chain(false, "KUBE-SERVICES");
	put_rule("10.96.0.1", ~0U, 0, "", 400);
	put_rule("10.96.0.0", 0xffff0000, 0, "", 400);		/* a network */
	put_rule("10.96.0.2", ~0U, IPT_INV_DSTIP, "", 400);	/* everything else */
	put_rule("10.96.0.3", ~0U, 0, "REJECT", 0);
	put_rule("10.96.0.4", ~0U, 0, "", XT_RETURN);
	put_chain(false, "KUBE-EXTERNAL-SERVICES");
	put_rule("192.168.1.161", ~0U, 0, "", -NF_DROP - 1);
	put_chain(false, "KUBE-SVC-X");
	put_rule("10.96.0.5", ~0U, 0, "", 400);
	put_chain(false, "ERROR");
	seen[0] = '\0';
	assert_int_equal(net_iptables_parse_services(AF_INET, blob, blob_len, keep, NULL), 0);
	assert_string_equal(seen, "10.96.0.1 10.96.0.3 192.168.1.161 dropped ");
	for (size_t len = 0; len < blob_len; len++)
		(void)net_iptables_parse_services(AF_INET, blob, len, keep, NULL);
	assert_int_equal(net_iptables_parse_services(AF_INET, blob, blob_len - 1, keep, NULL), -EBADMSG);

	blob_len = 0;
	put_chain(true, "KUBE-SERVICES");
	assert_int_equal(inet_pton(AF_INET6, "fd00::1", &entry.ipv6.dst), 1);
	memset(&entry.ipv6.dmsk, 0xff, sizeof(entry.ipv6.dmsk));
	memcpy(blob + blob_len, &entry, sizeof(entry));
	memcpy(blob + blob_len + sizeof(entry), &standard, sizeof(standard));
	blob_len += entry.next_offset;
	seen[0] = '\0';
	assert_int_equal(net_iptables_parse_services(AF_INET6, blob, blob_len, keep, NULL), 0);
	assert_string_equal(seen, "fd00::1 ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elements_of_kube_proxys_maps),
		cmocka_unit_test(rules_of_iptables_nft),
		cmocka_unit_test(rules_that_name_no_single_destination),
		cmocka_unit_test(entries_of_iptables_legacy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
