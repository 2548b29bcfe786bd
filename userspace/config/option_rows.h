/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The options, one row each. A row feeds the enum, the parser, --help, the option lists of talon.8 and the
 * completion (`make docs` writes the last two). A new option also needs its setter, set_NAME() in options.c
 * or mesh_options.c, and its paragraph in talon.conf.5 and docs/static-file.md, or in docs/mesh.md;
 * test_config fails without them. For an option of [Interface], is_same() in config_reload.c says whether a
 * reload can apply it; the compiler asks for it.
 */
#ifndef TALON_CONFIG_OPTION_ROWS_H
#define TALON_CONFIG_OPTION_ROWS_H

/* A number that is a macro, as text. */
#define DEFAULT_TEXT(macro) DEFAULT_TEXT_(macro)
#define DEFAULT_TEXT_(number) #number

/*
 * Options of [Interface]: X(ID, name of the setter, kind, key in the file, flag, TALON_ variable,
 *	NB_ variable that means the same,
 *	accepted form, what the error line says of another value, values to complete, help with the default)
 * Kinds: ONE value; LIST, which a stronger source empties with clear_NAME(); SECRET, which is never quoted.
 * Values: words, or <file>, <directory>, <device>. NULL: none.
 */
#define CONFIG_OPTION_ROWS(X) \
	X(PRIVATE_KEY, private_key, SECRET, "PrivateKey", NULL, NULL, NULL, \
		FORM_KEY, "is not a key", NULL, \
		"this node's private key") \
	X(LISTEN_PORT, listen_port, ONE, "ListenPort", "listen-port", "TALON_LISTEN_PORT", \
		"NB_WIREGUARD_PORT", \
		"1-65535", "is not a port", NULL, \
		"UDP port of WireGuard (" DEFAULT_TEXT(CONFIG_LISTEN_PORT) ")") \
	X(ADDRESS, address, LIST, "Address", "address", "TALON_ADDRESS", NULL, \
		FORM_CIDR, "is not an address", NULL, \
		"this node's mesh address") \
	X(MTU, mtu, ONE, "MTU", "mtu", "TALON_MTU", "NB_MTU", \
		"576-1600", "is not an MTU", NULL, \
		"largest packet in the tunnel (" DEFAULT_TEXT(CONFIG_MTU) ")") \
	X(UPLINK, uplink, LIST, "Uplink", "uplink", "TALON_UPLINK", NULL, \
		"up to four device names, such as eth0", "is not a device name", "<device>", \
		"devices to attach to (the one with the default route)") \
	X(ROUTE, route, LIST, "Route", "route", "TALON_ROUTE", NULL, \
		FORM_CIDR ", then masquerade or nomasquerade", "is not a route", NULL, \
		"networks that peers reach through this node") \
	X(SNAT, snat, ONE, "SNAT", "snat", "TALON_SNAT", NULL, \
		FORM_SNAT, "is not an address for SNAT", "node", \
		"address that networks see instead of the peer's (node)") \
	X(SNAT_PORTS, snat_ports, ONE, "SNATPorts", "snat-ports", "TALON_SNAT_PORTS", NULL, \
		"FIRST-LAST within 1024-65535", "is not a port range", NULL, \
		"ports of SNAT (12288-19999; 1024-65535 of a spare address)") \
	X(DATAPATH, datapath, ONE, "Datapath", "datapath", "TALON_DATAPATH", NULL, \
		"auto, xdp, xdp-generic, tcx or clsact", "is not a datapath", \
		"auto xdp xdp-generic tcx clsact", \
		"where the programs attach (auto)") \
	X(XDP_DISPATCHER, xdp_dispatcher, ONE, "XDPDispatcher", "xdp-dispatcher", \
		"TALON_XDP_DISPATCHER", NULL, \
		"auto, always or never", "is not a choice", "auto always never", \
		"share XDP through libxdp's dispatcher (auto)") \
	X(XDP_PRIORITY, xdp_priority, ONE, "XDPPriority", "xdp-priority", "TALON_XDP_PRIORITY", NULL, \
		"1-65535", "is not a priority", NULL, \
		"place in that dispatcher, lower runs earlier (" DEFAULT_TEXT(CONFIG_XDP_PRIORITY) ")") \
	X(HOST_ADDRESS, host_address, ONE, "HostAddress", "host-address", "TALON_HOST_ADDRESS", NULL, \
		"yes or no", "is not a choice", "yes no", \
		"put the mesh address on the tunnel device (yes)") \
	X(LOCAL, local, LIST, "Local", "local", "TALON_LOCAL", NULL, \
		FORM_CIDR, "is not a CIDR", NULL, \
		"destinations that this host itself serves") \
	X(HAND_UP, hand_up, ONE, "HandUp", "hand-up", "TALON_HAND_UP", NULL, \
		"auto, pass or tunnel", "is not a choice", "auto pass tunnel", \
		"how packets for this host reach its stack (auto)") \
	X(UPLINK_THREADS, uplink_threads, ONE, "UplinkThreads", "uplink-threads", \
		"TALON_UPLINK_THREADS", NULL, \
		"auto, on or off", "is not a choice", "auto on off", \
		"a kernel thread of its own receives for each uplink; auto: on a veth (auto)") \
	X(TUNNEL, tunnel, ONE, "Tunnel", "tunnel", "TALON_TUNNEL", "NB_INTERFACE_NAME", \
		"a device name of 1-15 characters, such as wt0", "is not a device name", NULL, \
		"name of the tunnel device (" CONFIG_TUNNEL ")") \
	X(MAX_PEERS, max_peers, ONE, "MaxPeers", "max-peers", "TALON_MAX_PEERS", NULL, \
		"1-65536", "is not a number of peers", NULL, \
		"room for peers (" DEFAULT_TEXT(CONFIG_MAX_PEERS) "; in a mesh " \
		DEFAULT_TEXT(CONFIG_MESH_MAX_PEERS) ")") \
	X(MAX_FLOWS, max_flows, ONE, "MaxFlows", "max-flows", "TALON_MAX_FLOWS", NULL, \
		"1024-1048576", "is not a number of flows", NULL, \
		"room for translated flows (" DEFAULT_TEXT(CONFIG_MAX_FLOWS) ")") \
	X(KEYSTREAM_MEMORY, keystream_memory, ONE, "KeystreamMemory", "keystream-memory", \
		"TALON_KEYSTREAM_MEMORY", NULL, \
		"0-1024", "is not a number of MiB", NULL, \
		"MiB for keystream made before its packets arrive, 0: none (" \
		DEFAULT_TEXT(CONFIG_KEYSTREAM_MEMORY) ")") \
	X(CAPTURE, capture, ONE, "Capture", "capture", "TALON_CAPTURE", "NB_ENABLE_CAPTURE", \
		"on or off", "is not a choice", "on off", \
		"whether root may capture a peer's packets with talon capture (on)") \
	X(METRICS, metrics, ONE, "Metrics", "metrics", "TALON_METRICS", NULL, \
		"ADDRESS:PORT, unix:/PATH or off", "is not an address to listen on", "off", \
		"where metrics and health are served over HTTP (" CONFIG_METRICS ")") \
	X(METRICS_PEERS, metrics_peers, ONE, "MetricsPeers", "metrics-peers", \
		"TALON_METRICS_PEERS", NULL, \
		"0-" DEFAULT_TEXT(CONFIG_METRICS_PEERS_MOST), "is not a number of peers", NULL, \
		"peers that have series of their own, those with the most traffic (0)") \
	X(METRICS_ALIASES, metrics_aliases, ONE, "MetricsAliases", "metrics-aliases", \
		"TALON_METRICS_ALIASES", NULL, \
		"on or off", "is not a choice", "on off", \
		"metrics also under the names of other exporters (off)") \
	X(VIP_SOURCE, vip_source, ONE, "VIPSource", "vip-source", "TALON_VIP_SOURCE", NULL, \
		"off, auto, cilium, metallb, kube-vip or arp", "is not a choice", \
		"off auto cilium metallb kube-vip arp", \
		"what tells which node holds the cluster's virtual addresses (off)") \
	X(VIP_NAMESPACE, vip_namespace, ONE, "VIPNamespace", "vip-namespace", \
		"TALON_VIP_NAMESPACE", NULL, \
		"the name of a namespace", "is not a namespace", NULL, \
		"where that has its objects (kube-system; MetalLB: metallb-system)") \
	X(NODE_NAME, node_name, ONE, "NodeName", "node-name", "TALON_NODE_NAME", NULL, \
		"a name of 1-63 lower case letters, digits, - and .", "is not the name of a node", NULL, \
		"this node's name in the cluster (in a mesh --hostname, else the host's)") \
	X(KUBE_API, kube_api, ONE, "KubeAPI", "kube-api", "TALON_KUBE_API", NULL, \
		"https://HOST:PORT", "is not an API server", NULL, \
		"the Kubernetes API server (KUBERNETES_SERVICE_HOST)") \
	X(KUBE_DIR, kube_dir, ONE, "KubeDir", "kube-dir", "TALON_KUBE_DIR", NULL, \
		"an absolute path", "is not a directory", "<directory>", \
		"where ca.crt and token for it are (the pod's ServiceAccount)") \
	X(PIN_DIR, pin_dir, ONE, NULL, "pin-dir", "TALON_PIN_DIR", NULL, \
		"an absolute path on a bpf file system", "is not a directory for pins", "<directory>", \
		"where programs and maps are pinned (" CONFIG_PIN_DIR ")") \
	X(TAKE_OVER, take_over, ONE, NULL, "take-over", "TALON_TAKE_OVER", NULL, \
		"on or off", "is not a choice", "on off", \
		"take over from the Talon that runs on these pins, which stands by then (off)") \
	X(LOG_LEVEL, log_level, ONE, NULL, "log-level", "TALON_LOG_LEVEL", "NB_LOG_LEVEL", \
		"error, warn, info or debug", "is not a level", "error warn info debug", \
		"what is logged to standard error (info)") \
	X(LOG_FORMAT, log_format, ONE, NULL, "log-format", "TALON_LOG_FORMAT", "NB_LOG_FORMAT", \
		"text or json", "is not a form of log lines", "text json", \
		"form of log lines (text)") \
	X(LOG_FILE, log_file, LIST, NULL, "log-file", "TALON_LOG_FILE", "NB_LOG_FILE", \
		"console, syslog and absolute paths, with commas between them", "is not a log", \
		"<file>", \
		"where log lines go, to all of them (console: standard error)") \
	X(LOG_MAX_SIZE, log_max_size, ONE, NULL, "log-max-size", "TALON_LOG_MAX_SIZE", \
		"NB_LOG_MAX_SIZE_MB", \
		"0-4096", "is not a number of MiB", NULL, \
		"MiB of a log file before it is begun anew beside NAME.old, 0: any (" \
		DEFAULT_TEXT(CONFIG_LOG_MAX_SIZE) ")")

/*
 * Options of a mesh, under NetBird's names: X(ID, name of the setter, kind, flag, letter, other variable,
 *	name of the argument in the manual (NULL: a switch, which needs none),
 *	accepted form, what the error line says of another value, values to complete, help with the default)
 * The variable is NB_ and the flag in upper case, with '_' for '-'; the other variable is read as well.
 */
#define CONFIG_MESH_OPTION_ROWS(X) \
	X(MANAGEMENT_URL, management_url, ONE, "management-url", 'm', NULL, "url", \
		FORM_URL, "is not a management server", NULL, \
		"the management server (" CONFIG_MANAGEMENT_URL ")") \
	X(SETUP_KEY, setup_key, SECRET, "setup-key", 'k', NULL, "key", \
		FORM_SETUP_KEY, "is not a setup key", NULL, \
		"registers this host; later starts need none") \
	X(SETUP_KEY_FILE, setup_key_file, ONE, "setup-key-file", 0, NULL, "file", \
		"the path of a file with a setup key", "is not a path", "<file>", \
		"a file that holds the setup key; not together with --setup-key") \
	X(HOSTNAME, hostname, ONE, "hostname", 'n', NULL, "name", \
		"a name of 1-253 characters without spaces", "is not a host name", NULL, \
		"name in the mesh (the host's)") \
	X(CONFIG, config, ONE, "config", 'c', NULL, "file", \
		"a path", "is not a path", "<file>", \
		"the identity file (STATE-DIR/default.json)") \
	X(STATE_DIR, state_dir, ONE, "state-dir", 0, NULL, "directory", \
		"an absolute path", "is not a directory for state", "<directory>", \
		"where state is kept across restarts (" CONFIG_STATE_DIR ")") \
	X(DAEMON_ADDR, daemon_addr, ONE, "daemon-addr", 0, NULL, "address", \
		"unix:///PATH, the path of at most 107 characters", "is not a local socket", NULL, \
		"the control socket (unix://" CONFIG_CONTROL_SOCKET ")") \
	X(PRESHARED_KEY, mesh_psk, SECRET, "preshared-key", 0, NULL, "key", \
		FORM_KEY, "is not a key", NULL, \
		"WireGuard's preshared key, for all peers") \
	X(CLIENT_ROUTES, client_routes, ONE, "disable-client-routes", 0, NULL, NULL, \
		FORM_BOOL, "is not a choice", NULL, \
		"use no networks of other peers") \
	X(SERVER_ROUTES, server_routes, ONE, "disable-server-routes", 0, NULL, NULL, \
		FORM_BOOL, "is not a choice", NULL, \
		"serve no networks") \
	X(FIREWALL, firewall, ONE, "disable-firewall", 0, NULL, NULL, \
		FORM_BOOL, "is not a choice", NULL, \
		"enforce no access rules") \
	X(LAN_ACCESS, lan_access, ONE, "block-lan-access", 0, NULL, NULL, \
		FORM_BOOL, "is not a choice", NULL, \
		"keep peers out of the networks this host is in") \
	X(INBOUND, inbound, ONE, "block-inbound", 0, NULL, NULL, \
		FORM_BOOL, "is not a choice", NULL, \
		"accept no connection from a peer") \
	X(FORCE_RELAY, force_relay, ONE, "force-relay", 0, NULL, NULL, \
		FORM_BOOL, "is not a choice", NULL, \
		"use relays only, no direct paths") \
	X(RELAY_TRANSPORT, relay_transport, ONE, "relay-transport", 0, NULL, "name", \
		"auto, ws, prefer-ws or prefer-quic", "is not a choice", "auto ws prefer-ws prefer-quic", \
		"how relays are reached; all of these mean WebSocket (auto)") \
	X(HOME_RELAYS, home_relays, LIST, "home-relay-servers", 0, NULL, "list", \
		"up to 16 of rel://HOST:PORT or rels://HOST:PORT with commas between them", \
		"is not a relay", NULL, \
		"relays instead of those that management names") \
	X(NETWORKS, networks, ONE, "disable-networks", 0, NULL, NULL, \
		FORM_BOOL, "is not a choice", NULL, \
		"networks are neither listed nor selected by commands") \
	X(ANONYMIZE, anonymize, ONE, "anonymize", 'A', NULL, NULL, \
		FORM_BOOL, "is not a choice", NULL, \
		"status shows placeholders for public addresses and foreign domains") \
	X(ANONYMIZE_LEVEL, anonymize_level, ONE, "anonymize-level", 0, NULL, "level", \
		"default or strict", "is not a level", "default strict", \
		"the same; strict: also for private addresses, names of peers and keys") \
	X(IPV6, ipv6, ONE, "disable-ipv6", 0, NULL, NULL, \
		FORM_BOOL, "is not a choice", NULL, \
		"no IPv6 inside the mesh; kept for later starts") \
	X(LAZY_CONN, lazy_conn, ONE, "lazy-conn", 0, NULL, "on|off", \
		"on or off", "is not a choice", "on off", \
		"connect to peers when there is traffic, or at once, whatever the account says") \
	X(DNS_LABELS, dns_labels, LIST, "extra-dns-labels", 0, NULL, "list", \
		"up to 32 DNS labels with commas between them", "is not a DNS label", NULL, \
		"more names for this peer") \
	X(DNS_PORT, dns_port, ONE, "dns-forwarder-port", 0, NULL, "port", \
		"1-65535", "is not a port", NULL, \
		"port where domain routes are resolved (management's, else 22054; 5353 too)") \
	X(DEBUG_UPLOAD_URL, debug_upload_url, ONE, "debug-upload-url", 0, NULL, "url", \
		"https://HOST[:PORT]/PATH", "is not an upload service", NULL, \
		"where debug bundles that management asks for go; unset: they are declined") \
	X(FOREGROUND, foreground, ONE, "foreground-mode", 'F', NULL, NULL, \
		FORM_BOOL, "is not a choice", NULL, \
		"run in this process even if a daemon runs") \
	X(QR, qr, ONE, "qr", 0, NULL, NULL, \
		FORM_BOOL, "is not a choice", NULL, \
		"where a person signs in: the page as a QR code on the terminal too") \
	X(AGENT, agent, ONE, "agent", 0, "TALON_AGENT", NULL, \
		FORM_BOOL, "is not a choice", NULL, \
		"this host is not a cluster node: use networks, serve none") \
	X(ON_STOP, on_stop, ONE, "on-stop", 0, "TALON_ON_STOP", "choice", \
		"quiet or tell", "is not a choice", "quiet tell", \
		"at SIGTERM: tell the relays, and so the peers, that this one leaves, or not (quiet)") \
	X(LOG_ROTATION, log_rotation, ONE, "log-disable-rotation", 0, NULL, NULL, \
		FORM_BOOL, "is not a choice", NULL, \
		"log files of any size, as --log-max-size 0") \
	X(PROFILE, profile, ONE, "profile", 0, NULL, "name", \
		"default", "is not a profile that Talon has", "default", \
		"only default is accepted") \
	X(ROSENPASS, rosenpass, ONE, "enable-rosenpass", 0, NULL, NULL, \
		FORM_BOOL, "is not a choice", NULL, \
		"only false is accepted")

/*
 * Options of NetBird's client that are accepted and have no effect: X(flag, letter,
 *	argument (NULL: a switch), accepted form, the reason for the log (NULL: nothing is logged))
 */
#define CONFIG_IDLE_OPTION_ROWS(X) \
	X("rosenpass-permissive", 0, NULL, FORM_BOOL, "Talon does not speak Rosenpass") \
	X("disable-dns", 0, NULL, FORM_BOOL, NULL) \
	X("no-browser", 0, NULL, FORM_BOOL, NULL) \
	X("enable-lazy-connection", 0, NULL, FORM_BOOL, NO_LAZY) \
	X("lazy-conn-inactivity-threshold", 0, "duration", FORM_DURATION, \
		"Talon closes no connection for being idle") \
	X("enable-json-socket", 0, NULL, FORM_BOOL, NO_JSON_SOCKET) \
	X("json-socket", 0, "address", "unix:///PATH or tcp://ADDRESS:PORT", NO_JSON_SOCKET) \
	X("disable-profiles", 0, NULL, FORM_BOOL, NULL) \
	X("disable-update-settings", 0, NULL, FORM_BOOL, NULL) \
	X("admin-url", 0, "url", "a URL", NULL) \
	X("service", 's', "name", "a name", NULL) \
	X("disable-auto-connect", 0, NULL, FORM_BOOL, "Talon connects when it is started") \
	X("network-monitor", 'N', NULL, FORM_BOOL, "Talon always follows the host's devices and routes") \
	X("external-ip-map", 0, "list", "a list", "Talon learns its outer addresses from STUN") \
	X("extra-iface-blacklist", 0, "list", "a list", \
		"Talon offers the addresses of its uplinks and no others") \
	X("dns-resolver-address", 0, "address", "ADDRESS:PORT", "Talon leaves the host's resolver alone") \
	X("dns-router-interval", 0, "duration", FORM_DURATION, \
		"Talon follows the time to live of the answers") \
	X("allow-server-ssh", 0, NULL, FORM_BOOL, NO_SSH) \
	X("enable-ssh-root", 0, NULL, FORM_BOOL, NO_SSH) \
	X("enable-ssh-sftp", 0, NULL, FORM_BOOL, NO_SSH) \
	X("enable-ssh-local-port-forwarding", 0, NULL, FORM_BOOL, NO_SSH) \
	X("enable-ssh-remote-port-forwarding", 0, NULL, FORM_BOOL, NO_SSH) \
	X("disable-ssh-auth", 0, NULL, FORM_BOOL, NO_SSH) \
	X("ssh-jwt-cache-ttl", 0, "seconds", "seconds", NO_SSH)

/* NetBird's flags for options of [Interface] that Talon names differently: X(flag, ID) */
#define CONFIG_ALIAS_ROWS(X) \
	X("wireguard-port", LISTEN_PORT) \
	X("interface-name", TUNNEL)

/* The same for one that NetBird's client has as a switch. */
#define CONFIG_SWITCH_ALIAS_ROWS(X) \
	X("enable-capture", CAPTURE)

#endif
