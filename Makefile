# What a developer and CI run. `make` lists it.

GO ?= go

# Pinned, so that a new release of a tool does not break an old commit.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.5.0

# The module of an example. Its database takes minutes to compile and to vet: its tests are a target of their own.
EXAMPLE := engine/schedule/uptime

# The modules beside that of the library, but for the example: each is what it is for, and what nobody else shall have to require.
NESTED := $(filter-out $(EXAMPLE),$(patsubst ./%/go.mod,%,$(sort $(shell find . -mindepth 2 -name go.mod -not -path './bin/*'))))
MODULES := . $(NESTED)

# The library is tested with the versions that it requires itself, as whoever embeds it gets them, and not with those of the workspace.
ALONE := GOWORK=off

# Packages start servers of their own, and many wait for them more than they compute: three at a time keep two cores busy, and
# deadlines far.
# Binaries without tables for debuggers link faster; stack traces do not need them.
TEST_FLAGS := -p 3 -timeout 25m -ldflags=-s

# go test repeats a part of make vet, for every dependency. Who has run that says TEST_VET=-vet=off.
TEST_VET :=

# The commands of rueidis are so many lines of generated code that everything waits for a compiler that optimizes them under the race
# detector. Not optimized they are watched just as well, and are there in half the time.
RACE_BUILD = $(RACE) $(if $(RACE),'-gcflags=github.com/redis/rueidis/internal/cmds=-N -l')

# What measures the library is run as it measures, by RACE=-race, too: under the race detector its tests, which start dozens of
# processes, take five times as much. make race sets this.
BENCH_RACE :=

# Without this, each program that was built with -race sleeps for a second before it exits, children of tests included. What it would
# wait for are goroutines that still run: each package's check for leaks fails for those.
export GORACE := atexit_sleep_ms=0

# What takes longest begins first, so that nothing waits for it in the end.
LONGEST := ./test/behave ./test/faults ./engine ./test/recovery ./scan ./test/cluster ./test/maintenance ./lease

FUZZ_TIME := 20s

.DEFAULT_GOAL := help
.PHONY: help deps servers promtool browser demo fleet uptime test test-uptime race lint fmt tidy vet staticcheck vuln weight api release fuzz bench

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## Install redis-server if it is missing (Debian, Ubuntu)
	@if [ -n "$$STREAMLEASE_REDIS_SERVER" ] || command -v redis-server >/dev/null; then exit 0; fi; \
	if ! command -v apt-get >/dev/null; then \
		echo "redis-server is missing and there is no apt-get: install it, or set STREAMLEASE_REDIS_SERVER to its path" >&2; exit 1; fi; \
	if [ "$$(id -u)" = 0 ]; then as_root=; else as_root=sudo; fi; \
	echo "redis-server is missing; installing it with apt-get"; \
	$$as_root apt-get update -q && \
	$$as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -q -y --no-install-recommends redis-server

servers: ## Fetch Redis 8 and Valkey 8 into bin/servers, for the tests that run on them too (Debian)
	@.ci/servers

promtool: ## Fetch promtool into bin/prometheus, for the tests of the alert rules (Debian)
	@.ci/promtool

browser: ## Install Chromium if it is missing, for the tests of the operators' page (Debian)
	@.ci/browser

# Where they cannot be had, the tests log what they did not run on.
.PHONY: try-servers
try-servers:
	@.ci/servers || true
	@.ci/promtool || true
	@.ci/browser || true

demo: deps ## Own 10,000 streams with two processes on a private server, and kill one
	@$(GO) build -C bench -o ../bin/demo ./demo
	@bin/demo

# FLEET_FLAGS="-streams 1000 -processes 3" is a smaller one.
fleet: deps ## Run a fleet to look at, with a console: kill and deploy its processes
	@$(GO) build -C bench -o ../bin/fleet ./fleet
	@$(GO) build -C bench -o ../bin/streamlease ./cmd/streamlease
	@bin/fleet $(FLEET_FLAGS)

# UPTIME_FLAGS=-stay goes on afterwards, to look at the page.
uptime: deps ## Watch 1,000 sites with an example of schedules on a private server, kill a process and roll a deploy
	@$(GO) build -C $(EXAMPLE) -o ../../../bin/uptime .
	@$(GO) build -C $(EXAMPLE) -o ../../../bin/uptime-demo ./demo
	@bin/uptime-demo $(UPTIME_FLAGS)

# What prepares releases works with files and other programs, one thing at a time: there is no race to be found.
# No make is called for these: a line that does so is executed by make -n as well.
TEST_NESTED = for m in $(filter-out bench release,$(NESTED)); do \
		nice -n 10 $(GO) test -C $$m $(RACE_BUILD) $(TEST_FLAGS) -p 1 $(TEST_VET) ./... || exit 1; done; \
	nice -n 10 $(GO) test -C release $(TEST_FLAGS) -p 1 $(TEST_VET) ./...

# The tests of the library wait for servers more than for processors, so those of the other modules run beside them,
# but for bench, whose soak tests hold processes to promises in real time.
test: deps try-servers ## Run all tests, but for those of the example
	@log=$$(mktemp); { $(TEST_NESTED); } </dev/null >$$log 2>&1 & nested=$$!; \
	$(ALONE) $(GO) test $(RACE_BUILD) $(TEST_FLAGS) $(TEST_VET) $(LONGEST) ./... </dev/null; library=$$?; \
	wait $$nested; others=$$?; cat $$log; rm -f $$log; [ $$library = 0 ] && [ $$others = 0 ]
	@$(GO) test -C bench $(BENCH_RACE) $(TEST_FLAGS) $(TEST_VET) ./... </dev/null

# What fails to compile here fails the tests, too.
.PHONY: compile-tests
compile-tests:
	@$(ALONE) $(GO) list $(RACE_BUILD) -test -export ./... >/dev/null 2>&1 || true

test-uptime: deps ## Run the tests of the example
	@$(GO) test -C $(EXAMPLE) $(RACE) $(TEST_FLAGS) ./... </dev/null

race: ## Run all tests under the race detector
	@$(MAKE) --no-print-directory test RACE=-race BENCH_RACE=-race

lint: fmt tidied vet staticcheck vuln ## Check formatting and run the static checks

fmt: ## Check that everything is formatted
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "not formatted (gofmt -w):"; echo "$$files"; exit 1; fi

tidy: ## Bring go.mod and go.sum of all modules up to date
	@.ci/tidy

.PHONY: tidied
tidied:
	@.ci/tidy -diff

vet: ## Run go vet
	@for m in $(MODULES); do echo "go vet, $$m"; $(GO) vet -C $$m ./... || exit 1; done

# A tool that cannot be fetched says so and fails nothing; what it finds does.
staticcheck: ## Run staticcheck
	@.ci/tool $(STATICCHECK) $(MODULES)

vuln: ## Run govulncheck
	@.ci/tool $(GOVULNCHECK) $(MODULES)

weight: ## Count modules, lines of go.sum and bytes that the library adds to a program
	@.ci/weight

api: ## Compare what the packages export with the last tag; what breaks programs needs a version that allows it
	@$(GO) run -C release . api

# VERSION=v1.2.3. It changes files, and neither commits nor pushes anything.
release: ## Prepare the files for the release of VERSION
	@$(GO) run -C release . prepare $(VERSION)
	@.ci/tidy
	@git --no-pager diff --stat
	@echo "CONTRIBUTING.md says how to go on. The tags will be:"
	@$(GO) run -C release . tags $(VERSION)

fuzz: deps ## Run each fuzz target for 20 s, or FUZZ_TIME
	@grep -rl --include='*_test.go' '^func Fuzz' . | sort | while read -r file; do \
		sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file" | while read -r target; do \
			echo "$$(dirname "$$file") $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZ_TIME) "$$(dirname "$$file")" </dev/null || exit 1; \
		done || exit 1; \
	done

# BENCH_FLAGS=-goals also shows the goals of the project, and which of them are met.
bench: deps ## Run the bench suite in a short form, about four minutes, and leave a report in bench/out
	@$(GO) build -C bench -o ../bin/bench ./cmd/bench
	@bin/bench -out bench/out $(BENCH_FLAGS) all
