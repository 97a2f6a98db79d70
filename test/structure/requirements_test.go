package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// linked are the modules that whoever embeds the library links: a new one is a decision, and belongs into docs/costs.md.
var linked = []string{
	"github.com/RoaringBitmap/roaring/v2",
	"github.com/beorn7/perks",
	"github.com/bits-and-blooms/bitset",
	"github.com/cespare/xxhash/v2",
	"github.com/munnerz/goautoneg",
	"github.com/panjf2000/ants/v2",
	"github.com/prometheus/client_golang",
	"github.com/prometheus/client_model",
	"github.com/prometheus/common",
	"github.com/prometheus/procfs",
	"github.com/redis/rueidis",
	"github.com/robfig/cron/v3",
	"golang.org/x/sync",
	"golang.org/x/sys",
	"google.golang.org/protobuf",
}

// forTests are the modules that only tests need.
var forTests = []string{"github.com/stretchr/testify", "go.uber.org/goleak", "go.yaml.in/yaml/v3", "pgregory.net/rapid"}

// TestEmbeddersLinkWhatIsListed, and nothing that only tests need. What is required without being linked is for tests.
func TestEmbeddersLinkWhatIsListed(t *testing.T) {
	root := filepath.Join("..", "..")
	list := func(args ...string) []string {
		cmd := exec.Command("go", append([]string{"list"}, args...)...)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "GOWORK=off") // the list depends on it
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		require.NoError(t, err)
		return strings.Fields(string(out))
	}
	library := slices.DeleteFunc(list("./..."), func(name string) bool {
		return name == module+"/test" || strings.HasPrefix(name, module+"/test/")
	})
	require.Contains(t, library, module+"/engine")
	modules := list(append([]string{"-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}"}, library...)...)
	slices.Sort(modules)
	require.Equal(t, linked, slices.Compact(modules))

	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	var notLinked []string
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(string(text), -1) {
		if !slices.Contains(linked, m[1]) {
			notLinked = append(notLinked, m[1])
		}
	}
	slices.Sort(notLinked)
	require.Equal(t, forTests, notLinked, "required directly")
}
