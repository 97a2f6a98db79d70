package main

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/structure/filegraph"
)

// cycle is a set of files of which some may form a cycle.
type cycle struct {
	why   string
	most  int // how many of them at once
	files []string
}

// cycles are the cycles of files that there may be, by package. A package with an empty entry may have none.
var cycles = map[string][]cycle{
	"engine": {
		{
			why:  "options set the fields of the configuration, which applies them",
			most: 2, files: []string{"config.go", "option.go"},
		},
		{
			why:  "a partition has the state of its reads, which is read and written under its mutex",
			most: 2, files: []string{"partition.go", "readstate.go"},
		},
		{
			why:  "the renewer decides what is due, and sends it in waves",
			most: 2, files: []string{"renewer.go", "wave.go"},
		},
		{
			why:  "a reader's chores fail alike, and a consumer that has fewer entries than it should is a reason to compare",
			most: 2, files: []string{"attend.go", "reconcile.go"},
		},
	},
	// What is decided about a stream is returned, and done by whoever is above that; so there are none here.
	"engine/feed": {},
	"lease": {
		{
			why:  "Store has methods in several files, and all scripts are listed in one",
			most: 6, files: []string{"extras.go", "legacy.go", "read.go", "runner.go", "script.go", "store.go"},
		},
		{
			why: "a lease makes its context, which asks the lease for what remains; and it lists its checkpoint in its session, which hands " +
				"out those of its leases",
			most: 6, files: []string{"checkpoint.go", "context.go", "lease.go", "saving.go", "session.go", "unsaved.go"},
		},
		{
			why:  "limits are applied to entries, and parsing an entry counts its known fields by them",
			most: 2, files: []string{"entry.go", "limits.go"},
		},
		{
			why:  "what is moved is declared apart from how large a move may be",
			most: 2, files: []string{"disposition.go", "move.go"},
		},
	},
	"scan": {
		{
			why:  "a recovery reads pages and waits out late scripts by methods of the same type",
			most: 3, files: []string{"late.go", "page.go", "recover.go"},
		},
	},
}

// unlisted is how many files may form a cycle in a package of the library that is not in the table: a type or two with
// methods in several files, not subsystems that know each other.
const unlisted = 7

// The files of a package form no cycles but those in the table. To see what keeps a new one together, print the edges:
//
//	go run ./test/structure -names ./engine
func TestFilesFormNoOtherCycles(t *testing.T) {
	for _, p := range library(t) {
		name := short(p.Path)
		t.Run(name, func(t *testing.T) {
			allowed, listed := cycles[name]
			for _, found := range filegraph.Of(p).Cycles() {
				switch {
				case !listed:
					require.LessOrEqual(t, len(found), unlisted, "files that form a cycle: %v", found)
				case !permitted(allowed, found):
					t.Errorf("%d files form a cycle that the table does not allow: %v\nnot in its closest entry: %v",
						len(found), found, beyond(allowed, found))
				}
			}
		})
	}
}

func permitted(allowed []cycle, found []string) bool {
	return slices.ContainsFunc(allowed, func(c cycle) bool {
		return len(found) <= c.most && len(without(found, c.files)) == 0
	})
}

// beyond returns the files of a cycle that the entry which has most of them does not have.
func beyond(allowed []cycle, found []string) []string {
	rest := found
	for _, c := range allowed {
		if r := without(found, c.files); len(r) < len(rest) {
			rest = r
		}
	}
	return rest
}

func without(files, taken []string) []string {
	return slices.DeleteFunc(slices.Clone(files), func(f string) bool { return slices.Contains(taken, f) })
}

func TestPermitted(t *testing.T) {
	allowed := []cycle{{most: 2, files: []string{"a", "b", "c"}}, {most: 2, files: []string{"d", "e"}}}
	require.True(t, permitted(allowed, []string{"a", "c"}))
	require.True(t, permitted(allowed, []string{"d", "e"}))
	require.False(t, permitted(allowed, []string{"a", "b", "c"}), "too many")
	require.False(t, permitted(allowed, []string{"a", "d"}), "from two entries")
	require.Equal(t, []string{"d"}, beyond(allowed, []string{"a", "b", "d"}))
}
