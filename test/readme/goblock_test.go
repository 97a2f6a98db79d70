package readme

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
)

func goBlocks(t *testing.T) (programs, pieces []fence) {
	t.Helper()
	for _, document := range documents(t) {
		blocks, _ := fences(document, read(t, document))
		for _, b := range blocks {
			switch {
			case b.language != "go":
			case strings.HasPrefix(b.text, "package main\n"):
				programs = append(programs, b)
			default:
				pieces = append(pieces, b)
			}
		}
	}
	return programs, pieces
}

// TestEveryProgramRuns starts each program of the documents, on a server of its own, except that of the README, which
// TestFirstProgramRunsAsPrinted runs and looks at. One that follows streams is interrupted once it is in touch
// with the server; any program must end well.
func TestEveryProgramRuns(t *testing.T) {
	programs, _ := goBlocks(t)
	own := []string{block(t, "README.md", "go", "feed.New(")}
	require.GreaterOrEqual(t, len(programs), len(own))
	for _, b := range programs {
		if slices.Contains(own, b.text) {
			continue
		}
		server := servers.New(t)
		client := server.Client(t)
		p := start(t, b.text, server.Addr())
		deadline := time.Now().Add(30 * time.Second)
		for touched := false; !touched && time.Now().Before(deadline); {
			select {
			case err := <-p.ended:
				require.NoError(t, err, "%s: %s", b.where, p.out)
				touched = true
				p.ended <- nil
			case <-time.After(10 * time.Millisecond):
				keys, err := client.Do(context.Background(), client.B().Keys().Pattern("{*}:sessions").Build()).AsStrSlice()
				require.NoError(t, err)
				touched = len(keys) > 0
			}
		}
		_ = p.cmd.Process.Signal(os.Interrupt) // it may have ended
		select {
		case err := <-p.ended:
			require.NoError(t, err, "%s: %s", b.where, p.out)
		case <-time.After(time.Until(deadline)):
			require.Fail(t, "it does not end", "%s: %s", b.where, p.out)
		}
	}
}

// around is what stands around a piece of a program: the packages that it may use, and the variables that it may expect to be there. Both
// may be unused.
const around = `package piece

import (
	"cmp"
	"context"
	"crypto/tls"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/cluster/notice"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/engine/feed/feedtest"
	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/engine/schedule/scheduletest"
	"github.com/streamlease/streamlease/engine/schedule/scheduleview"
	leases "github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/scan/console"
	"github.com/streamlease/streamlease/wheel"
)

var (
	_ = cmp.Or[int]
	_ tls.Config
	_ sql.DB
	_ json.Number
	_ = errors.New
	_ = fmt.Sprint
	_ = log.Fatal
	_ slog.Level
	_ http.Header
	_ os.Signal
	_ = signal.Stop
	_ = strconv.Itoa
	_ = syscall.SIGTERM
	_ testing.TB
	_ time.Time
	_ prometheus.Labels
	_ leasetest.Option
	_ cluster.Config
	_ notice.Config
	_ preflight.Report
	_ feed.Config
	_ feedtest.Feed
	_ schedule.Config
	_ scheduletest.Fired
	_ = scheduleview.New
	_ leases.Pipeline
	_ scan.Config
	_ console.Option
	_ wheel.Config

	ctx       context.Context
	client    rueidis.Client
	option    rueidis.ClientOption
	e         *engine.Engine
	publisher *engine.Publisher
	table     *schedule.Table
	inspector *scan.Inspector
	handler   api.Handler
	lease     api.Lease
	l         api.Lease
	n         api.Notification
	err       error
)

`

// wrap makes a file of a piece: what declares something is at the top, and all else in a function, whose results are guessed.
func wrap(piece string) string {
	if regexp.MustCompile(`(?m)\A(//.*\n)*(func [\w(]|type |var |const )`).MatchString(piece) {
		return around + piece
	}
	result := ""
	if regexp.MustCompile(`(?m)^\s*return \S`).MatchString(piece) {
		result = " error"
	}
	file := around + "func _()" + result + " {\n" + piece
	if result != "" {
		file += "\nreturn nil\n"
	}
	return file + "}\n"
}

// unused is what the compiler has against variables that a piece makes for what comes after it.
var unused = regexp.MustCompile(`(?m)^.*declared and not used: .*\n?|^# .*\n?|^.*unreachable code\n?`)

// compiles returns what the compiler has against a piece.
func compiles(t *testing.T, piece string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "piece.go")
	require.NoError(t, os.WriteFile(file, []byte(wrap(piece)), 0o600))
	build := exec.Command("go", "build", "-gcflags=-e", "-o", os.DevNull, file)
	build.Dir = root
	out, err := build.CombinedOutput()
	if err == nil {
		return ""
	}
	return strings.TrimSpace(unused.ReplaceAllString(string(out), ""))
}

func TestEveryGoBlockCompiles(t *testing.T) {
	_, pieces := goBlocks(t)
	for _, b := range pieces {
		if problem := compiles(t, b.text); problem != "" {
			t.Errorf("%s: %s", b.where, problem)
		}
	}
	require.Empty(t, compiles(t, "err := lease.Done(ctx)\nkept := 1\nif err != nil {\n\treturn err\n}\n"))
	require.Empty(t, compiles(t, "// f does it.\nfunc f(l api.Lease) time.Duration { return l.Remaining() }\n"))
	require.Contains(t, compiles(t, "lease.Finish(ctx)\nkept := 1\n"), "lease.Finish undefined")
	require.Contains(t, compiles(t, "func f() { engine.Start() }\n"), "undefined: engine.Start")
}

// TestEveryScriptLoads has a server compile the Lua of the documents.
func TestEveryScriptLoads(t *testing.T) {
	client := servers.New(t).Client(t)
	for _, document := range documents(t) {
		blocks, _ := fences(document, read(t, document))
		for _, b := range blocks {
			if b.language == "lua" {
				require.NoError(t, client.Do(t.Context(), client.B().ScriptLoad().Script(b.text).Build()).Error(), b.where)
			}
		}
	}
}
