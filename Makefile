# Everything needs Go, make and git; no target needs another to have run.
# Tests and demo find PostgreSQL's programs or fetch them (internal/pgserver).

GO    ?= go
T     ?= 1m
BENCH ?= all
LOOPS ?= 0
PG    ?= 16 17 18

# A checkout that git refuses to read, as another user's, cannot be stamped
# with its commit; without this every build in it would fail.
ifeq ($(shell git rev-parse HEAD 2>/dev/null),)
export GOFLAGS := $(strip $(GOFLAGS) -buildvcs=false)
endif

GOFMT = "$$($(GO) env GOROOT)/bin/gofmt"

PACKAGES = $(shell $(GO) list ./...)

# Packages that run on several goroutines, which are tested once, with the race detector.
CONCURRENT = weir/proxy weir/pool/board $(addprefix weir/proxy/,login backend authquery replication console relay socket tunnel prelogin certs telemetry eventloop) weir/internal/faultnet

# Packages that prove nothing without PostgreSQL.
NEEDPOSTGRES = $(addprefix weir/,bookstore/api bookstore/compare bookstore/store bookstore/storefront cmd/bookstore internal/pgserver)

# What the race detector and the invariants' checks would falsify (allocations, memory, CPU), or slow down for nothing.
MEASURING = Budget|CostLittle|EveryLoopCanCancel

# Packages whose tests see a difference between PostgreSQL's versions.
MATRIX = ./proxy ./proxy/backend ./proxy/exchange ./proxy/login ./proxy/session ./proxy/wire

.NOTPARALLEL:
.PHONY: help demo compare programs test loops test-browser test-deploy test-provision packages test-packages quick race tls random fuzz bench lint fmt docs \
	cross sizes build clean check-format vet staticcheck arch unit measure soak beside test-drivers test-suites test-regress test-matrix matrix

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: programs ## see weir work: a bookstore under load, direct and through weir, with a report
	@bin/bookstore demo

compare: programs ## the same on the whole ladder, up to 2,000 clients (COMPARE="--max-connections 100,150,300,600,1000")
	@bin/bookstore compare $(COMPARE)

programs:
	$(GO) build -o bin/ ./cmd/weir ./cmd/bookstore

test: check-format vet staticcheck cross arch unit race measure ## everything that must hold before a merge

test-drivers: ## node's and Python's drivers through weir; gets them first
	@folder=$$(.ci/drivers) && WEIR_TEST_DRIVERS=$$folder $(GO) test -count=1 -v -run DriversOfOtherLanguages ./proxy

test-suites: ## pgx's and node-postgres' own tests, directly and through weir; gets them first
	@folder=$$(.ci/suites) && WEIR_TEST_SUITES=$$folder $(GO) test -count=1 -timeout 40m -v -run PublicSuites ./proxy

test-regress: ## PostgreSQL's own regression tests, directly and through weir with two backends; gets and builds them first (Debian)
	@folder=$$(.ci/regress) && WEIR_TEST_REGRESS=$$folder $(GO) test -count=1 -timeout 40m -v -run PostgresRegressionSuite ./proxy

matrix: ## every kind of session state, in every way, with every end, of which make test tries some
	$(GO) test -count=1 -timeout 60m -v -run StateStaysWithItsClient ./proxy -args -state-cells 0 -state-failures 20

soak: ## clients at work while weir is reloaded, paused, resized and restarted and its servers are killed and fail over (T=10m, with its pool on several loops: LOOPS=4)
	$(GO) test -count=1 -timeout 0 -v -run TestSoak ./proxy -args -soak $(T) -weirloops $(LOOPS)

beside: ## 100 clients beside one that moves 1 GB, on one loop: what it costs them
	$(GO) test -count=1 -v -run SmallClientsBeside ./proxy -args -beside 5

test-matrix: ## the proxy's tests with PostgreSQL 16, 17 and 18, fetched with npm (PG="16 18")
	@for version in $(PG); do echo "== PostgreSQL $$version"; \
		WEIR_PG_VERSION=$$version $(GO) test -count=1 $(MATRIX) || exit 1; done

quick: check-format ## the tests without PostgreSQL, before each commit
	$(GO) test -short $(filter-out $(NEEDPOSTGRES),$(PACKAGES))

test-browser: ## what people see, in headless Chromium (apt-get install chromium); skipped where there is none
	WEIR_TEST_BROWSER=1 $(GO) test -count=1 -run Browser ./bookstore/... ./proxy

race: ## the concurrent packages with the race detector and their invariants checked
	.ci/in-memory .ci/race '$(MEASURING)' $(filter-out weir/proxy,$(CONCURRENT))

tls: ## the proxy's tests once more, with TLS between clients, weir and PostgreSQL
	$(GO) test -timeout 40m ./proxy -weirtls

loops: ## and once more, with every pool spread over three event loops
	$(GO) test -timeout 40m -tags invariants ./proxy -weirloops 3

test-deploy: ## the files of deploy/ by the tools there are: promtool, prometheus, systemd-analyze, docker compose, vagrant, kustomize
	WEIR_TEST_DEPLOY=1 $(GO) test -v -count=1 ./deploy

test-provision: ## deploy/provision.sh in a clean Debian, booted in a container (root; apt-get install debootstrap systemd-container)
	.ci/provision

packages: ## what weir is installed from: .deb, .rpm, tarballs and their checksums, in out/packages (VERSION=1.2.0)
	@mkdir -p out && $(GO) -C .ci/packages build -o ../../out/make-packages . && out/make-packages

test-packages: ## the same for this processor, installed, upgraded and removed in a clean Debian (as test-provision)
	.ci/test-packages

random: ## the random tests with a seed that is drawn, and ten times as many programs
	.ci/random

fuzz: ## each fuzz target for T (make fuzz T=1m)
	.ci/fuzz $(T)

bench: ## measure weir beside PgBouncer and write docs/performance.md (BENCH="cpu --quick")
	$(GO) run ./cmd/weirbench $(BENCH)

lint: check-format vet staticcheck ## vet, staticcheck, golangci-lint (compiles for minutes the first time)
	$(GO) tool -modfile=.ci/lint.mod golangci-lint run ./...

fmt: ## format the source as lint wants it
	$(GO) tool -modfile=.ci/lint.mod golangci-lint fmt

docs: ## write the generated pages anew, manual pages included
	$(GO) test ./config -run Docs -update
	$(GO) test ./proxy/pgerror -update
	$(GO) test ./proxy/telemetry -run Document -update
	$(GO) test ./cmd/weir ./cmd/bookstore -run ManualPage -update
	$(GO) test ./proxy/console -update

cross: ## what compiles here must compile for macOS, FreeBSD and arm64
	$(GO) -C .ci/cross run . darwin/arm64 linux/arm64 freebsd/amd64

sizes: ## the longest files, and the programs
	@find . -name '*.go' ! -name '*_test.go' ! -path './.git/*' -exec wc -l {} + | grep -v ' total$$' | sort -rn | head -20
	@ls -lhL bin 2>/dev/null || true

build: ## the programs, in bin/
	$(GO) build -o bin/ ./cmd/...

clean: ## remove what the targets made here
	rm -rf bin out

# The parts of test. Tests are not vetted once more: vet has been there.

check-format:
	@unformatted=$$($(GOFMT) -l .) || exit 1; \
	if [ -n "$$unformatted" ]; then echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; fi

vet:
	$(GO) vet ./...
	$(GO) vet -tags invariants ./...

staticcheck:
	$(GO) tool -modfile=.ci/tools.mod staticcheck ./...

# Not from the cache: which packages there are is an input that go test
# cannot see.
arch:
	$(GO) test -vet=off -count=1 ./internal/arch

unit:
	.ci/in-memory $(GO) test -vet=off -timeout 20m -tags invariants $(filter-out $(CONCURRENT),$(PACKAGES))

measure:
	.ci/in-memory $(GO) test -vet=off -run '$(MEASURING)' ./proxy
