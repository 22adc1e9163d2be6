package console

import (
	"fmt"
	"strings"
	"testing"
)

const docsFile = "../../docs/console.md"

// head is what of docs/console.md is not made from the tables.
const head = `# The admin console

PgBouncer's console, on the virtual databases ` + "`pgbouncer`" + ` and ` + "`weir`" + `. Tools that read PgBouncer read it unchanged:
pgbouncer_exporter 0.12.1 does. This file is generated: ` + "`go test ./proxy/console -update`" + `.

` + "```" + `
psql -h /run/weir -p 6432 pgbouncer -c 'SHOW POOLS'
` + "```" + `

This needs ` + "`unix_socket_dir = \"/run/weir\"`" + ` in ` + "`[listen]`" + `, which is not the default; over TCP the user has to be one of ` + "`[admin]`" + `:
` + "`psql -h 127.0.0.1 -p 6432 -U app pgbouncer`" + `.

## Who may use it

- Users in ` + "`admin_users`" + ` of ` + "`[admin]`" + ` may do everything, those in ` + "`stats_users`" + ` may use SHOW. They log in as to any database;
  users that only ` + "`auth_query`" + ` knows need ` + "`auth_dbname`" + `, because the console has no users of its own.
- On the unix socket (` + "`unix_socket_dir`" + `) the account that weir runs as, and root, may do everything without a password and under any name.
  16 places are kept for them: they get in when ` + "`max_client_conn`" + ` is reached and when descriptors are short.
- A section ` + "`[databases.weir]`" + ` leads to a server's database of that name, and the console is at ` + "`pgbouncer`" + ` alone.

The console speaks the simple protocol and, unlike PgBouncer's, the extended one, so that every driver can read it. Several commands may stand in
one query. What drivers and tools say to any server at first (` + "`SET`" + ` of their settings, ` + "`BEGIN`, `SELECT version()`, `current_database()`" + ` and
the like), or when a pool of theirs takes a connection back, is answered; other SQL is an error. Commands that change something are logged.

## Commands

All but SHOW need ` + "`admin_users`" + `. NAME may also be a database that only ` + "`\"*\"`" + ` leads to.

| command | effect | answers |
| --- | --- | --- |
| ` + "`PAUSE [NAME]`" + ` | closes backends as they become free. Clients wait; ` + "`query_wait_timeout`" + ` counts. Connections for replication go on | when no backend is left. A cancel request, or the end of the connection, ends the wait and the pause; where another operator ends the pause meanwhile, it is an error |
| ` + "`RESUME [NAME]`" + ` | ends PAUSE and KILL. Without a name it does not end those of single databases | at once |
| ` + "`DISABLE NAME`, `ENABLE NAME`" + ` | new clients are refused; those that are connected go on | at once |
| ` + "`RECONNECT [NAME]`" + ` | replaces all backends: each is closed when it is free, and what the server was known for is forgotten | at once |
| ` + "`WAIT_CLOSE [NAME]`" + ` | | when the backends of before RECONNECT, or of before a change of the configuration, are gone |
| ` + "`KILL [NAME]`" + ` | ends all clients, cancels what they do and closes the backends; the databases are paused then | at once |
| ` + "`KILL_CLIENT ID`" + ` | ends one client, by its id in SHOW CLIENTS, and cancels its query | at once |
| ` + "`SET key = value`" + ` | changes a setting of SHOW CONFIG until the next RELOAD. A value of other characters than letters, digits and underscores stands in single quotes | at once |
| ` + "`RELOAD`" + ` | reads the configuration anew: all of it, or nothing where there is a mistake | at once |
| ` + "`SHUTDOWN`" + ` | ends weir: clients are sent away at once, and what they have running is cancelled | the connection ends |
| ` + "`SHUTDOWN WAIT_FOR_SERVERS`" + ` | admits no client, sends clients away as soon as they are in no transaction, ends with the last | at once |
| ` + "`SHUTDOWN WAIT_FOR_CLIENTS`" + ` | admits no client and ends when the last client has left | at once |

After the last two the console is reachable on the unix socket until weir ends. A planned switchover that no client notices:
PAUSE, promote the standby and let the address lead to it, RESUME.

## SHOW
`

// docs is docs/console.md.
func docs() string {
	var b strings.Builder
	b.WriteString(head)
	for _, part := range []struct {
		title string
		own   bool
	}{{"PgBouncer's", false}, {"weir's own", true}} {
		fmt.Fprintf(&b, "\n### %s\n", part.title)
		for _, t := range tables {
			if t.Own != part.own {
				continue
			}
			fmt.Fprintf(&b, "\n#### SHOW %s\n\n%s\n\n", t.Name, t.Help)
			var columns []string
			for _, c := range t.Columns {
				columns = append(columns, "`"+c.Name+"` "+c.Kind.String())
			}
			b.WriteString("Columns: " + strings.Join(columns, ", ") + ".\n")
		}
	}
	b.WriteString("\n`SHOW HELP` lists the commands. SHOW FDS and SUSPEND, which PgBouncer 1.26 has no more, are not there.\n")
	return b.String()
}

func TestDocsPageIsThatOfTheTables(t *testing.T) { golden(t, docsFile, docs()) }
