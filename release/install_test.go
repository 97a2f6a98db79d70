package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/release/repository"
)

const library = "github.com/streamlease/streamlease"

// tagged is this repository as others get it, under a version that nobody has: what is prepared for it, behind a proxy of modules.
type tagged struct {
	t       *testing.T
	version string
	modules []repository.Module
	env     []string // of the go command: no workspace, and the proxy before what it uses else
}

func tag(t *testing.T) *tagged {
	t.Helper()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	tree, err := repository.Open(root)
	require.NoError(t, err)
	c, err := tree.Copy(t.TempDir())
	require.NoError(t, err)
	// Greater than what is out, and never the same: what was fetched of a version stays in the cache.
	version := fmt.Sprintf("v0.1.0-check.%d", time.Now().UnixNano())
	require.NoError(t, c.Require(version))
	proxy := t.TempDir()
	require.NoError(t, c.WriteProxy(proxy, version))

	cache := goEnv(t, "GOMODCACHE")
	g := &tagged{t: t, version: version, modules: c.Released()}
	// Not optimized, since that takes half the time; all else is in the cache as it is compiled elsewhere.
	g.env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-ldflags=-s '-gcflags="+library+"/...=-N -l'", "GOPRIVATE=", "GONOPROXY=", "GONOSUMDB="+library+","+library+"/*",
		"GOPROXY=file://"+filepath.ToSlash(proxy)+",file://"+filepath.ToSlash(cache)+"/cache/download,"+goEnv(t, "GOPROXY"))
	t.Cleanup(func() { forget(t, cache, version) })
	return g
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// forget removes a version from the cache. The cache is the one of everything else, since what others made is compiled again in any
// other place.
func forget(t *testing.T, cache, version string) {
	for _, pattern := range []string{"", "/*", "/*/*", "/*/*/*"} {
		folders, err := filepath.Glob(filepath.Join(cache, library+pattern+"@"+version))
		require.NoError(t, err)
		for _, folder := range folders {
			_ = filepath.WalkDir(folder, func(name string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					err = os.Chmod(name, 0o755)
				}
				return err
			})
			require.NoError(t, os.RemoveAll(folder))
		}
		files, err := filepath.Glob(filepath.Join(cache, "cache", "download", library+pattern, "@v", version+".*"))
		require.NoError(t, err)
		for _, file := range files {
			require.NoError(t, os.Remove(file))
		}
		lists, err := filepath.Glob(filepath.Join(cache, "cache", "download", library+pattern, "@v", "list"))
		require.NoError(t, err)
		for _, list := range lists {
			text, err := os.ReadFile(list)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(list, []byte(strings.ReplaceAll(string(text), version+"\n", "")), 0o644))
		}
	}
}

func (g *tagged) run(folder string, env []string, name string, args ...string) string {
	g.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = folder
	cmd.Env = append(g.env, env...)
	out, err := cmd.CombinedOutput()
	require.NoError(g.t, err, "%s %s\n%s", name, strings.Join(args, " "), out)
	return string(out)
}

// has reports whether a module is there that has a package by its own path.
func (g *tagged) has(path string) bool {
	for _, m := range g.modules {
		if m.Path == path {
			sources, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(m.Folder), "*.go"))
			return err == nil && len(sources) > 0
		}
	}
	return false
}

// Trace: the commands could not be installed from outside. Their module replaced the library by a folder, and the go command refuses that
// of a module that it installs.
func TestCommandsInstallFromOutside(t *testing.T) {
	g := tag(t)
	bin := t.TempDir()
	g.run(t.TempDir(), []string{"GOBIN=" + bin}, "go", "install",
		library+"/bench/cmd/streamlease@"+g.version, library+"/bench/cmd/bench@"+g.version)
	for _, program := range []string{"streamlease", "bench"} {
		require.Contains(t, g.run(bin, nil, filepath.Join(bin, program), "-version"), g.version)
		require.Contains(t, g.run(bin, nil, filepath.Join(bin, program), "help"), "preflight")
	}
	g.embed()
}

// embed has a module of somebody else require the library and the modules beside it, build a program and compile a test of it.
func (g *tagged) embed() {
	folder := g.t.TempDir()
	write := func(name, text string) {
		require.NoError(g.t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644))
	}
	write("go.mod", "module example.org/program\n\ngo 1.26.0\n")
	write("main.go", program)
	get := []string{"get", library + "@" + g.version}
	for module, imports := range map[string]string{"engine/enginetest": "program_test.go", "engine/otel": "trace.go"} {
		if path := library + "/" + module; g.has(path) {
			get = append(get, path+"@"+g.version)
			write(imports, fmt.Sprintf("package main\n\nimport _ %q\n", path))
		}
	}
	g.run(folder, nil, "go", get...)
	g.run(folder, nil, "go", "mod", "tidy") // what the requirements of tests lack
	g.run(folder, nil, "go", "build", "-o", filepath.Join(folder, "program"), ".")
	g.run(folder, nil, "go", "list", "-test", "-deps", ".") // the imports of tests are there; compiling them is for their own
	require.Contains(g.t, g.run(folder, nil, "go", "version", "-m", "program"), library+"\t"+g.version)
}

const program = `package main

import (
	"context"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
)

func main() {
	e, err := engine.Open(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:6379"}}, "chat")
	if err != nil {
		panic(err)
	}
	f, err := feed.New(e, func(context.Context, *feed.Batch) error { return nil }, feed.Config{})
	if err != nil {
		panic(err)
	}
	_ = f.Run(context.Background())
}
`
