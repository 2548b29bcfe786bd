// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the API server says, and what follows from it.
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kube/internal.h"

#define SERVICE(name, ip, annotations) \
	"{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"web\",\"resourceVersion\":\"7\"" \
	annotations "}," \
	"\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"" ip "\"}]}}}"
#define VIP_HOST(node) ",\"annotations\":{\"kube-vip.io/vipHost\":\"" node "\"}"
#define LEASE(name, holder, version) \
	"{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"kube-system\"," \
	"\"resourceVersion\":\"" version "\"}," \
	"\"spec\":{\"holderIdentity\":\"" holder "\"}}"
#define L2_STATUS(node) \
	"{\"metadata\":{\"name\":\"l2-x\",\"namespace\":\"metallb-system\"},\"status\":{\"node\":\"" node \
	"\",\"serviceName\":\"shop\",\"serviceNamespace\":\"web\"}}"
#define LIST(items) "{\"kind\":\"List\",\"metadata\":{\"resourceVersion\":\"100\"},\"items\":[" items "]}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}"
#define CILIUM "cilium-l2announce-web-shop"

struct world {
	struct kube_objects of[KUBE_KINDS];
	char version[KUBE_VERSION_LEN];
};

static int setup(void **state)
{
	static struct world w;

	w = (struct world){};
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < KUBE_KINDS; i++)
		kube_objects_done(&w->of[i]);
	return 0;
}

static int page(struct world *w, enum kube_kind kind, const char *text)
{
	struct kube_page page = {};
	int ret = kube_read_page(kind, text, strlen(text), &w->of[kind], &page);

	if (!ret)
		memcpy(w->version, page.version, sizeof(page.version));
	return ret;
}

static int event(struct world *w, enum kube_kind kind, const char *text)
{
	return kube_read_event(kind, text, strlen(text), &w->of[kind], w->version);
}

static void is_held(struct world *w, enum config_vip_source source, const char *holder)
{
	struct kube_vip list[8];
	size_t count = kube_list_vips(source, "here", w->of, list, 8);

	assert_int_equal(count, holder ? 1 : 0);
	if (!holder)
		return;
	assert_int_equal(list[0].address.word[0], inet_addr("192.168.1.220"));
	assert_string_equal(list[0].holder, holder);
	assert_int_equal(list[0].is_here, !strcmp(holder, "here"));
	assert_string_equal(list[0].service, "web/shop");
}

static void a_lease_of_cilium_says_who_holds_the_services_address(void **state)
{
	assert_int_equal(page(*state, KUBE_SERVICES, LIST(SERVICE("shop", "192.168.1.220", ""))), 0);
	is_held(*state, CONFIG_VIP_CILIUM, NULL);
	assert_int_equal(page(*state, KUBE_LEASES, LIST(LEASE("kube-scheduler", "x", "3") ","
		LEASE(CILIUM, "there", "4"))), 0);
	is_held(*state, CONFIG_VIP_CILIUM, "there");
	is_held(*state, CONFIG_VIP_AUTO, "there");
	is_held(*state, CONFIG_VIP_METALLB, NULL);
	is_held(*state, CONFIG_VIP_KUBE_VIP, NULL);
	assert_int_equal(event(*state, KUBE_LEASES, EVENT("MODIFIED", LEASE(CILIUM, "here", "101"))), 0);
	assert_string_equal(((struct world *)*state)->version, "101");
	is_held(*state, CONFIG_VIP_CILIUM, "here");
}

static void a_released_lease_leaves_the_last_holder(void **state)
{
	a_lease_of_cilium_says_who_holds_the_services_address(state);
	assert_int_equal(event(*state, KUBE_LEASES, EVENT("MODIFIED", LEASE(CILIUM, "", "102"))), 0);
	is_held(*state, CONFIG_VIP_CILIUM, "here");
	assert_int_equal(event(*state, KUBE_LEASES, EVENT("DELETED", LEASE(CILIUM, "", "103"))), 0);
	is_held(*state, CONFIG_VIP_CILIUM, NULL);
}

static void a_service_that_loses_its_address_is_forgotten(void **state)
{
	a_lease_of_cilium_says_who_holds_the_services_address(state);
	assert_int_equal(event(*state, KUBE_SERVICES, EVENT("MODIFIED", SERVICE("shop", "", ""))), 0);
	is_held(*state, CONFIG_VIP_CILIUM, NULL);
}

static void what_a_new_list_does_not_name_is_gone(void **state)
{
	struct world *w = *state;

	a_lease_of_cilium_says_who_holds_the_services_address(state);
	kube_objects_begin(&w->of[KUBE_LEASES]);
	assert_int_equal(page(w, KUBE_LEASES, LIST(LEASE("kubevip-other", "x", "3"))), 0);
	kube_objects_sweep(&w->of[KUBE_LEASES]);
	assert_int_equal(w->of[KUBE_LEASES].count, 1);
	is_held(w, CONFIG_VIP_CILIUM, NULL);
}

static void metallb_names_the_node_in_a_status(void **state)
{
	assert_int_equal(page(*state, KUBE_SERVICES, LIST(SERVICE("shop", "192.168.1.220", ""))), 0);
	assert_int_equal(page(*state, KUBE_L2_STATUSES, LIST(L2_STATUS("there"))), 0);
	is_held(*state, CONFIG_VIP_METALLB, "there");
	assert_int_equal(event(*state, KUBE_L2_STATUSES, EVENT("MODIFIED", L2_STATUS("here"))), 0);
	is_held(*state, CONFIG_VIP_AUTO, "here");
	is_held(*state, CONFIG_VIP_CILIUM, NULL);
}

static void kube_vips_own_lease_goes_before_the_annotation_and_that_before_the_lease_for_all(void **state)
{
	assert_int_equal(page(*state, KUBE_SERVICES, LIST(SERVICE("shop", "192.168.1.220", ""))), 0);
	assert_int_equal(page(*state, KUBE_LEASES, LIST(LEASE("plndr-svcs-lock", "all", "3"))), 0);
	is_held(*state, CONFIG_VIP_KUBE_VIP, "all");
	is_held(*state, CONFIG_VIP_AUTO, NULL);
	assert_int_equal(event(*state, KUBE_SERVICES, EVENT("MODIFIED", SERVICE("shop", "192.168.1.220",
		VIP_HOST("noted")))), 0);
	is_held(*state, CONFIG_VIP_KUBE_VIP, "noted");
	is_held(*state, CONFIG_VIP_AUTO, "noted");
	assert_int_equal(event(*state, KUBE_LEASES, EVENT("ADDED", LEASE("kubevip-shop", "here", "5"))), 0);
	is_held(*state, CONFIG_VIP_KUBE_VIP, "here");
}

static void a_shared_address_that_one_service_has_here_is_here(void **state)
{
	assert_int_equal(page(*state, KUBE_SERVICES,
		LIST(SERVICE("shop", "192.168.1.220", VIP_HOST("here")) "," SERVICE("till", "192.168.1.220",
		VIP_HOST("there")))), 0);
	is_held(*state, CONFIG_VIP_KUBE_VIP, "here");
}

static void a_version_that_is_too_old_asks_for_a_new_list(void **state)
{
	assert_int_equal(event(*state, KUBE_LEASES, EVENT("ERROR", "{\"kind\":\"Status\",\"code\":410}")),
		-ESTALE);
	assert_int_equal(event(*state, KUBE_LEASES, EVENT("ERROR", "{\"kind\":\"Status\",\"code\":500}")),
		-EBADMSG);
}

static void a_bookmark_moves_the_version_alone(void **state)
{
	struct world *w = *state;

	a_lease_of_cilium_says_who_holds_the_services_address(state);
	assert_int_equal(event(w, KUBE_LEASES, EVENT("BOOKMARK",
		"{\"kind\":\"Lease\",\"metadata\":{\"resourceVersion\":\"900\"}}")), 0);
	assert_string_equal(w->version, "900");
	is_held(w, CONFIG_VIP_CILIUM, "here");
}

static void what_is_no_answer_is_refused(void **state)
{
	static const char *const bad[] = { "", "[", "{}", "{\"items\":3}", "{\"items\":[]}",
		"{\"metadata\":{\"resourceVersion\":\"1&x=y\"},\"items\":[]}" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(page(*state, KUBE_SERVICES, bad[i]), -EBADMSG);
		assert_int_equal(event(*state, KUBE_SERVICES, bad[i]), -EBADMSG);
	}
	assert_int_equal(page(*state, KUBE_L2_STATUSES,
		"{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":null}"), 0);
}

static int gather(void *ctx, const char *line, size_t len)
{
	strncat(ctx, line, len);
	strcat(ctx, "|");
	return 0;
}

static void lines_come_whole_however_they_were_cut(void **state)
{
	static const char body[] = "one\n\ntwo\nthree";

	for (size_t cut = 1; cut < sizeof(body); cut++) {
		struct kube_lines lines = {};
		char got[64] = "";

		for (size_t at = 0; at < sizeof(body) - 1; at += cut) {
			size_t left = sizeof(body) - 1 - at;

			assert_int_equal(kube_lines_feed(&lines, body + at, left < cut ? left : cut, gather,
				got), 0);
		}
		assert_string_equal(got, "one|two|");
		assert_int_equal(kube_lines_end(&lines, gather, got), 0);
		assert_string_equal(got, "one|two|three|");
		kube_lines_done(&lines);
	}
}

static void a_line_without_end_is_refused(void **state)
{
	static char part[1 << 20];
	struct kube_lines lines = {};
	char got[8] = "";
	int ret = 0;

	memset(part, 'x', sizeof(part));
	for (size_t sent = 0; !ret; sent += sizeof(part)) {
		assert_true(sent <= KUBE_LINE_MAX);
		ret = kube_lines_feed(&lines, part, sizeof(part), gather, got);
	}
	assert_int_equal(ret, -EMSGSIZE);
	kube_lines_done(&lines);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_lease_of_cilium_says_who_holds_the_services_address),
		CASE(a_released_lease_leaves_the_last_holder),
		CASE(a_service_that_loses_its_address_is_forgotten),
		CASE(what_a_new_list_does_not_name_is_gone),
		CASE(metallb_names_the_node_in_a_status),
		CASE(kube_vips_own_lease_goes_before_the_annotation_and_that_before_the_lease_for_all),
		CASE(a_shared_address_that_one_service_has_here_is_here),
		CASE(a_version_that_is_too_old_asks_for_a_new_list),
		CASE(a_bookmark_moves_the_version_alone),
		CASE(what_is_no_answer_is_refused),
		CASE(lines_come_whole_however_they_were_cut),
		CASE(a_line_without_end_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
