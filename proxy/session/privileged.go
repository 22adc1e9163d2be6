package session

import "slices"

// privileged are the settings that only a superuser may set, or whom GRANT SET ON PARAMETER allows it: the GucContext PGC_SUSET in
// src/backend/utils/misc/guc_tables.c, of all servers from 10 to 18.
var privileged = [...]string{
	"allow_in_place_tablespaces", "allow_system_table_mods", "backtrace_functions", "commit_delay", "compute_query_id", "deadlock_timeout",
	"debug_discard_caches", "dynamic_library_path", "event_triggers", "extension_control_path", "ignore_checksum_failure", "jit_dump_bitcode",
	"lc_messages", "lo_compat_privileges", "log_duration", "log_error_verbosity", "log_executor_stats", "log_lock_failures", "log_lock_waits",
	"log_min_duration_sample", "log_min_duration_statement", "log_min_error_statement", "log_min_messages", "log_parameter_max_length",
	"log_parser_stats", "log_planner_stats", "log_replication_commands", "log_statement", "log_statement_sample_rate", "log_statement_stats",
	"log_temp_files", "log_transaction_sample_rate", "max_stack_depth", "session_preload_libraries", "session_replication_role",
	"temp_file_limit", "track_activities", "track_cost_delay_timing", "track_counts", "track_functions", "track_io_timing",
	"track_wal_io_timing", "update_process_title", "wal_compression", "wal_consistency_checking", "wal_init_zero", "wal_recycle",
	"zero_damaged_pages",
}

// Privileged reports whether it takes a privilege to set a setting, whatever the case of its name. Those of libraries are not known.
func Privileged(name string) bool {
	_, found := slices.BinarySearch(privileged[:], canonical(name))
	return found
}

// unshown are those of the privileged settings that the server shows to superusers and members of pg_read_all_settings only (GUC_SUPERUSER_ONLY).
var unshown = []string{"dynamic_library_path", "extension_control_path", "session_preload_libraries"}

// Unshown reports whether it takes a privilege to see what a setting is, whatever the case of its name.
func Unshown(name string) bool {
	_, found := slices.BinarySearch(unshown, canonical(name))
	return found
}

// AnyUnshown reports whether any of the names of what it takes a privilege to see, in lower case, is one for which the function holds.
func AnyUnshown(f func(name string) bool) bool { return slices.ContainsFunc(unshown, f) }
