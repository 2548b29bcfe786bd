// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The table of subcommands.
#include <string.h>

#include "cli/cli.h"

#define COMMON_HELP											\
	"  --daemon-addr ADDR  the daemon's control socket (unix://" CONFIG_CONTROL_SOCKET ")\n"	\
	"  --pin-dir DIR       where programs and maps are pinned (" CONFIG_PIN_DIR ")\n"		\
	"  --log-level LEVEL   error, warn, info or debug (info)\n"					\
	"  -h, --help          this text\n"

const struct cli_command cli_commands[] = {
	{
		"up", "join a mesh, or serve the peers of a file", "[--static FILE] [OPTION...]",
		"Without FILE it joins a NetBird mesh: the first time with a setup key, later with the "
		"identity that it\n"
		"keeps. With FILE it serves the peers of a wg(8) or wg-quick(8) configuration "
		"(talon.conf(5)).\n"
		"Either way it attaches the datapath and runs in the foreground until SIGTERM. The "
		"datapath outlives this\n"
		"process; `talon down` removes it. If a daemon already runs in a mesh, it is told to "
		"connect.\n"
		"A flag wins over TALON_* variables, and those over FILE; NB_* variables win over flags "
		"in a mesh.\n\n"
		"  --static FILE       the configuration (TALON_STATIC)\n"
		"  --dry-run           check FILE and the options, print a summary, and stop\n", cli_up,
	},
	{
		"status", "show what runs: mesh, datapath, peers, flows, counters",
			"[-d] [--json] [--yaml] [--ipv4] [--ipv6] [--check WHAT] [FILTER...]",
		"In a mesh it asks the daemon; the datapath is read from the pinned maps, so it is shown "
		"even if the\n"
		"controller hangs or is gone.\n\n"
		"  -d, --detail        each peer, and every counter that is not zero\n"
		"  -j, --json          everything, for programs\n"
		"  -y, --yaml          the same; only in a mesh\n"
		"  -4, --ipv4          only the IPv4 address in the mesh\n"
		"  -6, --ipv6          only the IPv6 address in the mesh; nothing if there is none\n"
		"  -C, --check WHAT    exit with 0 or 1 and print one line. WHAT is\n"
		"                        live       the controller answers\n"
		"                        startup    it has finished starting; in a mesh: management, "
		"signal and a relay\n"
		"                                   are connected\n"
		"                        ready      packets can be served\n"
		"                        datapath   the programs are attached\n"
		"  -I, --filter-by-ips LIST                     peers of a mesh with these addresses\n"
		"  -N, --filter-by-names LIST                   with these beginnings of names\n"
		"  -S, --filter-by-status STATUS                idle, connecting or connected\n"
		"  -T, --filter-by-connection-type TYPE         P2P or Relayed\n" COMMON_HELP, cli_status,
	},
	{
		"preflight", "say whether Talon can run on this host, and what to do",
			"[--static FILE] [--json] [OPTION...]",
		"Makes the checks of `talon up` and more, all at once, and changes nothing: kernel, "
		"capabilities, devices,\n"
		"ports, sysctls, other BPF programs, the CNI. Prints a line for each: what was found, why it "
		"matters, what to\n"
		"do; the levels are ok, note, warning and problem. Works beside a running Talon too.\n"
		"Exits with 0 if Talon can run here, and with 1 if there is a problem. Takes the options of "
		"`talon up`.\n\n"
		"  --static FILE       the configuration (TALON_STATIC)\n"
		"  --json              for programs\n", cli_preflight,
	},
	{
		"trace", "say what would become of a packet, and what decided it",
			"--from ADDR[:PORT] --to ADDR[:PORT] [OPTION...]",
		"Drives a made-up packet through a private copy of the datapath's programs, with the "
		"routes, rules, peers\n"
		"and flows of the running one, and says step by step what decided; then the same for its "
		"answer. Nothing\n"
		"is sent or changed, and no controller is needed. Exit status 0 if the packet and its "
		"answer pass, else 1.\n\n"
		"  --from ADDR[:PORT]  who sends it: an address of a peer, of the network, or of this host\n"
		"  --to ADDR[:PORT]    where it goes\n"
		"  --proto PROTO       tcp, udp or icmp (tcp to a port, else icmp)\n"
		"  --size BYTES        of the IP packet (the smallest that there is)\n"
		"  --peer PEER         the peer that sends it, by key, name or mesh address, whatever the "
		"source\n"
		"  --json              for programs\n" COMMON_HELP, cli_trace,
	},
	{
		"drops", "show which packets were dropped and why, or follow them live",
			"[-f] [--json] [--reason LIST] [--direction LIST] [--peer PEER] [--count N]",
		"The counters of dropped packets that are not zero. With -f a line for each packet that is "
		"dropped from\n"
		"now on, at most 1000 a second, and how many more there were. One process at a time.\n\n"
		"  -f, --follow        each packet: time, direction, reason, peer, addresses, length\n"
		"  --json              for programs: an array; with -f an object a line\n"
		"  --reason LIST       these reasons alone, such as bad_tag,no_route\n"
		"  --direction LIST    in, out or tunnel\n"
		"  --peer PEER         a peer's alone (-f): its public key, name or address in the mesh\n"
		"  --count N           ends after N lines (-f)\n" COMMON_HELP, cli_drops,
	},
	{
		"capture", "write a peer's decrypted packets to a pcapng file", "--peer PEER [OPTION...]",
		"Both directions, as the peer sends and gets them. Root alone may, if Capture is on; the "
		"daemon logs it,\n"
		"and talon status shows it. It ends at the first limit, by Ctrl-C, or when this process "
		"is gone.\n\n"
		"  --peer PEER         its public key, name or address in the mesh\n"
		"  -w, --write FILE    a new file, or - for standard output (-)\n"
		"  --size BYTES        of each packet at most (65535)\n"
		"  --count N           packets (100000)\n"
		"  --duration SECONDS  (600)\n"
		"  --limit BYTES       size of the file; K, M and G are powers of 1024 (64M)\n"
		COMMON_HELP, cli_capture,
	},
	{
		"down", "remove every program, map, link, route, device and pin", "",
		"Works without a running controller; if nothing is left, it does nothing. A daemon in a "
		"mesh drains\n"
		"first; this host stays registered.\n\n" COMMON_HELP, cli_down,
	},
	{
		"reload", "have a running daemon read its settings again", "[--environment]",
		"The static file, or in a mesh the identity file and variables; log files are opened anew. "
		"Prints what\n"
		"changed, and which settings need a restart. Settings that cannot be read change nothing: "
		"one line says\n"
		"why, and the exit status is 1. Peers that stay keep their sessions. SIGHUP does the "
		"same.\n\n  --environment       TALON_* and NB_* of this command take the place of the "
		"daemon's own\n" COMMON_HELP, cli_reload,
	},
	{
		"flows", "list the live NAT flows",
			"[--peer PEER] [--src END] [--dst END] [--snat END] [--proto P] [--state S] "
			"[--sort BY] [--limit N] [--json]",
		"Reads the pinned maps, and so works without a controller. END is ADDRESS or ADDRESS/LENGTH, "
		"either with\n"
		":PORT, or :PORT alone.\n\n"
		"  --peer PEER         of this peer: its public key, its name or an address of its\n"
		"  --src END           of this client in the mesh\n"
		"  --dst END           to this destination\n"
		"  --snat END          with this address and port towards the destination\n"
		"  --proto PROTOCOL    tcp, udp or icmp\n"
		"  --state STATE       TCP: new, established, closing or reset\n"
		"  --sort ORDER        idle, left, client, remote, snat or peer; else as they lie in the "
		"table\n"
		"  --reverse           the other way round\n"
		"  --limit N           the first N of them\n"
		"  --json              one object, for programs\n" COMMON_HELP, cli_flows,
	},
	{
		"top", "show live rates: node, peers, drops, destinations",
			"[--interval S] [--once | --count N] [--by ORDER] [--json]",
		"Compares the counters of the pinned maps once an interval, and so works without a "
		"controller. On a\nterminal it redraws the screen until Ctrl-C; else it prints one table "
		"after the other.\n\n  --interval SECONDS  between two samples, 0.1 to 3600 (1)\n  --once "
		"             two samples an interval apart, one table, and the end\n  --count N "
		"          end after N tables\n  --by ORDER          peers by rate, packets or drops (rate); "
		"drops lists what each reason means\n  --json              one object for each interval\n"
		COMMON_HELP, cli_top,
	},
	{
		"metrics", "print all metrics, for Prometheus",
			"[--openmetrics] [--peers N] [--aliases] [--textfile FILE]",
		"Prints what /metrics serves, from the pinned maps, and so works without a controller.\n\n"
		"  --openmetrics       in the format of OpenMetrics 1.0, else in Prometheus's own\n"
		"  --peers N           series of their own for the N peers with the most traffic (0)\n"
		"  --aliases           the same once more under names that other programs use\n"
		"  --textfile FILE     into FILE, whole or not at all, for node_exporter; it ends in .prom\n"
		COMMON_HELP, cli_metrics,
	},
	{
		"networks", "list, select and deselect networks of other peers",
			"list | select [-a] ID...|all | deselect ID...|all",
		"list (or ls) shows them; select uses these and no others, with -a (--append) these too; "
		"deselect stops\n"
		"using them. Also called routes.\n\n" COMMON_HELP, cli_networks,
	},
	{
		"forwarding", "list the forwarding rules of an ingress gateway", "list",
		"Talon is no ingress gateway, so there are none. Works before this host is connected.\n\n"
		COMMON_HELP, cli_forwarding,
	},
	{
		"profile", "list the identities of this host: there is one",
			"list [--show-id] | select default",
		"Talon has the profile default. To add, rename and remove profiles is refused.\n\n"
		COMMON_HELP, cli_profile,
	},
	{
		"expose", "publish a local port through the mesh's reverse proxy",
			"PORT [--protocol http|https|tcp|udp|tls] [OPTION...]",
		"The service lasts as long as this command, which Ctrl-C ends. The program on PORT has to "
		"listen on the\n"
		"mesh address or on all addresses.\n\n"
		"  --protocol PROTOCOL      http, https, tcp, udp or tls (http)\n"
		"  --with-pin PIN           visitors enter these 6 digits (http, https)\n"
		"  --with-password TEXT     visitors enter this password (http, https)\n"
		"  --with-user-groups LIST  only users of these groups, after login (http, https)\n"
		"  --with-custom-domain D   a domain that the account has\n"
		"  --with-name-prefix TEXT  begins the service's name\n"
		"  --with-external-port N   of the proxy; PORT if not given (tcp, udp, tls)\n"
		COMMON_HELP, cli_expose,
	},
	{
		"login", "register this host in the mesh, or sign in", "[--extend] [--qr] [OPTION...]",
		"Tells the running daemon to register, with --setup-key or --setup-key-file, or to log "
		"in again. If no\n"
		"daemon runs it does so itself and stops; `talon up` then needs no key. Without a setup key "
		"a person signs\n"
		"in at the identity provider that management names: it prints the page to open, and "
		"waits.\n\n"
		"  --extend            sign in again before the login ends; the tunnel stays\n"
		"  --qr                the page as a QR code on the terminal too\n"
		COMMON_HELP, cli_login,
	},
	{
		"logout", "delete this host from the mesh", "",
		"The server forgets this host; joining again needs a setup key. Also called deregister.\n\n"
		COMMON_HELP,
		cli_logout,
	},
	{
		"service", "run as a service, or install one",
			"run [OPTION...] | install | uninstall | start | stop | restart | status | "
			"reconfigure | reset-params",
		"run is like `talon up -F` and takes its options, but without an identity and a setup key it "
		"waits for\n"
		"`talon up` or `talon login`. The others make, change and remove a unit of systemd. install "
		"and reconfigure\n"
		"keep what they are told in STATE-DIR/service.json, for the next time; reset-params forgets "
		"it.\n\n"
		"  -s, --service NAME  of the unit (talon)\n"
		"  --service-env LIST  NAME=value,...: variables of the service, added to those kept; \"\": "
		"none\n"
		"  --static FILE       serve this file (talon.conf(5)); an absolute path\n"
		"  --log-level, --log-file, --management-url, --config, --daemon-addr and NetBird's "
		"switches of a service\n"
		"                      as in talon(8)\n", cli_service,
	},
	{
		"debug", "make a debug bundle, show the settings, change the log's level",
			"bundle [OPTION...] | for DURATION [OPTION...] | config | log level LEVEL",
		"bundle writes what helps to find a fault into a zip file, without secrets, and prints its "
		"name; for sets\nthe log to debug for a DURATION such as 5m before. config prints the "
		"daemon's settings as JSON. LEVEL is\nerror, warn, info or debug.\n\n  -A, --anonymize "
		"          placeholders for public addresses, MAC addresses, domains\n  --anonymize-level "
		"LEVEL   default, or strict: for private addresses, names, public keys too\n  -S, "
		"--system-info[=false] with the host's routes, devices, rules, firewalls (true)\n  -C, "
		"--log-file-count N    so many log files, the rotated ones too (1)\n  -U, --upload-bundle "
		"      upload it, and print the key under which it is found\n  --upload-bundle-url URL "
		"  where to (--debug-upload-url, else NetBird's own service)\n  --upload-bundle-insecure  by "
		"http or with any certificate; only root may\n" COMMON_HELP, cli_debug,
	},
	{
		"hub", "run the coordinator of a small mesh: management, signal, relay and STUN",
			"[--file FILE] [OPTION...] | --check FILE | status | peers | keys | policies "
			"| routes",
		"Peers of NetBird and of Talon join it with a setup key. FILE says who may join and what "
		"reaches what; without\n"
		"it all peers reach each other, and the key for the first is printed. Runs in the "
		"foreground until SIGTERM;\nSIGHUP reads FILE again. Each option has a variable "
		"TALON_HUB_OPTION and a field in FILE; a flag wins.\n\n"
		"The others ask a running hub, which they find by the same flags, variables and FILE, as "
		"root or as its user:\n"
		"  status, peers, keys, policies, routes   lists, with --json for programs\n"
		"  peers remove PEER, peers rename PEER NAME   PEER: its name or public key\n"
		"  keys add NAME [--uses N | --reusable] [--expires TIME] [--ephemeral] [--group GROUP]...\n"
		"                          prints a new setup key, for one peer or N; TIME: 12h, 7d, "
		"2027-01-31T18:00:00Z\n"
		"  keys revoke NAME        nobody joins with it any more; who did stays\n\n"
		"  --check FILE            read FILE, print each fault with its line, and stop; exit status "
		"0 or 1\n"
		"  --file FILE             the hub's file (TALON_HUB_FILE)\n"
		"  --listen ADDR:PORT      for peers ([::]:443 with a certificate, else [::]:80)\n"
		"  --public-url URL        where peers reach it: http://HOST[:PORT] or https://HOST[:PORT]\n"
		"  --data-dir DIR          what it keeps (/var/lib/talon-hub)\n"
		"  --stun ADDR:PORT        STUN, or off ([::]:3478)\n"
		"  --page ADDR:PORT        page, health and metrics for this host, or off (127.0.0.1:9568)\n"
		"  --tls-cert FILE         certificate, PEM; without one a proxy speaks TLS\n"
		"  --tls-key FILE          its key\n"
		"  --master-key-file FILE  seals secrets that it keeps (DATA-DIR/master.key, made once)\n"
		"  --log-level LEVEL       error, warn, info or debug (info)\n"
		"  -h, --help              this text\n", cli_hub,
	},
	{ "version", "show the version", "", "", cli_version },
	{
		"genkey", "make a private key", "",
		"Prints a new private key. Keep it in a file that only root may read.\n",
		cli_genkey,
	},
	{
		"pubkey", "show the public key of a private key", "< PRIVATE-KEY",
		"Reads a private key from standard input and prints its public key.\n",
		cli_pubkey,
	},
	{ "help", "show help on a command", "[COMMAND]", "", cli_help },
	{},
};

const char *cli_why_absent(const char *name)
{
	static const struct {
		const char *name, *why;
	} absent[] = {
		{ "kubernetes", "clusters behind NetBird's API are for people's own machines; Talon has no "
			"commands "
			"for them" },
		{ "ssh", "Talon has neither SSH server nor client; OpenSSH works over the mesh" },
		{ "state", "what a crashed run left is taken over by the next, and removed by talon down" },
	};

	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		if (!strcmp(absent[i].name, name))
			return absent[i].why;
	}
	return NULL;
}

const struct cli_command *cli_find_command(const char *name)
{
	static const struct {
		const char *alias, *name;
	} aliases[] = { { "routes", "networks" }, { "deregister", "logout" } };

	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
		if (!strcmp(aliases[i].alias, name))
			name = aliases[i].name;
	}
	for (const struct cli_command *c = cli_commands; c->name; c++) {
		if (!strcmp(c->name, name))
			return c;
	}
	return NULL;
}
