package bench

import (
	"fmt"
	"strings"
)

// weirConfig is a weir.toml that says only what the benchmark needs; the rest is default. Metrics are served as they
// are by default, for they cost memory, on a port of their own.
func weirConfig(listen, server hostPort, files tlsFiles, loops int, opts targetOptions) string {
	text := fmt.Sprintf(`[listen]
addresses = [%q]

[http]
address = "127.0.0.1:0"

[loops]
count = %d

[auth]
type = %q

[users.%s]
password = %q

[pool]
mode = "transaction"
pool_size = %d

[databases."*"]
host = %q
port = %d

[limits]
max_client_conn = %d
`, listen, loops, opts.auth(), user, password, opts.backends, server.host, server.port, opts.clients+spareClients)
	if listen.tls {
		text += fmt.Sprintf("\n[client_tls]\nsslmode = \"require\"\ncert_file = %q\nkey_file = %q\n", files.cert, files.key)
	}
	return text
}

// tlsFiles are what a proxy shows to clients.
type tlsFiles struct{ cert, key string }

func (l *Lab) files() tlsFiles { return tlsFiles{cert: l.path("proxy.crt"), key: l.path("proxy.key")} }

// statementsKept is what PgBouncer keeps by itself from 1.24 on.
const statementsKept = 200

// pgbouncerConfig is the same for PgBouncer. Its log goes to standard error, which is our file.
func pgbouncerConfig(listen, server hostPort, users string, files tlsFiles, opts targetOptions) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[databases]\n* = host=%s port=%d\n\n[pgbouncer]\n", server.host, server.port)
	fmt.Fprintf(&b, "listen_addr = %s\nlisten_port = %d\nunix_socket_dir =\n", listen.host, listen.port)
	fmt.Fprintf(&b, "auth_type = %s\nauth_file = %s\n", opts.auth(), users)
	fmt.Fprintf(&b, "pool_mode = transaction\ndefault_pool_size = %d\nmax_client_conn = %d\n", opts.backends, opts.clients+spareClients)
	if opts.prepared {
		fmt.Fprintf(&b, "max_prepared_statements = %d\n", statementsKept)
	}
	if listen.tls {
		fmt.Fprintf(&b, "client_tls_sslmode = require\nclient_tls_cert_file = %s\nclient_tls_key_file = %s\n", files.cert, files.key)
	}
	return b.String()
}
