# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The alerts: rules/talon.yaml is made from this list, docs/runbooks/NAME.md explains each.

A threshold is a number with a reason: the comment says it, docs/monitoring.md repeats it for operators.
"""
from collections import namedtuple

Alert = namedtuple("Alert", "name severity wait expr summary description why")
Record = namedtuple("Record", "name expr")
Group = namedtuple("Group", "name interval rules")

# Matches the job of a static configuration and that of a PodMonitor (NAMESPACE/NAME).
JOB = ".*talon.*"


def alert(name, severity, wait, expr, summary, description, why):
    return Alert(name, severity, wait, expr, summary, " ".join(description.split()), " ".join(why.split()))


AVAILABILITY = [
    alert("TalonScrapeDown", "critical", "2m", f'up{{job=~"{JOB}"}} == 0 or absent(up{{job=~"{JOB}"}})',
          "No metrics from {{ $labels.instance }}",
          """Prometheus gets no answer from Talon on {{ $labels.instance }}, or knows no Talon at all. Whether packets flow there
          is unknown; if the controller is gone, its tunnels end within three minutes.""",
          "a scrape may fail once or twice at the usual 30 s or 60 s; after two minutes it is no accident"),
    alert("TalonNotReady", "critical", "1m", "talon_datapath_ready == 0",
          "{{ $labels.instance }} does not serve packets",
          """{{ $labels.instance }} cannot serve packets: programs are missing, the controller has been gone for longer than keys last,
          or something blocks it (talon_datapath_blocked says what).""",
          "a start takes seconds, and a restart of the controller leaves the datapath ready"),
    alert("TalonNoController", "warning", "1m", "talon_controller_up == 0",
          "No controller on {{ $labels.instance }}",
          """The controller on {{ $labels.instance }} is gone or hangs. Established tunnels go on until their keys expire, at most
          180 s; new ones cannot begin, and changes in the mesh do not arrive.""",
          "a restart or an upgrade takes seconds, fetching an image less than a minute"),
    alert("TalonKeysExpiring", "critical", None, "talon_session_expiry_seconds < 60 and on (job, instance) talon_controller_up == 0",
          "Keys on {{ $labels.instance }} expire, and nobody renews them",
          """There is no controller on {{ $labels.instance }}, and the first key of a live peer expires in
          {{ $value | humanizeDuration }}. Then packets of that peer are dropped.""",
          """keys last 180 s and are renewed after 120 s: less than 60 s left means that a renewal is due that nobody does; there is
          no time to wait"""),
    alert("TalonProgramNotAttached", "critical", "1m", "talon_hook_attached == 0",
          "A program is not attached to {{ $labels.device }} on {{ $labels.instance }}",
          """The {{ $labels.kind }} program should be attached to {{ $labels.device }} on {{ $labels.instance }} and is not.
          Packets there pass by Talon.""",
          "the controller attaches a missing program again within seconds; if it does not, something prevents it"),
    alert("TalonControllerRestarts", "warning", None, "increase(talon_datapath_adoptions_total[15m]) > 3",
          "The controller on {{ $labels.instance }} keeps restarting",
          """A new controller took over on {{ $labels.instance }} {{ $value | humanize }} times in 15 minutes. Each start keeps packets flowing,
          but none lasts.""",
          "an upgrade and a change of configuration are two starts; four within a quarter of an hour are a loop"),
]

PACKETS = [
    alert("TalonDropsAboveBaseline", "warning", "10m",
          "talon:drops:rate5m > 10 unless on (job, instance, reason) talon:drops:rate5m <= on (job, instance, reason) 5 * talon:drops:rate1d",
          "{{ $labels.instance }} drops more packets than usual: {{ $labels.reason }}",
          """{{ $labels.instance }} drops {{ $value | humanize }} packets a second for the reason {{ $labels.reason }}, more than
          five times its average of the last day.""",
          """10 packets a second are more than stray packets and port scans cause; five times the day's average is outside of what the
          hours of a day differ by; ten minutes outlast a burst"""),
    alert("TalonInlineCryptoHigh", "warning", "10m",
          """sum by (job, instance) (rate(talon_tunnel_packets_total{crypto="inline"}[5m]))
            / sum by (job, instance) (rate(talon_tunnel_packets_total[5m])) > 0.5
          and sum by (job, instance) (rate(talon_tunnel_packets_total[5m])) > 10000
          and on (job, instance) talon_keystream_slots > 0""",
          "{{ $labels.instance }} encrypts most packets inline",
          """{{ $value | humanizePercentage }} of the packets on {{ $labels.instance }} found no keystream made ahead. Each costs
          several times the CPU time of one that does.""",
          """a large packet costs about 4 us inline: 10,000 a second are 4 % of a core, and below that nobody feels it; in good order
          nearly all packets of a busy session find keystream, so half is far off"""),
    alert("TalonKeystreamHelperGone", "warning", "3m",
          "talon_keystream_helper_up == 0 and on (job, instance) talon_controller_up == 1",
          "No keystream helper on {{ $labels.instance }}",
          """The helper that makes keystream ahead does not run on {{ $labels.instance }}: all packets are encrypted inline, which
          costs more CPU time.""",
          "the controller starts it again after 1 s to 60 s, so after three minutes it ended more than once"),
]

LIMITS = [
    alert("TalonNatPortsShort", "warning", "10m",
          "talon_nat_ports_used / on (job, instance) group_left () talon_nat_ports > 0.8",
          "NAT ports run short on {{ $labels.instance }} ({{ $labels.protocol }})",
          """{{ $value | humanizePercentage }} of the {{ $labels.protocol }} ports for masqueraded flows are in use on
          {{ $labels.instance }}. When all are, flows share ports, and in the end they are refused.""",
          "at 80 % a free port is still found at once; it leaves the time to widen the range before flows have to share"),
    alert("TalonNatFlowsShort", "warning", "10m", "talon_nat_pressure_ratio > 0.8",
          "NAT flow records run short on {{ $labels.instance }}",
          """{{ $value | humanizePercentage }} of the flow records are held on {{ $labels.instance }}. Peers with many flows are cut
          to a share of what is free, and their oldest idle flows end early.""",
          """a peer may hold three times as many records as are free: at 80 % that is 60 % of the table, so that the busiest peer is cut
          already, while others still find room"""),
    alert("TalonNatFlowsRefused", "critical", "5m",
          "sum by (job, instance, reason) (rate(talon_nat_flows_refused_total[5m])) > 1",
          "{{ $labels.instance }} refuses new flows: {{ $labels.reason }}",
          """{{ $labels.instance }} refuses {{ $value | humanize }} new flows a second: no {{ $labels.reason }} is left for them.
          Their users see connections fail.""",
          "one refused connection a second, for five minutes: somebody waits for each of them"),
    alert("TalonMapFull", "warning", "10m", "talon_map_entries / talon_map_entries_limit > 0.9",
          "Map {{ $labels.map }} is nearly full on {{ $labels.instance }}",
          """{{ $value | humanizePercentage }} of map {{ $labels.map }} is used on {{ $labels.instance }}. What does not fit is refused:
          peers, routes or rules are missing then.""",
          "these maps grow with the mesh, over days: the last tenth leaves time, and less than that is a warning for nothing"),
]

MESH = [
    alert("TalonManagementGone", "warning", "10m", "talon_management_connected == 0",
          "{{ $labels.instance }} is not connected to management",
          """{{ $labels.instance }} works by its last network map: traffic goes on, but changes (peers, rules, networks) do not
          arrive, and after a restart neither do new relay credentials.""",
          "a restart of management and the pause before the next try are over in less than two minutes"),
    alert("TalonSignalGone", "warning", "10m", "talon_signal_connected == 0",
          "{{ $labels.instance }} is not connected to the signal server",
          """{{ $labels.instance }} can neither open new direct paths nor answer peers that want one. What is connected stays
          connected.""",
          "as for management"),
    alert("TalonNeedsLogin", "critical", "5m", "talon_needs_login == 1",
          "Management does not know {{ $labels.instance }}",
          """Management refuses the key of {{ $labels.instance }}: the peer was deleted, or its login has expired. It gets no
          network map.""",
          "it does not go away by itself; five minutes leave out a server that is being restored"),
    alert("TalonLoginEnds", "warning", "5m",
          "talon_login_expires_timestamp_seconds > 0 and talon_login_expires_timestamp_seconds - time() < 3600",
          "The login of {{ $labels.instance }} ends within an hour",
          """A person brought {{ $labels.instance }} into the mesh, and that login ends soon. Management refuses the node then, and what
          is behind it is out of reach.""",
          "an account's logins last an hour at least, a day by default: an hour is enough for a person to sign in, and more would warn all the time"),
    alert("TalonPeersOnlyRelayed", "info", "30m",
          """sum by (job, instance) (talon_peer_paths{path="relay"})
            / sum by (job, instance) (talon_peer_paths{path=~"direct|relay"}) > 0.5
          and sum by (job, instance) (talon_peer_paths{path="relay"}) >= 3""",
          "{{ $labels.instance }} reaches most peers only over a relay",
          """{{ $value | humanizePercentage }} of the connected peers of {{ $labels.instance }} go over a relay: slower, and the
          relay's traffic.""",
          """single peers are behind networks that allow no direct path; if it is more than half and at least three, the reason is on
          this side, such as a firewall that drops UDP. A direct path is tried for seconds, so half an hour is settled"""),
    alert("TalonMapHeldBack", "warning", "1m", "talon_network_map_held_back == 1",
          "{{ $labels.instance }} got a suspicious network map",
          """The network map in force on {{ $labels.instance }} takes away so many peers that their connections, though not their
          rights, are kept until the map is confirmed.""",
          "it is rare and worth a look at once; a minute leaves out a map that is confirmed by the next one"),
]

FLEET = [
    alert("TalonClockOff", "warning", "5m",
          "abs(talon_node_time_seconds - timestamp(talon_node_time_seconds)) > 10",
          "The clock of {{ $labels.instance }} is off",
          """The clock of {{ $labels.instance }} and that of Prometheus differ by {{ $value | humanizeDuration }}. Peers refuse
          handshakes of a host whose clock was set back; certificates and logins fail.""",
          "a scrape lasts 10 s at most by Prometheus's default, so that a slow one alone cannot exceed it; with NTP it is milliseconds"),
    alert("TalonVersionSkew", "info", "2h",
          "count by (job) (count by (job, version) (talon_controller_build_info)) > 1",
          "{{ $value }} versions of Talon run at once",
          """Nodes of {{ $labels.job }} run {{ $value }} different versions. Versions work together, but a rollout that stands still
          has a reason.""",
          "a rollout over 50 nodes, one after the other, takes less than two hours"),
    alert("TalonHazards", "info", "15m", "talon_hazards > 0",
          "{{ $value }} settings of {{ $labels.instance }} can break traffic",
          """Talon found {{ $value }} settings of {{ $labels.instance }} that can break forwarding. `talon status` names them; Talon
          changes none.""",
          "they change with the host's configuration, not with traffic: a quarter of an hour leaves out a configuration that is under way"),
]

BASELINE = [
    Record("talon:drops:rate1d", "avg_over_time(talon:drops:rate5m[1d] offset 30m)"),
]

RATES = [
    Record("talon:drops:rate5m", "sum by (job, instance, reason) (rate(talon_drops_total[5m]))"),
]

GROUPS = [
    Group("talon-rates", None, RATES),
    # A day's average moves slowly and is the one expensive expression here.
    Group("talon-baseline", "10m", BASELINE),
    Group("talon-availability", None, AVAILABILITY),
    Group("talon-packets", None, PACKETS),
    Group("talon-limits", None, LIMITS),
    Group("talon-mesh", None, MESH),
    Group("talon-fleet", None, FLEET),
]

ALERTS = [rule for group in GROUPS for rule in group.rules if isinstance(rule, Alert)]
