# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The three dashboards. Panels that draw a line for each node show the ten most telling ones (topk, bottomk): they read the same with
one node and with fifty. topk chooses at each point in time, so over a long range there may be more than ten lines."""
from grafana import (CLASSIC, GREEN, RED, YELLOW, dashboard, expression, graph, mapping, stat, steps, table, variable)

# A line to stay above: only the line is drawn in this colour.
def floor(value):
    return steps("transparent", (value, RED))


NONE_IS_RIGHT = steps(GREEN, (1, RED))
YES_NO = mapping(v0=("no", RED), v1=("yes", GREEN))
UP_DOWN = mapping(v0=("down", RED), v1=("up", GREEN))
FILL = steps(GREEN, (0.8, YELLOW), (0.9, RED))


def rate(metric, more="", by=""):
    selection = "@S" + (", " + more if more else "")
    inner = f"rate(talon_{metric}{{{selection}}}[@R])"
    return f"sum by ({by}) ({inner})" if by else f"sum({inner})"


# Packets that are ours: a drop is a share of these, not of what merely passes by.
OURS = "(rate(talon_program_packets_total{@S}[@R]) - rate(talon_program_passed_packets_total{@S}[@R]))"


def drop_share(by=""):
    how = f" by ({by})" if by else ""
    return f"sum{how} (rate(talon_drops_total{{@S}}[@R])) / clamp_min(sum{how} {OURS}, 1)"


def some(count, metric, label):
    """The largest of those that are not zero, or one line that says none: dozens of zeros are hard to read."""
    return f'topk({count}, {rate(metric, by=label)} > 0) or on () label_replace(vector(0), "{label}", "none", "", "")'


def whole(*queries):
    return list(queries)


def overview():
    well = [
        stat("Nodes", "none", "Nodes that answer scrapes.", "runbooks/TalonScrapeDown.md", "count(up{@S} == 1) or vector(0)"),
        stat("Not scraped", "none", "Nodes whose last scrape failed. Red from the first one: nothing is known of it.",
             "runbooks/TalonScrapeDown.md", "count(up{@S} == 0) or vector(0)", NONE_IS_RIGHT),
        stat("Not ready", "none", "Nodes that answer and cannot serve packets. Red from the first one.",
             "runbooks/TalonNotReady.md", "count(talon_datapath_ready{@S} == 0) or vector(0)", NONE_IS_RIGHT),
        stat("No controller", "none", """Nodes whose controller is gone or hangs. Their tunnels go on until keys expire, at most 180 s:
             yellow for the first, red if there are three, which is no single accident.""",
             "runbooks/TalonNoController.md", "count(talon_controller_up{@S} == 0) or vector(0)", steps(GREEN, (1, YELLOW), (3, RED))),
        stat("Alerts", "none", """Warnings and critical alerts of Talon's rules that are firing, for all nodes; the table below has those of severity
             info, too. Zero also if the rules are not loaded.""",
             "monitoring.md", 'count(ALERTS{alertname=~"Talon.*", alertstate="firing", severity!="info"}) or vector(0)', NONE_IS_RIGHT),
        stat("Peers connected", "none", "Peers with a session and a handshake in the last 180 s, added up over nodes.",
             "status.md", 'sum(talon_peers{@S, state="connected"})'),
        stat("Throughput", "bps", "Bits of WireGuard data messages, both directions together.", "status.md", f"8 * {rate('tunnel_bytes_total')}",
             decimals=1),
        stat("Dropped", "percentunit", """Dropped packets, as a share of all packets that are ours. Yellow from 1 %: TCP slows down noticeably;
             red from 5 %: most users complain.""", "runbooks/TalonDropsAboveBaseline.md", drop_share(),
             steps(GREEN, (0.01, YELLOW), (0.05, RED)), decimals=2),
        table("Alerts that fire", "Of Talon's rules. Each has a page in docs/runbooks. Empty when all is well, and if the rules are not loaded.",
              "monitoring.md", [(None, "none", 'count by (severity, alertname, instance) (ALERTS{alertname=~"Talon.*", alertstate="firing"})', {})],
              height=5, by=("severity", "alertname", "instance"), sort=("Severity", False), doc_title="Alerts"),
    ]
    traffic = [
        graph("Traffic", "bps", "Bits a second in WireGuard data messages: receive is from peers, transmit to peers.", "status.md",
              (f"8 * {rate('tunnel_bytes_total', by='direction')}", "{{direction}}"), doc_title="Packets"),
        graph("Traffic of the busiest nodes", "bps", "Both directions together, ten nodes.", "status.md",
              (f"topk(10, 8 * {rate('tunnel_bytes_total', by='instance')})", "{{instance}}"), doc_title="Packets"),
        graph("Packets by outcome", "pps", """How packets of ours ended, other than by a drop. forwarded and local are the normal ends; much
              held or icmp_sent asks for a look.""", "status.md",
              (some(10, "packets_total", "outcome"), "{{outcome}}"), stacked=True, doc_title="Packets"),
        graph("Direct and relayed", "bps", "By the path that the packets took. Relayed traffic is slower, and costs the relay.",
              "runbooks/TalonPeersOnlyRelayed.md", (f"8 * {rate('tunnel_bytes_total', by='path')}", "{{path}}"), stacked=True),
        graph("Drops by reason", "pps", "The ten reasons with most drops. Some strays are normal on a port that the Internet reaches.",
              "runbooks/TalonDropsAboveBaseline.md", (some(10, "drops_total", "reason"), "{{reason}}"), stacked=True),
        graph("Share of packets dropped", "percentunit", "Of packets that are ours, the ten worst nodes. Lines at 1 % and 5 %, as above.",
              "runbooks/TalonDropsAboveBaseline.md", (f"topk(10, {drop_share('instance')})", "{{instance}}"),
              thresholds=steps(GREEN, (0.01, YELLOW), (0.05, RED)), top=0.06),
    ]
    peers = [
        graph("Peers", "none", """connected: a session and a handshake in the last 180 s; idle: had one once; never: had none since the datapath
              began.""", "status.md", ("sum by (state) (talon_peers{@S})", "{{state}}"), stacked=True, width=8),
        graph("Newest handshake", "s", """How long ago the last handshake with any peer was. It stays below 180 s where a peer is connected:
              line at 180 s.""", "runbooks/TalonNoController.md", ("topk(10, talon_newest_handshake_age_seconds{@S})", "{{instance}}"),
              thresholds=steps(GREEN, (180, RED)), width=8),
        graph("Time until a key expires", "s", """The key that expires first, of peers that were heard lately; the ten shortest. Keys last 180 s
              and are renewed after 120 s: below 60 s (line) a renewal is overdue.""", "runbooks/TalonKeysExpiring.md",
              ("bottomk(10, talon_session_expiry_seconds{@S})", "{{instance}}"), thresholds=floor(60), width=8),
        graph("Handshake messages received", "cps", """By result. initiation and response are good; cookie, rate_limited and
              bad_mac2_under_load mean a flood; unknown_peer somebody who was removed.""", "status.md",
              (some(10, "handshake_messages_total", "result"), "{{result}}"), doc_title="Results"),
        graph("NAT", "percentunit", """Flow records held, as a share of all (ten nodes), and the fullest protocol's ports. At 80 % (line) the
              busiest peers are cut already.""", "runbooks/TalonNatFlowsShort.md",
              whole(("topk(10, talon_nat_pressure_ratio{@S})", "records {{instance}}"),
                    ("topk(10, max by (instance) (talon_nat_ports_used{@S} / on (job, instance) group_left () talon_nat_ports{@S}))",
                     "ports {{instance}}")), thresholds=FILL, top=1),
    ]
    mesh = [
        graph("Connected to servers", "none", "Nodes that are connected to management, to signal, and to at least one relay. Without a mesh: none.",
              "runbooks/TalonManagementGone.md",
              whole(("sum(talon_management_connected{@S})", "management"), ("sum(talon_signal_connected{@S})", "signal"),
                    ('sum(talon_relays{@S, state="connected"} > bool 0)', "relay")), width=8),
        graph("Network map", "none", """How many maps a node is behind the newest one that any node has. A node that stays behind does not hear
              from management.""", "runbooks/TalonManagementGone.md",
              ("topk(10, scalar(max(talon_network_map_serial{@S})) - talon_network_map_serial{@S})", "{{instance}}"), width=8),
        graph("How peers are reached", "none", "Peers of the mesh, added up over nodes: direct, relay, connecting, idle.",
              "runbooks/TalonPeersOnlyRelayed.md", ("sum by (path) (talon_peer_paths{@S})", "{{path}}"), stacked=True, width=8),
        graph("Time to apply a change", "s", "Duration of the last change that was applied, the ten slowest nodes.", "monitoring.md",
              ("topk(10, talon_apply_last_seconds{@S})", "{{instance}}"), width=8),
        graph("Path changes", "cps", "Peers whose way became a direct one, the relay, or none.", "runbooks/TalonPeersOnlyRelayed.md",
              (rate("peer_path_changes_total", by="to"), "{{to}}"), width=8),
        graph("Connections made to servers", "cps", "Reconnects: a line that does not return to zero is a server or a proxy that cuts connections.",
              "runbooks/TalonManagementGone.md",
              whole((rate("management_connects_total"), "management"), (rate("signal_connects_total"), "signal"),
                    (rate("relay_connects_total"), "relay")), width=8),
    ]
    nodes = [
        table("Node by node", """One line for each node; a click on its name opens its data path. Columns of the mesh are empty with a static file.""",
              "monitoring.md", [
                  ("Ready", "none", "max by (instance) (talon_datapath_ready{@S})", {"mappings": YES_NO}),
                  ("Controller", "none", "max by (instance) (talon_controller_up{@S})", {"mappings": UP_DOWN}),
                  (None, "none", "max by (instance, version) (talon_controller_build_info{@S})", {}),
                  (None, "none", "max by (instance, mode, kernel) (talon_node_info{@S})", {}),
                  ("Peers", "none", 'max by (instance) (talon_peers{@S, state="connected"})', {}),
                  ("Traffic", "bps", f"8 * {rate('tunnel_bytes_total', by='instance')}", {}),
                  ("Drops", "pps", rate("drops_total", by="instance"), {"thresholds": steps(GREEN, (10, YELLOW))}),
                  ("NAT records", "percentunit", "max by (instance) (talon_nat_pressure_ratio{@S})", {"thresholds": FILL}),
                  ("Hazards", "none", "max by (instance) (talon_hazards{@S})", {"thresholds": steps(GREEN, (1, YELLOW))}),
                  ("Management", "none", "max by (instance) (talon_management_connected{@S})", {"mappings": UP_DOWN}),
                  ("Map", "none", "max by (instance) (talon_network_map_serial{@S})", {}),
              ], by=("instance", "version", "mode", "kernel"), sort=("Ready", False), doc_title="Monitoring"),
    ]
    return [("Is it well?", well), ("Traffic", traffic), ("Peers and NAT", peers), ("Mesh", mesh), ("Nodes", nodes)]


def datapath():
    state = [
        stat("Ready", "none", "Nodes of the selection that can serve packets.", "runbooks/TalonNotReady.md",
             "sum(talon_datapath_ready{@S})", width=4),
        stat("Programs missing", "none", "Places where a program should be and is not. Red from the first one: packets pass by Talon there.",
             "runbooks/TalonProgramNotAttached.md", "count(talon_hook_attached{@S} == 0) or vector(0)", NONE_IS_RIGHT, width=4),
        stat("Attached again", "none", "Times in the selected range that a program was gone and was attached again: something removes it.",
             "runbooks/TalonProgramNotAttached.md", "sum(increase(talon_datapath_reattached_total{@S}[$__range]))",
             steps(GREEN, (1, YELLOW)), width=4, decimals=0),
        stat("Hazards", "none", "Settings of these hosts that can break traffic. Yellow from the first one.", "runbooks/TalonHazards.md",
             "sum(talon_hazards{@S})", steps(GREEN, (1, YELLOW)), width=4),
        stat("Kernel memory of maps", "bytes", "Memory of all maps, as the kernel charges it; most of it is reserved at the start.",
             "architecture.md", "sum(talon_map_memory_bytes{@S})", width=4),
        stat("Controllers that took over", "none", "Times in the selected range that a new controller took over. Red from four: it keeps ending.",
             "runbooks/TalonControllerRestarts.md", "sum(increase(talon_datapath_adoptions_total{@S}[$__range]))",
             steps(GREEN, (4, RED)), width=4, decimals=0),
        table("Programs", "Where programs should be: attached or not. Sorted with the missing ones first.",
              "runbooks/TalonProgramNotAttached.md",
              [("Attached", "none", "max by (instance, kind, device) (talon_hook_attached{@S})", {"mappings": YES_NO})],
              width=12, height=8, by=("instance", "kind", "device"), sort=("Attached", False)),
        graph("What keeps packets from flowing", "none", """Nodes by what blocks them though all is attached: stopped (the controller was told to
              stop), starting, forwarding (a sysctl), uplink (gone).""", "runbooks/TalonNotReady.md",
              ("sum by (reason) (talon_datapath_blocked{@S})", "{{reason}}")),
    ]
    packets = [
        graph("Packets that programs saw", "pps", "All packets that the kernel gave to a program, ours or not, by program.", "architecture.md",
              (rate("program_packets_total", by="program"), "{{program}}"), doc_title="Architecture"),
        graph("Packets of the busiest nodes", "pps", "The same, ten nodes.", "architecture.md",
              (f"topk(10, {rate('program_packets_total', by='instance')})", "{{instance}}"), doc_title="Architecture"),
        graph("Outcomes by direction", "pps", """in: from peers; out: from the network to peers; tunnel: from these hosts to peers; onward: on the
              last step out of the relay pair. Without drops.""", "status.md",
              (f"topk(12, {rate('packets_total', by='direction, outcome')} > 0)", "{{direction}} {{outcome}}"), doc_title="Packets"),
        graph("Left to the host", "pps", "Packets that are not ours and went their usual way, by program.", "architecture.md",
              (rate("program_passed_packets_total", by="program"), "{{program}}"), doc_title="Architecture"),
        graph("Time per packet", "s", """Mean time of a run of each program. Only while the kernel counts (sysctl kernel.bpf_stats_enabled=1),
              which itself costs some 20 ns a run. About 1 us is usual with keystream made ahead, 5 us inline.""", "performance.md",
              ("sum by (program) (rate(talon_program_run_seconds_total{@S}[@R])) / sum by (program) (rate(talon_program_runs_total{@S}[@R]))",
               "{{program}}"), doc_title="Performance"),
        graph("Cores spent in programs", "none", """CPU seconds a second: 1 is a whole core. Only while the kernel counts. The work of one
              receive queue cannot exceed one core: line at 0.8 of one.""", "performance.md",
              ("topk(10, sum by (instance) (rate(talon_program_run_seconds_total{@S}[@R])))", "{{instance}}"),
              thresholds=steps(GREEN, (0.8, YELLOW)), doc_title="Performance"),
    ]
    drops = [
        graph("Drops", "pps", "The fifteen pairs of direction and reason with most drops.", "runbooks/TalonDropsAboveBaseline.md",
              (f"topk(15, {rate('drops_total', by='direction, reason')} > 0) or on () label_replace(vector(0), \"reason\", \"none\", \"\", \"\")",
               "{{direction}} {{reason}}"), stacked=True),
        table("Drops in the selected range", "What was dropped, by node, direction and reason; those that are not zero.",
              "runbooks/TalonDropsAboveBaseline.md",
              [("Packets", "none", "topk(50, sum by (instance, direction, reason) (increase(talon_drops_total{@S}[$__range])) > 0)",
                {"decimals": 0})],
              width=12, height=8, by=("instance", "direction", "reason"), sort=("Packets", True)),
    ]
    crypto = [
        graph("Packets with keystream ready", "percentunit", """Share of data messages whose keystream lay ready. In good order nearly all of a
              busy session; the first packets of a session and rare packets go inline. Line at 50 %, below which the alert fires under load.""",
              "runbooks/TalonInlineCryptoHigh.md",
              ('sum by (direction) (rate(talon_tunnel_packets_total{@S, crypto="ahead"}[@R])) '
               '/ sum by (direction) (rate(talon_tunnel_packets_total{@S}[@R]))', "{{direction}}"),
              thresholds=floor(0.5), top=1, width=8),
        graph("Packets encrypted inline", "pps", "Ten nodes. 10,000 a second of full size are about 4 % of a core: line.",
              "runbooks/TalonInlineCryptoHigh.md",
              ("topk(10, " + rate("tunnel_packets_total", 'crypto="inline"', "instance") + ")", "{{instance}}"),
              thresholds=steps(GREEN, (10000, YELLOW)), width=8),
        graph("Keystream slots", "pps", "Slots filled a second, and how many of them were never used. Much waste is CPU time of the helper, no fault.",
              "runbooks/TalonKeystreamHelperGone.md",
              whole((rate("keystream_slots_made_total"), "made"), (rate("keystream_slots_wasted_total"), "wasted")), width=8),
        graph("Room for keystream", "percentunit", """Slots that belong to a window, as a share of all. Near 1 more memory (KeystreamMemory) lets
              more sessions have windows: line at 0.9.""", "runbooks/TalonInlineCryptoHigh.md",
              ("topk(10, talon_keystream_slots_assigned{@S} / talon_keystream_slots{@S})", "{{instance}}"),
              thresholds=steps(GREEN, (0.9, YELLOW)), top=1, width=8),
        graph("Helper's longest gap", "s", "The longest recent time for which the helper was not run; windows are sized to last twice as long.",
              "runbooks/TalonInlineCryptoHigh.md", ("topk(10, talon_keystream_helper_gap_seconds{@S})", "{{instance}}"), width=8),
        graph("Helpers that run", "none", "Nodes whose helper runs, and nodes that make keystream ahead. The lines should be one.",
              "runbooks/TalonKeystreamHelperGone.md",
              whole(("sum(talon_keystream_helper_up{@S})", "running"), ("count(talon_keystream_helper_up{@S})", "should run")), width=8),
    ]
    nat = [
        graph("Flows", "none", "Live flows, ten nodes.", "nat-behaviour.md", ("topk(10, talon_nat_flows{@S})", "{{instance}}"), width=8,
              doc_title="NAT"),
        graph("Flow records held", "percentunit", """Of live flows, and of ended ones that are not free yet. At 80 % (line) one peer may hold no
              more than 60 % of the table.""", "runbooks/TalonNatFlowsShort.md", ("topk(10, talon_nat_pressure_ratio{@S})", "{{instance}}"),
              thresholds=FILL, top=1, width=8),
        graph("Ports in use", "percentunit", "Of the SNAT range, by protocol (ICMP: ids), the fullest ten. Line at 80 %, where the alert fires.",
              "runbooks/TalonNatPortsShort.md",
              ("topk(10, talon_nat_ports_used{@S} / on (job, instance) group_left () talon_nat_ports{@S})", "{{instance}} {{protocol}}"),
              thresholds=FILL, top=1, width=8),
        graph("Flows made and ended", "cps", "hastened: ended early, to make room.", "nat-behaviour.md",
              whole((rate("nat_flows_opened_total"), "created"), (rate("nat_flows_expired_total"), "ended"),
                    (rate("nat_flows_hastened_total"), "hastened"), (rate("nat_flows_shared_port_total"), "on a shared port")), width=8,
              doc_title="NAT"),
        graph("Flows refused", "cps", "No port, no record, or the peer's share is used up. Each is a connection that fails: line at 1.",
              "runbooks/TalonNatFlowsRefused.md", (rate("nat_flows_refused_total", by="reason"), "{{reason}}"),
              thresholds=steps(GREEN, (1, RED)), width=8),
        graph("Ports that the host itself uses", "none", "Sockets of the host in the SNAT range, whose ports no flow gets.",
              "runbooks/TalonNatPortsShort.md", ("topk(10, sum by (instance, protocol) (talon_nat_ports_host{@S}))", "{{instance}} {{protocol}}"),
              width=8),
    ]
    maps = [
        graph("Fullest maps", "percentunit", "Ten maps with most of their entries used. Line at 90 %, where the alert fires: what does not fit is refused.",
              "runbooks/TalonMapFull.md",
              ("topk(10, talon_map_entries{@S} / talon_map_entries_limit{@S})", "{{instance}} {{map}}"),
              thresholds=steps(GREEN, (0.9, RED)), top=1, width=8),
        graph("Rings", "percentunit", "Ring buffers to the controller: bytes that are not read yet, as a share. Full: packets that should wait are lost.",
              "architecture.md", ("topk(10, talon_ring_bytes{@S} / talon_ring_limit_bytes{@S})", "{{instance}} {{ring}}"),
              thresholds=FILL, top=1, width=8, doc_title="Architecture"),
        graph("Memory of maps", "bytes", "The ten largest maps, over all selected nodes.", "architecture.md",
              ("topk(10, sum by (map) (talon_map_memory_bytes{@S}))", "{{map}}"), stacked=True, width=8, doc_title="Architecture"),
        graph("Held in the controller", "none", "Packets that wait for a session, a next hop or a fragment.", "architecture.md",
              ("topk(10, talon_held_packets{@S})", "{{instance}}"), width=8, doc_title="Architecture"),
        graph("Lost on the slow way", "cps", "Held packets and log lines that were given up, and packets that reached the socket and went nowhere.",
              "status.md", whole((rate("held_packets_dropped_total"), "held packets"), (rate("log_lines_dropped_total"), "log lines"),
                                 (rate("slow_messages_total", 'result="dropped"'), "slow data messages"),
                                 (rate("junk_messages_total"), "not WireGuard")), width=8, doc_title="Counters"),
        graph("Data by the slow way", "pps", """Data messages that the controller reads from its socket and passes on: fragments, or by another device.
              Slower than the datapath alone.""", "status.md",
              (rate("slow_messages_total", 'result="passed"'), "passed on"), width=8, doc_title="Counters"),
    ]
    rules = [
        graph("Access rules", "none", "In force, after equal ones were joined; ten nodes.", "architecture.md",
              ("topk(10, talon_acl_rules{@S})", "{{instance}}"), width=8, doc_title="Architecture"),
        graph("Changes applied", "cps", "Desired states applied, wholly (ok) or not (failed).", "monitoring.md",
              (rate("applies_total", by="result"), "{{result}}"), width=8),
        graph("Last change", "s", "How long ago a change was applied, the ten longest. In a mesh with many changes, one that stays behind hears nothing.",
              "runbooks/TalonManagementGone.md", ("topk(10, time() - talon_apply_timestamp_seconds{@S})", "{{instance}}"), width=8),
        graph("DNS questions", "cps", "Questions for domain routes, and those that were not simply passed on and answered. Only in a mesh.", "mesh.md",
              whole((rate("dns_questions_total"), "questions"), (rate("dns_trouble_total", by="result"), "{{result}}")), width=8,
              doc_title="Domain routes"),
        graph("Addresses learned from DNS", "none", "At present, ten nodes. Only in a mesh.", "mesh.md",
              ("topk(10, talon_dns_learned_addresses{@S})", "{{instance}}"), width=8, doc_title="Domain routes"),
        graph("Signal, STUN and relay trouble", "cps", "Messages that were dropped or could not be used, of all three. Only in a mesh.", "status.md",
              whole((f"sum by (result) (rate(talon_signal_messages_total{{@S, result!=\"ok\"}}[@R]))", "signal {{result}}"),
                    (rate("stun_drops_total", by="reason"), "stun {{reason}}"), (rate("relay_drops_total", by="reason"), "relay {{reason}}")),
              width=8, doc_title="Counters"),
    ]
    return [("State", state), ("Packets", packets), ("Drops", drops), ("Cryptography", crypto), ("NAT", nat), ("Maps and queues", maps),
            ("Rules, names and servers", rules)]


def who(query):
    """With label who: the peer's name, or the beginning of its key where it has none."""
    joined = f'label_join({query}, "who", "|", "name", "peer")'
    return (f'label_replace(label_replace({joined}, "who", "$1", "who", "([^|]+)[|].*"), "who", "$1…", "who", "[|](.{{8}}).*")')


PEER = '@S, peer=~"$peer"'


def peer_rate(metric, direction):
    return f'sum by (peer, name) (rate(talon_{metric}{{{PEER}, direction="{direction}"}}[@R]))'


def peer():
    one = "With --metrics-peers, which also says how many peers have a line of their own."
    well = [
        stat("Connected", "none", "Peers with a session and a handshake in the last 180 s, on the selected nodes.", "status.md",
             'sum(talon_peers{@S, state="connected"})', width=4),
        stat("Idle", "none", "Peers that had a handshake once, and none in the last 180 s.", "status.md", 'sum(talon_peers{@S, state="idle"})',
             width=4),
        stat("Never connected", "none", "Peers without any handshake since the datapath began.", "status.md",
             'sum(talon_peers{@S, state="never"})', width=4),
        stat("Over a relay", "percentunit", """Of the connected peers of a mesh. Yellow from a half, where the alert fires: then the reason is rather
             here than with the peers.""", "runbooks/TalonPeersOnlyRelayed.md",
             'sum(talon_peer_paths{@S, path="relay"}) / sum(talon_peer_paths{@S, path=~"direct|relay"})',
             steps(GREEN, (0.5, YELLOW)), width=4, decimals=0),
        stat("Sessions", "none", "Peers that packets can be sent to at this moment.", "status.md", "sum(talon_sessions{@S})", width=4),
        stat("Handshakes given up", "none", "Attempts in the selected range that ended without an answer after 90 s.", "status.md",
             "sum(increase(talon_handshake_attempts_given_up_total{@S}[$__range]))", steps(GREEN, (1, YELLOW)), width=4, decimals=0),
    ]
    traffic = [
        graph("From peers", "bps", f"The ten peers that send most. {one}", "status.md",
              (f"topk(10, 8 * {who(peer_rate('peer_bytes_total', 'receive'))})", "{{who}}"), doc_title="Peers"),
        graph("To peers", "bps", f"The ten peers that receive most. {one}", "status.md",
              (f"topk(10, 8 * {who(peer_rate('peer_bytes_total', 'transmit'))})", "{{who}}"), doc_title="Peers"),
        graph("Packets from peers", "pps", one, "status.md", (f"topk(10, {who(peer_rate('peer_packets_total', 'receive'))})", "{{who}}"),
              doc_title="Peers"),
        graph("Packets to peers", "pps", one, "status.md", (f"topk(10, {who(peer_rate('peer_packets_total', 'transmit'))})", "{{who}}"),
              doc_title="Peers"),
    ]
    health = [
        graph("Last handshake", "s", f"How long ago. Line at 180 s: what is older has no session any more, unless nobody sends. {one}",
              "runbooks/TalonKeysExpiring.md",
              (f"topk(10, {who(f'time() - talon_peer_last_handshake_timestamp_seconds{{{PEER}}}')})", "{{who}} on {{instance}}"),
              thresholds=steps(GREEN, (180, YELLOW)), width=8),
        graph("Latency", "s", f"Round trip of the last check of the direct way, the slowest ten. Only in a mesh. {one}",
              "runbooks/TalonPeersOnlyRelayed.md",
              (f"topk(10, {who(f'talon_peer_latency_seconds{{{PEER}}}')})", "{{who}} on {{instance}}"), width=8),
        graph("Flow records", "none", f"NAT flow records that a peer holds; talon_nat_share_records is how many one may hold. {one}",
              "runbooks/TalonNatFlowsShort.md", (f"topk(10, {who(f'talon_peer_flows{{{PEER}}}')})", "{{who}} on {{instance}}"), width=8),
        graph("Handshake messages received", "cps", "By result, of all peers together.", "status.md",
              (some(10, "handshake_messages_total", "result"), "{{result}}"), width=8, doc_title="Results"),
        graph("Handshake messages sent", "cps", "Initiations without responses: peers do not answer. Cookies: many messages arrive at once.",
              "status.md", (rate("handshake_sent_messages_total", by="type"), "{{type}}"), width=8, doc_title="Results"),
        graph("Handshake trouble", "cps", "Messages that could not be sent, maps that could not be written, clocks that leapt or are ahead.",
              "runbooks/TalonClockOff.md",
              whole((rate("handshake_errors_total", by="kind"), "{{kind}}"), (rate("clock_trouble_total", by="kind"), "clock: {{kind}}")), width=8),
        graph("Path changes", "cps", "Peers whose way became a direct one, the relay, or none. Only in a mesh.",
              "runbooks/TalonPeersOnlyRelayed.md", (rate("peer_path_changes_total", by="to"), "{{to}}"), width=8),
        graph("Packets over relays", "pps", "By direction. Only in a mesh.", "runbooks/TalonPeersOnlyRelayed.md",
              (rate("relay_packets_total", by="direction"), "{{direction}}"), width=8),
        graph("Relays", "none", "Relays of all selected nodes: known, and connected. The lines should be one.", "runbooks/TalonPeersOnlyRelayed.md",
              ("sum by (state) (talon_relays{@S})", "{{state}}"), width=8),
    ]
    peers = [
        table("Peers", f"One line for each peer and node. {one}", "status.md", [
            (None, "none", who(f"max by (instance, peer, name, path) (talon_peer_path{{{PEER}}})"), {}),
            ("Last handshake", "dateTimeFromNow", who(f"1000 * max by (instance, peer, name) (talon_peer_last_handshake_timestamp_seconds{{{PEER}}})"),
             {}),
            ("From it", "bps", who(f'8 * sum by (instance, peer, name) (rate(talon_peer_bytes_total{{{PEER}, direction="receive"}}[@R]))'), {}),
            ("To it", "bps", who(f'8 * sum by (instance, peer, name) (rate(talon_peer_bytes_total{{{PEER}, direction="transmit"}}[@R]))'), {}),
            ("Flow records", "none", who(f"max by (instance, peer, name) (talon_peer_flows{{{PEER}}})"), {}),
            ("Latency", "s", who(f"max by (instance, peer, name) (talon_peer_latency_seconds{{{PEER}}})"), {}),
        ], by=("who", "instance", "path"), hide=("name",), sort=("From it", True), doc_title="Peers"),
    ]
    return [("Peers", well), ("Traffic by peer", traffic), ("Health", health), ("All", peers)]


def dashboards(docs):
    peers = variable("peer", "Peer", "query_result(" + expression(who("talon_peer_flows{@S}")) + ")", ".*", CLASSIC,
                     '/peer="(?<value>[^"]*)".*who="(?<text>[^"]*)"/')
    return {
        "overview": dashboard("talon-overview", "Talon / Overview",
                              "Whether Talon is well on all nodes: traffic, drops, peers, connection to the mesh.", docs, overview()),
        "datapath": dashboard("talon-datapath", "Talon / Data path",
                              "The data path of the selected nodes: programs, drops, cryptography, NAT, maps.", docs, datapath()),
        "peer": dashboard("talon-peer", "Talon / Peers",
                          "Peers of the selected nodes. Lines of single peers need --metrics-peers.", docs, peer(), [peers]),
    }
