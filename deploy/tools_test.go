package deploy_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"weir/internal/pgserver"
)

func TestMain(m *testing.M) { pgserver.Main(m) }

// tool finds a program, or skips the test. Some of them take long or are at odds between versions, so they are asked only
// when somebody wants that.
func tool(t *testing.T, name, from string) string {
	t.Helper()
	if os.Getenv("WEIR_TEST_DEPLOY") == "" {
		t.Skip("run by make test-deploy")
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("no %s here (%s)", name, from)
	}
	return path
}

// succeed runs a program in a folder of deploy/.
func succeed(t *testing.T, dir, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%s", filepath.Base(program), strings.Join(args, " "), err, out)
	}
}

func TestPromtoolTakesConfigurationAndAlerts(t *testing.T) {
	promtool := tool(t, "promtool", "Debian: prometheus")
	succeed(t, "prometheus", promtool, "check", "config", "prometheus.yml")
	succeed(t, "prometheus", promtool, "test", "rules", "alerts_test.yml")
}

func TestSystemdTakesTheUnits(t *testing.T) {
	analyze := tool(t, "systemd-analyze", "Debian: systemd")
	dir := t.TempDir()
	var units []string
	for _, name := range []string{"weir.service", "bookstore.service"} {
		// It looks for the programs, which are not installed here, and for units of the machine's.
		text := regexp.MustCompile(`(?m)^ExecStart=\S+`).ReplaceAllString(read(t, "systemd/"+name), "ExecStart=/bin/true")
		units = append(units, filepath.Join(dir, name))
		if err := os.WriteFile(units[len(units)-1], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	succeed(t, ".", analyze, append([]string{"verify", "--man=no", "--recursive-errors=no"}, units...)...)
	for _, unit := range units {
		// Of 100; 20 is "OK". Most services of a distribution have above 90.
		succeed(t, ".", analyze, "security", "--no-pager", "--offline=yes", "--threshold=20", unit)
	}
}

func TestComposeTakesItsFile(t *testing.T) {
	docker := tool(t, "docker", "with its plugin compose")
	if exec.Command(docker, "compose", "version").Run() != nil {
		t.Skip("docker has no compose here")
	}
	succeed(t, ".", docker, "compose", "-f", "compose.yaml", "config", "--quiet")
}

func TestVagrantTakesItsFile(t *testing.T) {
	succeed(t, "..", tool(t, "vagrant", "Debian: vagrant"), "validate", "--ignore-provider")
}

func TestKubernetesTakesManifestsAndChart(t *testing.T) {
	goTool := tool(t, "go", "go.dev")
	const checker = "../.ci/manifests"
	download := exec.CommandContext(t.Context(), goTool, "mod", "download")
	download.Dir = checker
	if out, err := download.CombinedOutput(); err != nil {
		t.Skipf("no packages of Kubernetes and Helm to be had: %v\n%s", err, out)
	}
	program := filepath.Join(t.TempDir(), "manifests")
	succeed(t, checker, goTool, "build", "-o", program, ".")
	other := filepath.Join(t.TempDir(), "values.yaml")
	write(t, other, otherValues)
	configuration := func(text string) string { return fmt.Sprintf("weir.toml %x\n", sha256.Sum256([]byte(text))) }
	manifests := read(t, "kubernetes/weir.toml")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"kubernetes"}, configuration(manifests)},
		{[]string{"helm/weir"}, configuration(strings.ReplaceAll(manifests, "weir-{ordinal}.weir-peers", "shop-{ordinal}.shop-peers"))},
		{[]string{"helm/weir", other}, configuration("[pool]\npool_size = 5\n")},
	} {
		out, err := exec.CommandContext(t.Context(), program, c.args...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%v: %v, want %s in:\n%s", c.args, err, c.want, out)
		}
	}

	// One that takes everything would prove nothing.
	for folder, file := range map[string]string{"kubernetes": "service.yaml", "helm/weir": "templates/service.yaml"} {
		wrong := t.TempDir()
		if err := os.CopyFS(wrong, os.DirFS(folder)); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(wrong, file), strings.Replace(read(t, folder+"/"+file), "targetPort:", "targetport:", 1))
		if out, err := exec.CommandContext(t.Context(), program, wrong).CombinedOutput(); err == nil || !strings.Contains(string(out), "targetport") {
			t.Errorf("%s: a field that does not exist: %v\n%s", folder, err, out)
		}
	}
}

// otherValues differ from the chart's own wherever a template has a choice.
const otherValues = `
nameOverride: pooler
imagePullSecrets: [{name: registry}]
replicas: 3
autoscaling: {enabled: false}
podDisruptionBudget: {enabled: false}
config: |
  [pool]
  pool_size = 5
passwords: {app: "a: 'b' \"c\" {{ d }}", other: 12345}
service: {type: LoadBalancer, annotations: {example.org/a: "true"}}
env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]
podAnnotations: {example.org/b: "1"}
nodeSelector: {kubernetes.io/os: linux}
affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}]}}}
tolerations: [{key: a, operator: Exists}]
`

func TestScriptsParse(t *testing.T) {
	for _, script := range []string{"provision.sh", "../.ci/provision", "../.ci/debian", "../.ci/test-packages"} {
		succeed(t, ".", "bash", "-n", script)
	}
	succeed(t, ".", "sh", "-n", "compose/role.sh")
}

// rate is what $__rate_interval becomes: several scrapes, a second apart.
const rate = "10s"

// A real Prometheus scrapes a real weir and a real bookstore under load, as prometheus.yml says; then each query of the
// dashboard has a value, and each alert can be evaluated.
func TestDashboardShowsAWeirUnderLoad(t *testing.T) {
	prometheus := tool(t, "prometheus", "Debian: prometheus")
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	s := startShop(t)
	config := read(t, "prometheus/prometheus.yml")
	for from, to := range map[string]string{
		"weir:9127": s.metrics, "bookstore:8000": s.shop,
		"scrape_interval: 5s": "scrape_interval: 1s", "evaluation_interval: 15s": "evaluation_interval: 1s",
	} {
		if !strings.Contains(config, from) {
			t.Fatalf("prometheus.yml has no %q any more", from)
		}
		config = strings.ReplaceAll(config, from, to)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "prometheus.yml"), config)
	write(t, filepath.Join(dir, "alerts.yml"), read(t, "prometheus/alerts.yml"))
	address := free(t)
	start(t, nil, prometheus,
		"--config.file="+dir+"/prometheus.yml", "--storage.tsdb.path="+dir+"/data", "--web.listen-address="+address)
	api := "http://" + address + "/api/v1/"

	s.load(t)
	for _, q := range dashboardQueries(t) {
		expr := strings.ReplaceAll(q.expr, "$__rate_interval", rate)
		expr = regexp.MustCompile(`\$(instance|database|user)\b`).ReplaceAllString(expr, ".*")
		if q.where == "annotation" {
			expr = strings.TrimSuffix(expr, " > 0") // weir has not been restarted
		}
		eventually(t, q.where+": "+expr, func() error { return hasValue(api + "query?query=" + url.QueryEscape(expr)) })
	}
	eventually(t, "alerts", func() error { return rulesAreHealthy(api + "rules") })
}

// shop is the bookstore behind weir.
type shop struct{ shop, weir, metrics string }

// startShop runs both with the configuration of compose.yaml.
func startShop(t *testing.T) shop {
	t.Helper()
	db := pgserver.ForTest(t)
	db.Exec(t, "CREATE ROLE bookstore LOGIN PASSWORD 'secret'", "ALTER DATABASE "+db.Name+" OWNER TO bookstore")
	t.Cleanup(func() { _ = db.Server.Exec(context.Background(), "postgres", "DROP OWNED BY bookstore CASCADE") })
	bin := t.TempDir()
	succeed(t, "..", "go", "build", "-o", bin, "./cmd/weir", "./cmd/bookstore")

	s := shop{shop: free(t), weir: free(t), metrics: free(t)}
	file := filepath.Join(t.TempDir(), "weir.toml")
	write(t, file, strings.NewReplacer(
		`":6432"`, strconv.Quote(s.weir), `":9127"`, strconv.Quote(s.metrics), "pool_size = 20", "pool_size = 10",
		`host = "postgres"`, fmt.Sprintf("host = \"127.0.0.1\"\nport = %d\ndbname = %q", db.Server.Port(), db.Name),
	).Replace(read(t, "compose/weir.toml")))
	start(t, []string{"BOOKSTORE_PASSWORD=secret"}, filepath.Join(bin, "weir"), "serve", "-c", file)
	eventually(t, "weir is ready", func() error { return answers("http://" + s.metrics + "/readyz") })
	// More connections than backends, so that clients wait.
	start(t, []string{"BOOKSTORE_DSN=" + s.dsn("secret")}, filepath.Join(bin, "bookstore"), "serve",
		"--listen", s.shop, "--seed", "--sync-pool", "30", "--async-pool", "2", "--async-overflow", "2")
	eventually(t, "the shop is ready", func() error { return answers("http://" + s.shop + "/readyz") })
	return s
}

func (s shop) dsn(password string) string {
	return fmt.Sprintf("postgres://bookstore:%s@%s/bookstore?sslmode=disable", password, s.weir)
}

// load asks for books until the test ends, and has an error and a failed login happen.
func (s shop) load(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	t.Cleanup(func() { stop(); clients.Wait() })
	for i := range 40 {
		path := "/books/"
		if i%8 == 0 {
			path = "/async_books/"
		}
		clients.Go(func() {
			for ctx.Err() == nil {
				_ = answers("http://" + s.shop + path)
			}
		})
	}
	clients.Go(func() {
		for ctx.Err() == nil {
			if conn, err := pgx.Connect(ctx, s.dsn("secret")); err == nil {
				_, _ = conn.Exec(ctx, "SELECT 1/0")
				_, _ = conn.Exec(ctx, "SET statement_timeout = '1min'") // pins, and is reset
				_ = conn.Close(ctx)
			}
			var refused *pgconn.PgError
			if _, err := pgx.Connect(ctx, s.dsn("wrong")); ctx.Err() == nil && !errors.As(err, &refused) {
				t.Errorf("a wrong password: %v", err)
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
}

// hasValue asks Prometheus, which must have a number to show.
func hasValue(address string) error {
	var answer struct {
		Error string
		Data  struct{ Result []struct{ Value [2]any } }
	}
	if err := ask(address, &answer); err != nil {
		return err
	}
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	for _, r := range answer.Data.Result {
		if n, err := strconv.ParseFloat(fmt.Sprint(r.Value[1]), 64); err == nil && !math.IsNaN(n) {
			return nil
		}
	}
	return fmt.Errorf("no value among %v", answer.Data.Result)
}

func rulesAreHealthy(address string) error {
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	if err := ask(address, &answer); err != nil {
		return err
	}
	count := 0
	for _, g := range answer.Data.Groups {
		for _, r := range g.Rules {
			if count++; r.Health != "ok" {
				return fmt.Errorf("%s: %s %s", r.Name, r.Health, r.LastError)
			}
		}
	}
	if count < 10 {
		return fmt.Errorf("%d rules only", count)
	}
	return nil
}

func ask(address string, to any) error {
	resp, err := http.Get(address)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(to)
}

func answers(address string) error {
	resp, err := http.Get(address)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// start runs a program until the test ends. Its output is shown if the test fails.
func start(t *testing.T, env []string, program string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(15*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		kill.Stop()
		_ = log.Close()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(program), tail(read(t, log.Name())))
		}
	})
}

func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// free is an address that nobody listens on just now.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// patience is for a machine that has much else to do.
const patience = time.Minute

func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
