#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Every alert, made to fire and to clear again by made-up series: rules.py [PROMTOOL]

Minutes are those of the series, one value a minute. What else would fire then is not asked for, except where NOTHING is.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "charts/monitoring"))
sys.dont_write_bytecode = True
import alerts  # noqa: E402

ONE = 'job="talon", instance="n1"'
NOTHING = None

# (alert, series {name{labels}: values}, minutes at which it fires, minutes at which it does not)
CASES = [
    ("TalonScrapeDown", {'up{job="monitoring/talon", instance="n1"}': "1x5 0x5 1x10"}, [8], [5, 7, 12]),
    ("TalonScrapeDown", {'up{job="talon", instance="n1"}': "1x5 stale"}, [12], [4]),
    ("TalonScrapeDown", {'up{job="other", instance="n1"}': "0x10", 'up{job="talon", instance="n1"}': "1x10"}, [], [9]),
    ("TalonNotReady", {f"talon_datapath_ready{{{ONE}}}": "1x3 0x3 1x6"}, [5], [3, 4, 9]),
    ("TalonNoController", {f"talon_controller_up{{{ONE}}}": "1x3 0x3 1x6"}, [5], [3, 4, 9]),
    ("TalonKeysExpiring", {f"talon_controller_up{{{ONE}}}": "1 1 0 0 0 1", f"talon_session_expiry_seconds{{{ONE}}}": "40 120 100 59 20 170"},
     [3, 4], [0, 1, 2, 5]),
    ("TalonProgramNotAttached", {f'talon_hook_attached{{{ONE}, kind="xdp", device="eth0"}}': "1x3 0x3 1x6",
                                 f'talon_hook_attached{{{ONE}, kind="tcx", device="wt0p"}}': "1x14"}, [5], [3, 4, 9]),
    ("TalonControllerRestarts", {f"talon_datapath_adoptions_total{{{ONE}}}": "0x10 1 2 3 4 5x30"}, [15], [10, 11, 40]),
    # Quiet for three hours, then sixty a second for an hour.
    ("TalonDropsAboveBaseline", {f'talon_drops_total{{{ONE}, direction="in", reason="no_route"}}': "0+60x180 10800+3600x60 226800+60x60"},
     [210], [180, 185, 250]),
    # Sixty a second all day: unwanted, but not news.
    ("TalonDropsAboveBaseline", {f'talon_drops_total{{{ONE}, direction="in", reason="replayed"}}': "0+3600x300"}, [], [240, 300]),
    # A new node has no baseline.
    ("TalonDropsAboveBaseline", {f'talon_drops_total{{{ONE}, direction="out", reason="no_key"}}': "0+3600x20 72000x20"}, [18], [8, 30]),
    ("TalonInlineCryptoHigh", {
        f'talon_tunnel_packets_total{{{ONE}, direction="receive", path="direct", family="ipv4", crypto="inline"}}': "0+60000x10 600000+1200000x20 24600000x20",
        f'talon_tunnel_packets_total{{{ONE}, direction="receive", path="direct", family="ipv4", crypto="ahead"}}': "0+1200000x10 12000000+1000x20 12020000+1200000x20",
        f"talon_keystream_slots{{{ONE}}}": "21824x60"}, [28], [10, 20, 40]),
    # Off by configuration: no slots.
    ("TalonInlineCryptoHigh", {
        f'talon_tunnel_packets_total{{{ONE}, direction="transmit", path="direct", family="ipv4", crypto="inline"}}': "0+1200000x40"}, [], [35]),
    ("TalonKeystreamHelperGone", {f"talon_keystream_helper_up{{{ONE}}}": "1x3 0x6 1x6", f"talon_controller_up{{{ONE}}}": "1x20"},
     [8], [3, 6, 12]),
    ("TalonKeystreamHelperGone", {f"talon_keystream_helper_up{{{ONE}}}": "1x3 0x16", f"talon_controller_up{{{ONE}}}": "1x3 0x16"}, [], [8, 15]),
    ("TalonNatPortsShort", {f'talon_nat_ports_used{{{ONE}, protocol="tcp"}}': "10x5 6200x20 10x10",
                            f'talon_nat_ports_used{{{ONE}, protocol="udp"}}': "10x40", f"talon_nat_ports{{{ONE}}}": "7712x40"},
     [20], [5, 12, 30]),
    ("TalonNatFlowsShort", {f"talon_nat_pressure_ratio{{{ONE}}}": "0.1x5 0.85x20 0.1x10"}, [20], [5, 12, 30]),
    ("TalonNatFlowsRefused", {f'talon_nat_flows_refused_total{{{ONE}, reason="port"}}': "0x5 0+600x20 11400x20"}, [20], [5, 8, 40]),
    ("TalonMapFull", {f'talon_map_entries{{{ONE}, map="routes4"}}': "10x5 950x20 10x10", f'talon_map_entries_limit{{{ONE}, map="routes4"}}': "1024x40",
                      f'talon_map_entries{{{ONE}, map="peers"}}': "5x40", f'talon_map_entries_limit{{{ONE}, map="peers"}}': "1024x40"},
     [20], [5, 12, 30]),
    ("TalonManagementGone", {f"talon_management_connected{{{ONE}}}": "1x5 0x20 1x10"}, [20], [5, 12, 30]),
    ("TalonSignalGone", {f"talon_signal_connected{{{ONE}}}": "1x5 0x20 1x10"}, [20], [5, 12, 30]),
    ("TalonNeedsLogin", {f"talon_needs_login{{{ONE}}}": "0x5 1x20 0x10"}, [20], [5, 8, 30]),
    # In these tests the clock begins at 0. Extended after 75 minutes.
    ("TalonLoginEnds", {f"talon_login_expires_timestamp_seconds{{{ONE}}}": "7200x75 90000x20"}, [70], [30, 62, 80]),
    # A setup key's does not end.
    ("TalonLoginEnds", {f"talon_login_expires_timestamp_seconds{{{ONE}}}": "0x100"}, [], [10, 90]),
    ("TalonPeersOnlyRelayed", {f'talon_peer_paths{{{ONE}, path="relay"}}': "1x5 6x60 1x10", f'talon_peer_paths{{{ONE}, path="direct"}}': "5x5 2x60 6x10",
                               f'talon_peer_paths{{{ONE}, path="idle"}}': "9x80"}, [60], [5, 30, 70]),
    # Two of two: they may both be behind networks without a direct path.
    ("TalonPeersOnlyRelayed", {f'talon_peer_paths{{{ONE}, path="relay"}}': "2x60", f'talon_peer_paths{{{ONE}, path="direct"}}': "0x60"}, [], [55]),
    ("TalonMapHeldBack", {f"talon_network_map_held_back{{{ONE}}}": "0x3 1x3 0x6"}, [5], [3, 4, 9]),
    ("TalonClockOff", {f"talon_node_time_seconds{{{ONE}}}": "0+60x5 330+60x10 1020+60x10"}, [13], [5, 8, 20]),
    ("TalonVersionSkew", {f'talon_controller_build_info{{{ONE}, version="0.1.0"}}': "1x200",
                          'talon_controller_build_info{job="talon", instance="n2", version="0.1.0"}': "1x5 stale",
                          'talon_controller_build_info{job="talon", instance="n2", version="0.2.0"}': "_x5 1x150 stale"}, [130], [4, 60, 170]),
    ("TalonHazards", {f"talon_hazards{{{ONE}}}": "0x5 2x20 0x10"}, [22], [5, 15, 30]),
]

# All is well: none of them.
WELL = {f"talon_{name}": values for name, values in {
    f"datapath_ready{{{ONE}}}": "1x300", f"controller_up{{{ONE}}}": "1x300", f"session_expiry_seconds{{{ONE}}}": "61x300",
    f'hook_attached{{{ONE}, kind="xdp", device="eth0"}}': "1x300", f"datapath_adoptions_total{{{ONE}}}": "0x100 1x100 2x100",
    f'drops_total{{{ONE}, direction="in", reason="replayed"}}': "0+60x300", f"keystream_helper_up{{{ONE}}}": "1x300",
    f"keystream_slots{{{ONE}}}": "21824x300", f'nat_ports_used{{{ONE}, protocol="tcp"}}': "6000x300", f"nat_ports{{{ONE}}}": "7712x300",
    f'tunnel_packets_total{{{ONE}, crypto="inline"}}': "0+60000x300", f'tunnel_packets_total{{{ONE}, crypto="ahead"}}': "0+6000000x300",
    f"nat_pressure_ratio{{{ONE}}}": "0.7x300", f'nat_flows_refused_total{{{ONE}, reason="share"}}': "0+30x300",
    f'map_entries{{{ONE}, map="routes4"}}': "900x300", f'map_entries_limit{{{ONE}, map="routes4"}}': "1024x300",
    f"management_connected{{{ONE}}}": "1x300", f"signal_connected{{{ONE}}}": "1x300", f"needs_login{{{ONE}}}": "0x300",
    f"login_expires_timestamp_seconds{{{ONE}}}": "86400x300",
    f'peer_paths{{{ONE}, path="relay"}}': "1x300", f'peer_paths{{{ONE}, path="direct"}}': "9x300", f"network_map_held_back{{{ONE}}}": "0x300",
    f"node_time_seconds{{{ONE}}}": "5+60x300", f'controller_build_info{{{ONE}, version="0.1.0"}}': "1x300", f"hazards{{{ONE}}}": "0x300",
}.items()}
WELL[f"up{{{ONE}}}"] = "1x300"


def test(name, series, fires, clears, which):
    def firing(expected):
        return lambda minute: {"expr": f'count(ALERTS{{alertstate="firing"{which}}}) or vector(0)', "eval_time": f"{minute}m",
                               "exp_samples": [{"labels": "{}", "value": expected}]}
    return {"name": name, "interval": "1m",
            "input_series": [{"series": series_name, "values": values} for series_name, values in series.items()],
            "promql_expr_test": list(map(firing(1), fires)) + list(map(firing(0), clears))}


def main():
    promtool = sys.argv[1] if len(sys.argv) > 1 else "promtool"
    rules = ROOT / "charts/monitoring/rules/talon.yaml"
    names = {alert.name for alert in alerts.ALERTS}
    tested = {name for name, _, fires, clears in CASES if fires and clears}
    if names != tested:
        sys.exit(f"without a case that fires and clears: {sorted(names - tested)}; no such alert: {sorted(tested - names)}")
    tests = [test(name, series, fires, clears, f', alertname="{name}"') for name, series, fires, clears in CASES]
    tests.append(test("all is well", WELL, [], [60, 299], ""))
    with tempfile.TemporaryDirectory() as folder:
        for number, one in enumerate(tests):    # promtool 2.42 says only the file of a test that fails
            file = pathlib.Path(folder) / f"{number:02}-{one['name'].replace(' ', '-')}.yaml"
            # JSON is YAML.
            file.write_text(json.dumps({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [one]}))
        checks = [[promtool, "check", "rules", str(rules)]]
        checks += [[promtool, "test", "rules", *map(str, sorted(pathlib.Path(folder).glob("*.yaml")))]]
        for command in checks:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print("\n".join(line for line in (done.stdout + done.stderr).splitlines() if line and "SUCCESS" not in line and "Unit Testing" not in line))
                sys.exit(f"{' '.join(command[:3])}: failed")
    print(f"{len(names)} alerts fire and clear in {len(CASES)} cases; none fires when all is well")


main()
