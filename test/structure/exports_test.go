package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/structure/exports"
)

var update = flag.Bool("update", false, "rewrite the golden files of exported declarations")

// stable are the packages that programs outside this repository compile against, each with the names that are a contract:
// nil for all of them. A name is that of a function, a variable, a constant, or a type with its fields; Type.Method is one
// method, Type.* all of them. Whatever else these packages export is for this module only and may change, and so may all of
// cluster/breaker.
var stable = map[string][]string{
	"api":                  nil,
	"api/leasetest":        nil,
	"wheel":                nil,
	"engine":               nil,
	"engine/preflight":     nil,
	"engine/feed":          nil,
	"engine/feed/feedtest": nil,
	"engine/schedule":      nil,

	"engine/schedule/scheduletest": nil,
	"engine/schedule/scheduleview": nil,
	"scan/console":                 nil,

	"cluster": {
		"Config", "Config.Validate", "Config.WithDefaults",
		"Spread", "Spread.*", "SpreadOf", "SuggestPartitions", "Owners", "EvenOwners", // docs/partitions.md, preflight.Report
		"Layout", "NewLayout", // preflight.Terms
	},
	"cluster/breaker": {
		"Config", "Config.Validate", "Config.WithDefaults", // engine.WithBreaker
	},
	"cluster/notice": {
		"Config", "Config.Validate", "Config.WithDefaults", // engine.WithMaintenance
		"Mode", "EndpointType",
	},
	"engine/balance": {
		"Config", "Config.Validate", "Config.WithDefaults", // engine.WithBalance
		"Switch", "Switch.String", "On", "Off",
	},
	"lease": {
		"Pipeline", "Pipeline.Validate", "Pipeline.WithDefaults",
		"Limits", "Limits.Validate", "Limits.WithDefaults", // engine.Limits
		"State",              // scan.Survey
		"Clock", "Clock.Now", // Engine.Clock
	},
	"scan": {
		"Config", "Config.Validate", "Config.WithDefaults", "NoRetries", "NoCrashes", "NoCount", "NoLimit",
		// Engine.Inspector
		"Inspector", "Inspector.*", "InspectorConfig", "NewInspector",
		"Backlog", "LagSource", "Consumer", "Session", "SessionState", "DeadLetter", "DeadLetter.*", "Holding", "Ownership",
		"Progress", "Selection", "Delayed", "Stranded", "Survey", "Survey.*", "Contents", "Key",
		"Balance", "BalanceState", "Process", "Story", "StreamState", "StreamEntry", "StoredCheckpoint", "Turnover", "Taken",
		"Wish", "WishKind", "MinWish", "MaxWish", "MinWeight", "MaxWeight", "MaxReason", "MaxWishes", "ErrTooManyWishes",
		"ErrUnknownService", "ErrServiceRunning", "ErrServiceJoined", "ErrTakenOver", "ErrStillWritten",
		"ErrUndecided", "ErrDeadLetter", "ErrRequeued", "DelayedError", "DelayedError.*", // Engine.Requeue
	},
}

// What the stable packages export is what the golden files say. Comments and names of parameters do not count.
func TestExports(t *testing.T) {
	lists := stableExports(t)
	for _, name := range sortedKeys(lists) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", "api", filepath.FromSlash(name)+".txt")
			got := lists[name].Lines
			if *update {
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
				require.NoError(t, os.WriteFile(path, []byte(strings.Join(got, "\n")+"\n"), 0o644))
			}
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			want := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
			if d := difference(want, got); d != "" {
				t.Errorf("package %s no longer exports what %s says:\n%s\nIf that is meant: go test ./test/structure -update", name, path, d)
			}
		})
	}
}

// A stable declaration names no type of this module that is not stable itself.
func TestExportsAreClosed(t *testing.T) {
	lists := stableExports(t)
	declared := map[string]bool{}
	for name, list := range lists {
		for _, line := range list.Lines {
			if rest, isType := strings.CutPrefix(line, "type "); isType {
				declared[module+"/"+name+"."+rest[:strings.IndexAny(rest, " [")]] = true
			}
		}
	}
	for _, name := range sortedKeys(lists) {
		for _, line := range lists[name].Lines {
			for _, mentioned := range lists[name].Mentions[line] {
				if strings.HasPrefix(mentioned, module+"/") && !declared[mentioned] {
					t.Errorf("%s: %s\n\tnames %s, which is not among the stable names", name, line, short(mentioned))
				}
			}
		}
	}
}

// Every name in the table exists, so that none is lost to a typing error.
func TestStableNamesExist(t *testing.T) {
	lists := stableExports(t)
	for _, name := range sortedKeys(stable) {
		text := strings.Join(lists[name].Lines, "\n") + "\n"
		for _, entry := range stable[name] {
			typ, method, isMethod := strings.Cut(entry, ".")
			switch {
			case isMethod && method == "*":
				require.Regexp(t, `(?m)^method \(\*?`+typ+`\) `, text, "%s.%s", name, entry)
			case isMethod:
				require.Regexp(t, `(?m)^method \(\*?`+typ+`\) `+method+`\(`, text, "%s.%s", name, entry)
			default:
				require.Regexp(t, `(?m)^(type|func|var|const) `+entry+`\b`, text, "%s.%s", name, entry)
			}
		}
	}
}

// stableExports lists what the stable packages export, as far as it is stable.
func stableExports(t *testing.T) map[string]*exports.List {
	lists := map[string]*exports.List{}
	for _, p := range library(t) {
		names, ok := stable[short(p.Path)]
		if !ok {
			continue
		}
		filter := exports.All
		if names != nil {
			filter = exports.Only(p.Types, names...)
		}
		lists[short(p.Path)] = exports.Of(p.Types, module, filter)
	}
	require.Len(t, lists, len(stable))
	return lists
}

// difference returns the lines that are only in want, with a minus, and those only in got, with a plus.
func difference(want, got []string) string {
	var b strings.Builder
	all := slices.Compact(slices.Sorted(slices.Values(slices.Concat(want, got))))
	for _, line := range all {
		before, after := slices.Contains(want, line), slices.Contains(got, line)
		if before && !after {
			fmt.Fprintf(&b, "- %s\n", line)
		}
		if after && !before {
			fmt.Fprintf(&b, "+ %s\n", line)
		}
	}
	return b.String()
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
