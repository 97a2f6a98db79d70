package readme

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFencingOverHTTPLosesNoUpdate runs what docs/fencing.md has for stores with versions in every order of three owners, against one in
// memory.
func TestFencingOverHTTPLosesNoUpdate(t *testing.T) {
	source := block(t, "docs/fencing.md", "go", "type document struct")
	file := filepath.Join(t.TempDir(), "main.go")
	all := "var schedules = [][]step{\n"
	for _, schedule := range schedules(3) {
		all += "{"
		for _, s := range schedule {
			all += fmt.Sprintf("{%d, %t},", s.owner, s.write)
		}
		all += "},\n"
	}
	require.NoError(t, os.WriteFile(file, []byte(overHTTP+source+all+"}\n"), 0o600))
	run := exec.Command("go", "run", file)
	run.Dir = root
	out, err := run.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, "15 orders\n", string(out))
}

// overHTTP has the store, and the owners: each adds another power of ten to what it has read, and what was confirmed has to be there.
const overHTTP = `package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/streamlease/streamlease/api"
)

type step struct {
	owner int
	write bool
}

func main() {
	bodies, versions := make(map[string][]byte), make(map[string]int)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		version := fmt.Sprintf("%q", fmt.Sprint(versions[r.URL.Path]))
		there := versions[r.URL.Path] > 0
		switch {
		case r.Method == http.MethodGet && !there:
			w.WriteHeader(http.StatusNotFound)
		case r.Method == http.MethodGet:
			w.Header().Set("ETag", version)
			_, _ = w.Write(bodies[r.URL.Path])
		case r.Header.Get("If-None-Match") == "*" && there, r.Header.Get("If-Match") != "" && r.Header.Get("If-Match") != version:
			w.WriteHeader(http.StatusPreconditionFailed)
		default:
			bodies[r.URL.Path], _ = io.ReadAll(r.Body)
			versions[r.URL.Path]++
			w.Header().Set("ETag", fmt.Sprintf("%q", fmt.Sprint(versions[r.URL.Path])))
		}
	}))
	defer server.Close()
	ctx := context.Background()
	for i, schedule := range schedules {
		var owners [3]object
		var read [3]int
		sum := 0
		for _, s := range schedule {
			o, adds := &owners[s.owner], []int{1, 10, 100}[s.owner]
			if !s.write {
				*o = object{url: server.URL + "/" + fmt.Sprint(i), token: api.Token(1<<52 + s.owner)}
				var err error
				if read[s.owner], err = o.begin(ctx); err != nil {
					log.Fatal(schedule, err)
				}
				continue
			}
			switch err := o.write(ctx, read[s.owner]+adds); {
			case err == nil:
				sum += adds
			case !errors.Is(err, errFenced):
				log.Fatal(schedule, err)
			}
		}
		last := object{url: server.URL + "/" + fmt.Sprint(i), token: 1 << 53}
		if value, err := last.begin(ctx); err != nil || value != sum {
			log.Fatal(schedule, value, sum, err)
		}
		if _, err := owners[0].begin(ctx); !errors.Is(err, errFenced) {
			log.Fatal(schedule, "an owner that was slow to begin: ", err)
		}
	}
	fmt.Println(len(schedules), "orders")
}

`
