# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Scenarios of test_mesh_map.sh with talon hub as the mesh. Any of them, and of the other files, runs so with MESH_SERVER=hub tests/e2e/runner.sh FILE.

MESH_SERVER=hub
. "$E2E/test_mesh_map.sh"

test_a_network_is_masqueraded_or_not_as_the_hub_says() { test_gateway_sees_the_node_where_the_route_masquerades_and_the_peer_where_not; }

test_a_network_that_the_hub_withdraws_goes_and_comes_back() { test_network_that_is_withdrawn_goes_and_comes_back; }

test_an_address_that_the_hub_changes_is_taken_over_by_all() { test_new_mesh_address_is_taken_over_by_all; }

test_a_peer_that_the_hub_drops_from_the_map_is_shut_out_at_once() { test_peer_that_the_map_drops_is_shut_out_at_once; }

test_a_map_of_the_hub_without_most_peers_closes_at_once() { test_map_without_most_peers_closes_at_once_and_is_forgotten_when_the_next_has_them; }

test_a_domain_route_of_the_hub_answers_and_opens_what_it_answered() { test_domain_route_answers_and_opens_what_it_answered; }
