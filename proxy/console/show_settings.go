package console

import (
	"slices"
	"strings"

	"weir/config"
)

var settingTables = []Table{
	newTable("CONFIG", "A row for each setting. Where PgBouncer has the setting, key is its name there; else it is SECTION.NAME of weir's. changeable says "+
		"whether RELOAD and SET change it without a restart.", settings, []column[config.Shown]{
		{"key", Text, func(s config.Shown) any { return keyOf(s) }},
		{"value", Text, func(s config.Shown) any {
			if s.NoValue {
				return nil
			}
			return s.Value
		}},
		{"default", Text, func(s config.Shown) any {
			if s.NoDefault {
				return nil
			}
			return s.Default
		}},
		{"changeable", Text, func(s config.Shown) any { return yes(!s.Restart) }},
	}),
	newTable("STATE", "What operators have asked of the whole.", states, []column[stateRow]{
		{"key", Text, func(s stateRow) any { return s.key }},
		{"value", Text, func(s stateRow) any { return yes(s.on) }},
	}),
	newTable("VERSION", "The version of PgBouncer whose console this is, and weir's own.", func(v *View) []string { return []string{v.Version} },
		[]column[string]{{"version", Text, func(s string) any { return s }}}),
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

type stateRow struct {
	key string
	on  bool
}

func states(v *View) []stateRow {
	s := v.State()
	return []stateRow{{"active", !s.Paused}, {"paused", s.Paused}, {"suspended", false}}
}

// pgbouncerNames are PgBouncer's names of settings that weir calls otherwise. Those of a section in sharedSections have the same.
var pgbouncerNames = map[[2]string]string{
	{"listen", "backlog"}:                    "listen_backlog",
	{"listen", "addresses"}:                  "listen_addr",
	{"listen", "unix_socket_dir"}:            "unix_socket_dir",
	{"listen", "unix_socket_mode"}:           "unix_socket_mode",
	{"listen", "tcp_keepalive"}:              "tcp_keepalive",
	{"listen", "tcp_keepidle"}:               "tcp_keepidle",
	{"listen", "tcp_keepintvl"}:              "tcp_keepintvl",
	{"listen", "tcp_keepcnt"}:                "tcp_keepcnt",
	{"listen", "tcp_user_timeout"}:           "tcp_user_timeout",
	{"listen", "tcp_socket_buffer"}:          "tcp_socket_buffer",
	{"listen", "tcp_defer_accept"}:           "tcp_defer_accept",
	{"listen", "unix_socket_group"}:          "unix_socket_group",
	{"listen", "reuse_port"}:                 "so_reuseport",
	{"listen", "peer_id"}:                    "peer_id",
	{"auth", "scram_iterations"}:             "scram_iterations",
	{"auth", "type"}:                         "auth_type",
	{"auth", "auth_file"}:                    "auth_file",
	{"auth", "hba_file"}:                     "auth_hba_file",
	{"auth", "ident_file"}:                   "auth_ident_file",
	{"auth", "auth_user"}:                    "auth_user",
	{"auth", "auth_query"}:                   "auth_query",
	{"auth", "auth_dbname"}:                  "auth_dbname",
	{"client_tls", "sslmode"}:                "client_tls_sslmode",
	{"client_tls", "ca_file"}:                "client_tls_ca_file",
	{"client_tls", "cert_file"}:              "client_tls_cert_file",
	{"client_tls", "ciphers"}:                "client_tls_ciphers",
	{"client_tls", "curves"}:                 "client_tls_ecdhcurve",
	{"client_tls", "key_file"}:               "client_tls_key_file",
	{"server_tls", "sslmode"}:                "server_tls_sslmode",
	{"server_tls", "ca_file"}:                "server_tls_ca_file",
	{"server_tls", "cert_file"}:              "server_tls_cert_file",
	{"server_tls", "ciphers"}:                "server_tls_ciphers",
	{"server_tls", "key_file"}:               "server_tls_key_file",
	{"pool", "mode"}:                         "pool_mode",
	{"pool", "pool_size"}:                    "default_pool_size",
	{"pool", "min_pool_size"}:                "min_pool_size",
	{"pool", "reserve_pool_size"}:            "reserve_pool_size",
	{"pool", "reserve_pool_timeout"}:         "reserve_pool_timeout",
	{"pool", "server_reset_query"}:           "server_reset_query",
	{"pool", "server_reset_query_always"}:    "server_reset_query_always",
	{"pool", "server_check_query"}:           "server_check_query",
	{"pool", "server_check_delay"}:           "server_check_delay",
	{"pool", "server_fast_close"}:            "server_fast_close",
	{"pool", "server_round_robin"}:           "server_round_robin",
	{"clients", "ignore_startup_parameters"}: "ignore_startup_parameters",
	{"clients", "application_name_add_host"}: "application_name_add_host",
	{"clients", "login_notify_message"}:      "login_notify_message",
	{"clients", "query_wait_notify"}:         "query_wait_notify",
	{"log", "stats"}:                         "log_stats",
	{"log", "file"}:                          "logfile",
	{"log", "syslog"}:                        "syslog",
	{"log", "syslog_facility"}:               "syslog_facility",
	{"log", "syslog_ident"}:                  "syslog_ident",
	{"process", "user"}:                      "user",
	{"process", "pidfile"}:                   "pidfile",
	{"pool", "max_prepared_statements"}:      "max_prepared_statements",
}

// sharedSections have PgBouncer's names; own names are the exceptions.
var (
	sharedSections = []string{"limits", "timeouts", "admin"}
	ownNames       = []string{"max_logins", "server_tcp_timeout", "client_stall_timeout", "shutdown_grace", "drain_timeout"}
)

// keyOf is what SHOW CONFIG and SET call a setting.
func keyOf(s config.Shown) string {
	if s.Section == "" {
		return s.Name
	}
	if name, ok := pgbouncerNames[[2]string{s.Section, s.Name}]; ok {
		return name
	}
	if slices.Contains(sharedSections, s.Section) && !slices.Contains(ownNames, s.Name) {
		return s.Name
	}
	return s.Section + "." + s.Name
}

// settings are weir's, and of a file of PgBouncer's its own: where both have one, PgBouncer's stands for it.
func settings(v *View) []config.Shown { return merged(v.Settings()) }

func merged(shown []config.Shown) (all []config.Shown) {
	at := map[string]int{}
	for _, s := range shown {
		i, known := at[keyOf(s)]
		switch {
		case !known:
			at[keyOf(s)] = len(all)
			all = append(all, s)
		case s.Section == "":
			s.Restart = s.Restart || all[i].Restart
			all[i] = s
		}
	}
	slices.SortStableFunc(all, func(a, b config.Shown) int { return strings.Compare(keyOf(a), keyOf(b)) })
	return all
}

// settingOf finds a setting by what SHOW CONFIG calls it, or by weir's own name where only one section has that.
func settingOf(shown []config.Shown, key string) (config.Shown, bool) {
	var found []config.Shown
	for _, s := range merged(shown) {
		if strings.EqualFold(keyOf(s), key) || strings.EqualFold(s.Section+"."+s.Name, key) {
			return s, true
		}
		if strings.EqualFold(s.Name, key) {
			found = append(found, s)
		}
	}
	if len(found) == 1 {
		return found[0], true
	}
	return config.Shown{}, false
}
