// Package deploy_test keeps the files of deploy/ honest: what they name must exist, and what they configure must be what
// weir takes. Nothing here needs a tool; tools_test.go asks those that there are.
package deploy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v4"

	"weir/bookstore/api"
	"weir/bookstore/store"
	"weir/config"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func decode[T any](t *testing.T, path string) (v T) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, path)), &v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

// query is an expression of PromQL and where it stands.
type query struct{ where, expr string }

// panel is a panel of the dashboard.
type panel struct {
	Title   string
	Targets []struct{ Expr string }
}

const dashboardPath = "grafana/dashboards/weir.json"

func dashboardQueries(t *testing.T) (queries []query) {
	t.Helper()
	var d struct {
		Panels     []panel
		Templating struct {
			List []struct{ Name, Definition string }
		}
		Annotations struct{ List []struct{ Expr string } }
	}
	if err := json.Unmarshal([]byte(read(t, dashboardPath)), &d); err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			queries = append(queries, query{"panel " + p.Title, target.Expr})
		}
	}
	for _, v := range d.Templating.List {
		// label_values(metric, label): the metric is what is asked for.
		queries = append(queries, query{"variable " + v.Name, regexp.MustCompile(`\((\w+),`).FindStringSubmatch(v.Definition)[1]})
	}
	for _, a := range d.Annotations.List {
		queries = append(queries, query{"annotation", a.Expr})
	}
	if len(queries) < 30 {
		t.Fatalf("found %d queries in the dashboard: its format is not what this test expects", len(queries))
	}
	return queries
}

func alertQueries(t *testing.T) (queries []query) {
	t.Helper()
	rules := decode[struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}](t, "prometheus/alerts.yml")
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			queries = append(queries, query{"alert " + r.Alert, r.Expr})
		}
	}
	if len(queries) == 0 {
		t.Fatal("found no alerts")
	}
	return queries
}

// known are the metrics that weir, the bookstore, Prometheus' client and Prometheus itself have, by name.
func known(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{
		"up": true, "process_cpu_seconds_total": true, "process_resident_memory_bytes": true, "process_start_time_seconds": true,
	}
	rows := regexp.MustCompile("(?m)^\\| `(weir_[a-z_]+)` \\| (\\w+) \\|")
	for _, row := range rows.FindAllStringSubmatch(read(t, "../docs/metrics.md"), -1) {
		names[row[1]] = true
	}
	described := make(chan *prometheus.Desc)
	go func() {
		defer close(described)
		(&store.Store{}).Describe(described)
		r := recorder{described}
		api.New(api.Options{Metrics: r, Gatherer: prometheus.NewRegistry()})
	}()
	for d := range described {
		names[regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(d.String())[1]] = true
	}
	if len(names) < 40 {
		t.Fatalf("know %d metrics only", len(names))
	}
	return names
}

// recorder is a Registerer that notes what would be registered.
type recorder struct{ to chan<- *prometheus.Desc }

func (r recorder) Register(c prometheus.Collector) error { c.Describe(r.to); return nil }
func (r recorder) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		c.Describe(r.to)
	}
}
func (r recorder) Unregister(prometheus.Collector) bool { return true }

var (
	metricName = regexp.MustCompile(`\b(?:weir|bookstore|process|go)_[a-z_]+\b|\bup\b`)
	quoted     = regexp.MustCompile(`"[^"]*"`)
	ofSeries   = regexp.MustCompile(`_(?:bucket|sum|count)$`)
)

func TestEveryMetricInDashboardAndAlertsExists(t *testing.T) {
	names := known(t)
	for _, q := range slices.Concat(dashboardQueries(t), alertQueries(t)) {
		found := metricName.FindAllString(quoted.ReplaceAllString(q.expr, `""`), -1)
		if len(found) == 0 {
			t.Errorf("%s: no metric in %s", q.where, q.expr)
		}
		for _, name := range found {
			if !names[name] && !names[ofSeries.ReplaceAllString(name, "")] {
				t.Errorf("%s: there is no metric %s", q.where, name)
			}
		}
	}
}

func TestConfigurationsPassWeirsOwnCheck(t *testing.T) {
	t.Setenv("BOOKSTORE_PASSWORD", "of compose.yaml")
	files, err := filepath.Glob("*/weir.toml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 3 {
		t.Fatalf("found %v, want those of three folders", files)
	}
	for _, path := range files {
		conf, err := config.Load(withPasswords(t, path))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		for _, w := range conf.Warnings() {
			if strings.Contains(w, `peer_id is "ordinal"`) {
				continue // this machine is no pod
			}
			t.Errorf("%s: warning: %s", path, w)
		}
	}
}

// withPasswords copies a configuration, with files in place of those that hold passwords where it is deployed.
func withPasswords(t *testing.T, path string) string {
	t.Helper()
	dir := t.TempDir()
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	files := regexp.MustCompile(`(?m)^password_file = ".*"$`)
	text := files.ReplaceAllString(read(t, path), fmt.Sprintf("password_file = %q", secret))
	copied := filepath.Join(dir, "weir.toml")
	if err := os.WriteFile(copied, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return copied
}

// The page tells a sum; the manifests must make it.
func TestKubernetesSharesFitTheServer(t *testing.T) {
	scaler := decode[struct {
		Spec struct {
			MaxReplicas int `yaml:"maxReplicas"`
		}
	}](t, "kubernetes/horizontalpodautoscaler.yaml")
	set := decode[struct {
		Kind string // its pods are replaced one by one, each only when the old one of its name has gone
		Spec struct {
			Template struct {
				Spec struct {
					Grace int `yaml:"terminationGracePeriodSeconds"`
				}
			}
		}
	}](t, "kubernetes/statefulset.yaml")
	conf, err := config.Load(withPasswords(t, "kubernetes/weir.toml"))
	if err != nil {
		t.Fatal(err)
	}

	if set.Kind != "StatefulSet" {
		t.Errorf("a %s may have more pods than replicas", set.Kind)
	}
	grace, drain := time.Duration(conf.Timeouts.ShutdownGrace), time.Duration(conf.Timeouts.DrainTimeout)
	if grace < 5*time.Second {
		t.Errorf("shutdown_grace %v: nodes need a moment to learn that a pod gets no more clients", grace)
	}
	pod := set.Spec.Template.Spec
	if need := int((grace + 2*drain).Seconds()); pod.Grace <= need {
		t.Errorf("terminationGracePeriodSeconds %d cuts a drain of %d s", pod.Grace, need)
	}
	weirs := scaler.Spec.MaxReplicas
	sum := fmt.Sprintf("%d x %d = %d", weirs, conf.Limits.MaxDBConnections, weirs*conf.Limits.MaxDBConnections)
	for _, path := range []string{"../docs/kubernetes.md", "kubernetes/weir.toml"} {
		if !strings.Contains(read(t, path), sum) {
			t.Errorf("%s: the manifests make %s, which it does not say", path, sum)
		}
	}
	if weirs*conf.Limits.MaxDBConnections > 150-30 {
		t.Errorf("%s backends do not leave 30 of 150 places", sum)
	}
}

// Each pod of the StatefulSet must be able to pass a cancel request on to each other, up to the autoscaler's limit; nothing then keeps a
// client with one pod.
func TestKubernetesPodsAreEachOthersPeers(t *testing.T) {
	set := decode[struct {
		Metadata struct{ Name string }
		Spec     struct {
			ServiceName string `yaml:"serviceName"`
		}
	}](t, "kubernetes/statefulset.yaml")
	scaler := decode[struct {
		Spec struct {
			MaxReplicas int               `yaml:"maxReplicas"`
			Target      map[string]string `yaml:"scaleTargetRef"`
		}
	}](t, "kubernetes/horizontalpodautoscaler.yaml")
	conf, err := config.Load(withPasswords(t, "kubernetes/weir.toml"))
	if err != nil {
		t.Fatal(err)
	}
	hosts := map[int]string{}
	for _, p := range conf.AllPeers() {
		hosts[p.ID] = fmt.Sprintf("%s:%d", p.Host, p.Port)
	}
	for ordinal := range scaler.Spec.MaxReplicas {
		if want := fmt.Sprintf("%s-%d.%s:6432", set.Metadata.Name, ordinal, set.Spec.ServiceName); hosts[ordinal+1] != want {
			t.Errorf("peer %d is %q, want %q", ordinal+1, hosts[ordinal+1], want)
		}
	}
	if !conf.Listen.PeerID.Ordinal || scaler.Spec.Target["kind"] != "StatefulSet" || scaler.Spec.Target["name"] != set.Metadata.Name {
		t.Errorf("peer_id is %v, and %v is scaled", conf.Listen.PeerID, scaler.Spec.Target)
	}
	_, headless, _ := strings.Cut(read(t, "kubernetes/service.yaml"), "---\n")
	for _, line := range []string{"  name: " + set.Spec.ServiceName + "\n", "  clusterIP: None\n", "  publishNotReadyAddresses: true\n"} {
		if !strings.Contains(headless, line) {
			t.Errorf("service.yaml does not say %q of the peers' service", line)
		}
	}
	for _, path := range []string{"kubernetes/service.yaml", "helm/weir/templates/service.yaml", "helm/weir/values.yaml"} {
		if strings.Contains(read(t, path), "sessionAffinity") {
			t.Errorf("%s keeps clients with one pod", path)
		}
	}
}

// The chart's defaults are what the manifests say, whose sums are checked above.
func TestChartHasTheValuesOfTheManifests(t *testing.T) {
	values := decode[map[string]any](t, "helm/weir/values.yaml")
	if values["config"] != read(t, "kubernetes/weir.toml") {
		t.Error("config of helm/weir/values.yaml is not kubernetes/weir.toml")
	}
	scaler := decode[struct{ Spec map[string]any }](t, "kubernetes/horizontalpodautoscaler.yaml").Spec
	set := decode[struct {
		Spec struct {
			MinReadySeconds any `yaml:"minReadySeconds"`
			Template        struct{ Spec map[string]any }
		}
	}](t, "kubernetes/statefulset.yaml").Spec
	container := set.Template.Spec["containers"].([]any)[0].(map[string]any)
	autoscaling := values["autoscaling"].(map[string]any)
	for name, pair := range map[string][2]any{
		"minReplicas":                   {autoscaling["minReplicas"], scaler["minReplicas"]},
		"maxReplicas":                   {autoscaling["maxReplicas"], scaler["maxReplicas"]},
		"minReadySeconds":               {values["minReadySeconds"], set.MinReadySeconds},
		"terminationGracePeriodSeconds": {values["terminationGracePeriodSeconds"], set.Template.Spec["terminationGracePeriodSeconds"]},
		"resources":                     {values["resources"], container["resources"]},
	} {
		if pair[0] == nil || !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: the chart has %v, the manifests %v", name, pair[0], pair[1])
		}
	}
	var templates strings.Builder
	files, err := filepath.Glob("helm/weir/templates/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		templates.WriteString(read(t, file))
	}
	for name := range values {
		if !strings.Contains(templates.String(), ".Values."+name) {
			t.Errorf("no template uses the value %s", name)
		}
	}
}

// systemd and Docker cut what weir is still waiting for, unless they are told to wait longer than weir does.
func TestNothingIsCutWhileWeirDrains(t *testing.T) {
	drain := time.Duration(config.Default().Timeouts.DrainTimeout).Seconds()
	compose := decode[struct {
		Services map[string]struct {
			Grace string `yaml:"stop_grace_period"`
		}
	}](t, "compose.yaml")
	unit := regexp.MustCompile(`(?m)^TimeoutStopSec=(\d+)$`).FindStringSubmatch(read(t, "systemd/weir.service"))
	for where, text := range map[string]string{"weir.service": unit[1] + "s", "compose.yaml": compose.Services["weir"].Grace} {
		var seconds float64
		if _, err := fmt.Sscanf(text, "%fs", &seconds); err != nil {
			t.Errorf("%s: %q: %v", where, text, err)
		}
		if seconds <= 2*drain {
			t.Errorf("%s waits for %s, and weir for twice %v s", where, text, drain)
		}
	}
}

// Whatever a file of deploy/ mounts or installs must be there.
func TestFilesThatAreNamedExist(t *testing.T) {
	compose := decode[struct {
		Services map[string]struct{ Volumes []string }
	}](t, "compose.yaml")
	var named []string
	for _, s := range compose.Services {
		for _, v := range s.Volumes {
			if strings.HasPrefix(v, "./") {
				named = append(named, strings.Split(v, ":")[0])
			}
		}
	}
	for _, m := range regexp.MustCompile(`\$files/([\w./-]+)`).FindAllStringSubmatch(read(t, "provision.sh"), -1) {
		named = append(named, m[1])
	}
	for _, m := range regexp.MustCompile(`\]\((\.\./[\w./-]+)\)`).FindAllStringSubmatch(read(t, "../docs/deploying.md"), -1) {
		named = append(named, m[1])
	}
	if len(named) < 15 {
		t.Fatalf("found %v only", named)
	}
	for _, path := range named {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

// Alerts that nobody tested do not fire when they should.
func TestEveryAlertIsTested(t *testing.T) {
	tests := decode[struct {
		Tests []struct {
			Alerts []struct {
				Name string           `yaml:"alertname"`
				Want []map[string]any `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}](t, "prometheus/alerts_test.yml")
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range tests.Tests {
		for _, a := range test.Alerts {
			if len(a.Want) > 0 {
				fires[a.Name] = true
			} else {
				silent[a.Name] = true
			}
		}
	}
	for _, q := range alertQueries(t) {
		name := strings.TrimPrefix(q.where, "alert ")
		if !fires[name] {
			t.Errorf("no test of alerts_test.yml makes %s fire", name)
		}
		if !silent[name] {
			t.Errorf("no test of alerts_test.yml keeps %s silent", name)
		}
		delete(fires, name)
	}
	for _, name := range slices.Sorted(maps.Keys(fires)) {
		t.Errorf("alerts_test.yml tests %s, which does not exist", name)
	}
}
