// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What is read of netfilter and tc: objects of nftables and ipset, filters, tables of iptables-legacy.
#include <arpa/inet.h>
#include <net/if.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/pkt_cls.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "net/nl.h"

static char buf[NL_BUF] __attribute__((aligned(8)));

static struct nlmsghdr *start(uint16_t type, const void *header, size_t len)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(memset(buf, 0, sizeof(buf)));

	nlh->nlmsg_type = type;
	memcpy(mnl_nlmsg_put_extra_header(nlh, len), header, len);
	return nlh;
}

static struct nlmsghdr *start_nf(uint8_t subsystem, uint8_t message, uint8_t family)
{
	const struct nfgenmsg msg = { .nfgen_family = family };

	return start(subsystem << 8 | message, &msg, sizeof(msg));
}

static void assert_reads(const struct nlmsghdr *nlh, enum net_nf_kind kind, const char *table,
	const char *name, int hook)
{
	struct net_nf nf;

	assert_int_equal(nl_parse_nf(nlh, &nf), 0);
	assert_int_equal(nf.kind, kind);
	assert_string_equal(nf.table, table);
	assert_string_equal(nf.name, name);
	assert_int_equal(nf.hook, hook);
}

static void tables_chains_and_sets_have_names(void **state)
{
	struct nlmsghdr *nlh = start_nf(NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWTABLE, NFPROTO_IPV4);
	struct nlattr *nest;

	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, "kube-proxy");
	assert_reads(nlh, NET_NF_TABLE, "kube-proxy", "kube-proxy", -1);

	nlh = start_nf(NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWCHAIN, NFPROTO_INET);
	mnl_attr_put_strz(nlh, NFTA_CHAIN_TABLE, "mangle");
	mnl_attr_put_strz(nlh, NFTA_CHAIN_NAME, "PREROUTING");
	assert_reads(nlh, NET_NF_CHAIN, "mangle", "PREROUTING", -1);
	nest = mnl_attr_nest_start(nlh, NFTA_CHAIN_HOOK);
	mnl_attr_put_u32(nlh, NFTA_HOOK_HOOKNUM, htonl(NF_INET_FORWARD));
	mnl_attr_nest_end(nlh, nest);
	assert_reads(nlh, NET_NF_CHAIN, "mangle", "PREROUTING", NF_INET_FORWARD);

	nlh = start_nf(NFNL_SUBSYS_IPSET, IPSET_CMD_LIST, NFPROTO_IPV4);
	mnl_attr_put_strz(nlh, IPSET_ATTR_SETNAME, "cali40masq-ipam-pools");
	assert_reads(nlh, NET_NF_SET, "", "cali40masq-ipam-pools", -1);
}

static void what_has_no_name_or_is_something_else_is_refused(void **state)
{
	struct net_nf nf = { .hook = 77 };
	struct nlmsghdr *nlh = start_nf(NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWTABLE, NFPROTO_IPV4);

	assert_int_equal(nl_parse_nf(nlh, &nf), -EBADMSG);
	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, "t");
	nlh->nlmsg_len -= 5;	/* an attribute that ends behind the message */
	assert_int_equal(nl_parse_nf(nlh, &nf), -EBADMSG);
	nlh = start_nf(NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWSET, NFPROTO_IPV4);
	mnl_attr_put_strz(nlh, NFTA_SET_NAME, "t");
	assert_int_equal(nl_parse_nf(nlh, &nf), -EBADMSG);
	nlh->nlmsg_len = sizeof(*nlh) + 1;
	assert_int_equal(nl_parse_nf(nlh, &nf), -EBADMSG);
	assert_int_equal(nf.hook, 77);
}

/* One expression: a name and what @put writes. */
static void put_expression(struct nlmsghdr *nlh, const char *name,
	void (*put)(struct nlmsghdr *nlh, uint32_t value), uint32_t value)
{
	struct nlattr *element = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM), *data;

	mnl_attr_put_strz(nlh, NFTA_EXPR_NAME, name);
	data = mnl_attr_nest_start(nlh, NFTA_EXPR_DATA);
	put(nlh, value);
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, element);
}

static void put_ct(struct nlmsghdr *nlh, uint32_t key)
{
	mnl_attr_put_u32(nlh, NFTA_CT_DREG, htonl(NFT_REG_1));
	mnl_attr_put_u32(nlh, NFTA_CT_KEY, htonl(key));
}

static void put_mask(struct nlmsghdr *nlh, uint32_t mask)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, NFTA_BITWISE_MASK);

	mnl_attr_put_u32(nlh, NFTA_DATA_VALUE, mask);
	mnl_attr_nest_end(nlh, nest);
}

static void put_verdict(struct nlmsghdr *nlh, uint32_t verdict)
{
	struct nlattr *data = mnl_attr_nest_start(nlh, NFTA_IMMEDIATE_DATA), *nest;

	nest = mnl_attr_nest_start(nlh, NFTA_DATA_VERDICT);
	mnl_attr_put_u32(nlh, NFTA_VERDICT_CODE, htonl(verdict));
	mnl_attr_nest_end(nlh, nest);
	mnl_attr_nest_end(nlh, data);
}

static void put_match(struct nlmsghdr *nlh, uint32_t state_mask)
{
	const struct xt_conntrack_mtinfo3 info = { .match_flags = XT_CONNTRACK_STATE,
		.invert_flags = state_mask >> 31 ? XT_CONNTRACK_STATE : 0, .state_mask = state_mask };

	mnl_attr_put_strz(nlh, NFTA_MATCH_NAME, "conntrack");
	mnl_attr_put_u32(nlh, NFTA_MATCH_REV, htonl(3));
	mnl_attr_put(nlh, NFTA_MATCH_INFO, sizeof(info), &info);
}

/* A rule as nft ("ct state ... VERDICT") or iptables-nft ("-m conntrack --ctstate ...") writes it. */
static bool drops_invalid(bool is_nft, uint32_t ct_key, uint32_t mask, uint32_t verdict)
{
	struct nlmsghdr *nlh = start_nf(NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWRULE, NFPROTO_IPV4);
	struct nlattr *list;
	struct net_nf nf;

	mnl_attr_put_strz(nlh, NFTA_RULE_TABLE, "mangle");
	mnl_attr_put_strz(nlh, NFTA_RULE_CHAIN, "PREROUTING");
	list = mnl_attr_nest_start(nlh, NFTA_RULE_EXPRESSIONS);
	if (is_nft) {
		put_expression(nlh, "ct", put_ct, ct_key);
		put_expression(nlh, "bitwise", put_mask, mask);
	} else {
		put_expression(nlh, "match", put_match, mask);
	}
	put_expression(nlh, "immediate", put_verdict, verdict);
	mnl_attr_nest_end(nlh, list);
	assert_int_equal(nl_parse_nf(nlh, &nf), 0);
	assert_string_equal(nf.table, "mangle");
	assert_string_equal(nf.name, "PREROUTING");
	return nf.drops_invalid;
}

static void a_rule_that_drops_what_is_invalid_is_known_by_either_form(void **state)
{
	const uint32_t invalid = XT_CONNTRACK_STATE_INVALID, established = XT_CONNTRACK_STATE_BIT(0);

	assert_true(drops_invalid(true, NFT_CT_STATE, invalid, NF_DROP));
	assert_true(drops_invalid(true, NFT_CT_STATE, invalid | established, NF_DROP));
	assert_false(drops_invalid(true, NFT_CT_STATE, established, NF_DROP));
	assert_false(drops_invalid(true, NFT_CT_STATE, invalid, NF_ACCEPT));
	assert_false(drops_invalid(true, NFT_CT_STATUS, invalid, NF_DROP));
	assert_true(drops_invalid(false, 0, invalid, NF_DROP));
	assert_false(drops_invalid(false, 0, established, NF_DROP));
	assert_false(drops_invalid(false, 0, invalid, NF_ACCEPT));
	assert_false(drops_invalid(false, 0, invalid | 1U << 31, NF_DROP));	/* ! --ctstate */
}

static struct nlmsghdr *a_filter(const char *kind, uint32_t prog_id)
{
	const struct tcmsg msg = { .tcm_handle = 0x54, .tcm_info = TC_H_MAKE(7 << 16, htons(ETH_P_ALL)) };
	struct nlmsghdr *nlh = start(RTM_NEWTFILTER, &msg, sizeof(msg));
	struct nlattr *nest;

	mnl_attr_put_strz(nlh, TCA_KIND, kind);
	nest = mnl_attr_nest_start(nlh, TCA_OPTIONS);
	if (prog_id)
		mnl_attr_put_u32(nlh, TCA_BPF_ID, prog_id);
	mnl_attr_put_strz(nlh, TCA_BPF_NAME, "cil_from_netdev-eth0");
	mnl_attr_nest_end(nlh, nest);
	return nlh;
}

static void a_filter_says_which_program_it_has(void **state)
{
	struct net_filter filter;

	assert_int_equal(nl_parse_filter(a_filter("bpf", 17), &filter), 0);
	assert_int_equal(filter.prog_id, 17);
	assert_int_equal(filter.priority, 7);
	assert_int_equal(filter.handle, 0x54);
	assert_string_equal(filter.name, "cil_from_netdev-eth0");
	assert_int_equal(nl_parse_filter(a_filter("bpf", 0), &filter), -EBADMSG);
	assert_int_equal(nl_parse_filter(a_filter("u32", 17), &filter), -EBADMSG);
}

/* iptables-legacy. */

static uint8_t blob[4096];
static size_t blob_len;
static char chains[256];

static void put_entry(const char *target, const char *error, uint16_t target_size)
{
	struct ipt_entry entry = { .target_offset = sizeof(entry),
		.next_offset = sizeof(entry) + target_size };
	struct xt_error_target data = { .target.u.user.target_size = target_size };

	strncpy(data.target.u.user.name, target, sizeof(data.target.u.user.name) - 1);
	strncpy(data.errorname, error, sizeof(data.errorname) - 1);
	memcpy(blob + blob_len, &entry, sizeof(entry));
	memcpy(blob + blob_len + sizeof(entry), &data, target_size < sizeof(data) ? target_size
		: sizeof(data));
	blob_len += entry.next_offset;
}

static void keep_chain(const char *table, const char *chain, void *user)
{
	snprintf(chains + strlen(chains), sizeof(chains) - strlen(chains), "%s/%s ", table, chain);
}

static int read_blob(size_t len)
{
	chains[0] = '\0';
	return net_iptables_parse(blob, len, keep_chain, "nat", NULL);
}

static void the_chains_of_a_legacy_table_are_found(void **state)
{
	struct ipt_entry *first = (struct ipt_entry *)blob;

	blob_len = 0;
	put_entry("", "", sizeof(struct xt_standard_target));
	put_entry("ERROR", "KUBE-SERVICES", sizeof(struct xt_error_target));
	put_entry("MASQUERADE", "not a chain", sizeof(struct xt_error_target));
	put_entry("ERROR", "cali-PREROUTING", sizeof(struct xt_error_target));
	put_entry("ERROR", "ERROR", sizeof(struct xt_error_target));	/* the end of every table */
	assert_int_equal(read_blob(blob_len), 0);
	assert_string_equal(chains, "nat/KUBE-SERVICES nat/cali-PREROUTING ");
	/* cut short, and lying about lengths */
	for (size_t len = 0; len < blob_len; len++)
		(void)read_blob(len);
	assert_int_equal(read_blob(blob_len - 1), -EBADMSG);
	first->next_offset = 0;
	assert_int_equal(read_blob(blob_len), -EBADMSG);
	first->next_offset = sizeof(*first) + sizeof(struct xt_standard_target);
	first->target_offset = 4000;
	assert_int_equal(read_blob(blob_len), -EBADMSG);
	assert_string_equal(chains, "");
}

/* A subsystem is asked only if it is there: the question alone would load it. */
static void netfilter_is_there_as_a_module_or_built_in(void **state)
{
	char root[] = "/tmp/talon-netfilter-XXXXXX", path[128];
	FILE *f;

	assert_non_null(mkdtemp(root));
	assert_false(net_nf_is_there(root, NET_NF_TABLE));
	snprintf(path, sizeof(path), "mkdir -p %s/sys/module/nf_tables %s/proc", root, root);
	assert_int_equal(system(path), 0);
	assert_true(net_nf_is_there(root, NET_NF_CHAIN));
	assert_false(net_nf_is_there(root, NET_NF_SET));
	snprintf(path, sizeof(path), "%s/proc/kallsyms", root);
	f = fopen(path, "we");
	fputs("0000000000000000 T ip_set_create_not\n0000000000000000 t ip_set_create\t[ip_set]\n", f);
	fclose(f);
	assert_true(net_nf_is_there(root, NET_NF_SET));
	snprintf(path, sizeof(path), "rm -rf %s", root);
	assert_int_equal(system(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_chains_and_sets_have_names),
		cmocka_unit_test(what_has_no_name_or_is_something_else_is_refused),
		cmocka_unit_test(a_rule_that_drops_what_is_invalid_is_known_by_either_form),
		cmocka_unit_test(a_filter_says_which_program_it_has),
		cmocka_unit_test(the_chains_of_a_legacy_table_are_found),
		cmocka_unit_test(netfilter_is_there_as_a_module_or_built_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
