package console

import "strings"

// figureNames are what the figures are called in STATS after total_ and avg_, in STATS_TOTALS and STATS_AVERAGES, and in TOTALS.
var figureNames = [figures]struct{ stats, average, alone, sum string }{
	assignments:     {"server_assignment_count", "server_assignment_count", "server_assignment_count", "server_assignment_count"},
	transactions:    {"xact_count", "xact_count", "xact_count", "xact_count"},
	queries:         {"query_count", "query_count", "query_count", "query_count"},
	received:        {"received", "recv", "bytes_received", "client_bytes"},
	sent:            {"sent", "sent", "bytes_sent", "server_bytes"},
	transactionTime: {"xact_time", "xact_time", "xact_time", "xact_time"},
	queryTime:       {"query_time", "query_time", "query_time", "query_time"},
	waitTime:        {"wait_time", "wait_time", "wait_time", "wait_time"},
	clientParses:    {"client_parse_count", "client_parse_count", "client_parse_count", "ps_client_parse_count"},
	serverParses:    {"server_parse_count", "server_parse_count", "server_parse_count", "ps_server_parse_count"},
	binds:           {"bind_count", "bind_count", "bind_count", "ps_bind_count"},
	logins:          {"client_login_count", "client_login_count", "client_login_count", "client_login_count"},
}

var statsTables = []Table{
	newTable("STATS", "Totals and averages, for each database that has a pool, or that the configuration has and that has had one, and for the console. "+
		"Times are microseconds. "+
		"Averages are over the last whole stats_period and what has passed since: counts per second, times per transaction, query or assignment of a backend.",
		statsRows, statsColumns(true, true)),
	newTable("STATS_TOTALS", "The totals of STATS.", statsRows, statsColumns(true, false)),
	newTable("STATS_AVERAGES", "The averages of STATS.", statsRows, statsColumns(false, true)),
	newTable("TOTALS", "The sums over all databases.", totalRows, []column[totalRow]{
		{"name", Text, func(r totalRow) any { return r.name }},
		{"value", Numeric, func(r totalRow) any { return r.value }},
	}),
}

func statsRows(v *View) []row {
	all, _ := v.Stats.rows(v.look(), v.Console)
	return all
}

func statsColumns(total, average bool) []column[row] {
	columns := []column[row]{{"database", Text, func(r row) any { return r.database }}}
	if total {
		for f, names := range figureNames {
			name := "total_" + names.stats
			if !average {
				name = names.alone
			}
			columns = append(columns, column[row]{name, Numeric, func(r row) any { return r.total[f] }})
		}
	}
	if average {
		for f, names := range figureNames {
			name := "avg_" + names.average
			if !total && figure(f) < clientParses {
				name = names.alone
			}
			columns = append(columns, column[row]{name, Numeric, func(r row) any { return r.average[f] }})
		}
	}
	return columns
}

type totalRow struct {
	name  string
	value uint64
}

func totalRows(v *View) (all []totalRow) {
	_, sum := v.Stats.rows(v.look(), v.Console)
	for f, names := range figureNames {
		all = append(all, totalRow{"total_" + names.sum, sum.total[f]})
	}
	for f, names := range figureNames {
		all = append(all, totalRow{"avg_" + names.sum, sum.average[f]})
	}
	return all
}

// firstPort is the port of the first of several addresses; 0 where there is none.
func firstPort(addresses string) int {
	first, _, _ := strings.Cut(addresses, ",")
	port := 0
	for _, c := range first[strings.LastIndexByte(first, ':')+1:] {
		if c < '0' || c > '9' || port > 65535 {
			return 0
		}
		port = port*10 + int(c-'0')
	}
	return port
}
