// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What NetBird's client writes into a new profile, and the forms of its values: URLs, keys, SSH keys.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sodium.h>

#include "base/server_url.h"
#include "config/config.h"
#include "netbird/identity_internal.h"
#include "netbird/json_file.h"

#define DEFAULT_HOST		"api.netbird.io:443"
#define DEFAULT_ADMIN_HOST	"app.netbird.io:443"
#define DEFAULT_DNS_INTERVAL	60000000000LL	/* ns */
#define SSH_TYPE		"ssh-ed25519"

static char *ssh_line(const uint8_t key[static 32])
{
	uint8_t blob[4 + sizeof(SSH_TYPE) - 1 + 4 + 32] = { 0, 0, 0, sizeof(SSH_TYPE) - 1 };
	char text[sodium_base64_ENCODED_LEN(sizeof(blob), sodium_base64_VARIANT_ORIGINAL)];
	char *line;

	memcpy(blob + 4, SSH_TYPE, sizeof(SSH_TYPE) - 1);
	blob[4 + sizeof(SSH_TYPE) - 1 + 3] = 32;
	memcpy(blob + sizeof(blob) - 32, key, 32);
	sodium_bin2base64(text, sizeof(text), blob, sizeof(blob), sodium_base64_VARIANT_ORIGINAL);
	return asprintf(&line, "%s %s", SSH_TYPE, text) < 0 ? NULL : line;
}

char *identity_ssh_line(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"") : NULL;
	uint8_t public[32];
	size_t len = sizeof(public);
	bool ok = key && EVP_PKEY_get_id(key) == EVP_PKEY_ED25519 && EVP_PKEY_get_raw_public_key(key, public,
		&len) == 1 && len == sizeof(public);

	EVP_PKEY_free(key);
	BIO_free(bio);
	return ok ? ssh_line(public) : strdup("");
}

/* A new key as PKCS#8 PEM, or NULL. */
static json_t *new_ssh_key(void)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	BIO *bio = BIO_new(BIO_s_secmem());
	json_t *json = NULL;
	char *pem;
	long len;

	if (key && bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1) {
		len = BIO_get_mem_data(bio, &pem);
		json = json_stringn(pem, len);
	}
	EVP_PKEY_free(key);
	BIO_free(bio);
	return json;
}

static json_t *url_object(const char *scheme, const char *host, const char *path)
{
	return json_pack("{s:s, s:s, s:n, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b}", "Scheme", scheme,
		"Opaque", "", "User", "Host", host, "Path", path, "Fragment", "", "RawQuery", "", "RawPath",
		"", "RawFragment", "", "ForceQuery", 0, "OmitHost", 0);
}

char *identity_url_text(const json_t *json)
{
	const char *scheme = json_file_text(json, "Scheme"), *host = json_file_text(json, "Host"),
		*path = json_file_text(json, "Path");
	char *text;

	if (json_is_string(json) && json_string_length(json))
		return strdup(json_string_value(json));
	if (!scheme || !*scheme || !host || !*host)
		return NULL;
	if (!path || strcmp(path, "/") == 0)
		path = "";
	return asprintf(&text, "%s://%s%s", scheme, host, path) < 0 ? NULL : text;
}

json_t *identity_url_json(const char *url)
{
	char authority[HOST_PORT_LEN];
	struct server_url parsed;
	const char *path;

	if (server_url_parse(url, SERVER_SCHEMES_WEB, &parsed))
		return NULL;
	host_port_format(parsed.host, parsed.port, authority);
	path = strstr(url, "://") + 3;
	path += strcspn(path, "/?#");
	return url_object(server_url_is_tls(&parsed) ? "https" : "http", authority,
		strcmp(path, "/") == 0 ? "" : path);
}

static json_t *blacklist(void)
{
	static const char *const prefixes[] = {
		"wt0", "wt", "utun", "tun0", "zt", "ZeroTier", "wg", "ts", "Tailscale", "tailscale", "docker",
		"veth", "br-", "lo",
	};
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		json_array_append_new(list, json_string(prefixes[i]));
	return list;
}

json_t *identity_key_json(const struct secret_key *key)
{
	char text[KEY_BASE64_LEN + 1];
	json_t *json;

	key_to_base64(key->bytes, text);
	json = json_string(text);
	sodium_memzero(text, sizeof(text));
	return json;
}

void identity_new_private_key(struct secret_key *ret_key)
{
	randombytes_buf(ret_key->bytes, KEY_LEN);
	secret_key_clamp(ret_key);
}

static json_t *new_private_key_json(void)
{
	struct secret_key key;
	json_t *json;

	identity_new_private_key(&key);
	json = identity_key_json(&key);
	secret_key_wipe(&key);
	return json;
}

static void add_nulls(json_t *json, const char *const *keys)
{
	for (; *keys; keys++)
		json_object_set_new(json, *keys, json_null());
}

static void add_falses(json_t *json, const char *const *keys)
{
	for (; *keys; keys++)
		json_object_set_new(json, *keys, json_false());
}

#define KEYS(...) ((const char *const []){ __VA_ARGS__, NULL })

json_t *identity_new_profile(void)
{
	json_t *json = json_object();

	json_object_set_new(json, "Name", json_string(""));
	json_object_set_new(json, "PrivateKey", new_private_key_json());
	json_object_set_new(json, "PreSharedKey", json_string(""));
	json_object_set_new(json, "ManagementURL", url_object("https", DEFAULT_HOST, ""));
	json_object_set_new(json, "AdminURL", url_object("https", DEFAULT_ADMIN_HOST, ""));
	json_object_set_new(json, "WgIface", json_string(CONFIG_TUNNEL));
	json_object_set_new(json, "WgPort", json_integer(CONFIG_LISTEN_PORT));
	add_nulls(json, KEYS("NetworkMonitor"));
	json_object_set_new(json, "IFaceBlackList", blacklist());
	add_falses(json, KEYS("DisableIPv6Discovery", "RosenpassEnabled", "RosenpassPermissive",
		"ServerSSHAllowed"));
	add_nulls(json, KEYS("EnableSSHRoot", "EnableSSHSFTP", "EnableSSHLocalPortForwarding",
		"EnableSSHRemotePortForwarding", "DisableSSHAuth", "SSHJWTCacheTTL"));
	add_falses(json, KEYS("DisableClientRoutes", "DisableServerRoutes", "DisableDNS", "DisableFirewall",
		"BlockLANAccess", "BlockInbound", "DisableIPv6"));
	add_nulls(json, KEYS("SyncMessageVersion"));
	json_object_set_new(json, "DisableNotifications", json_true());
	add_nulls(json, KEYS("DNSLabels"));
	json_object_set_new(json, "SSHKey", new_ssh_key());
	add_nulls(json, KEYS("NATExternalIPs"));
	json_object_set_new(json, "CustomDNSAddress", json_string(""));
	add_falses(json, KEYS("DisableAutoConnect"));
	json_object_set_new(json, "DNSRouteInterval", json_integer(DEFAULT_DNS_INTERVAL));
	json_object_set_new(json, "ClientCertPath", json_string(""));
	json_object_set_new(json, "ClientCertKeyPath", json_string(""));
	json_object_set_new(json, "MTU", json_integer(CONFIG_MTU));
	return json;
}
