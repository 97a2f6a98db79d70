package servers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	// EnvPrograms names the environment variable with the folder of the servers that the system does not provide, each in its own
	// folder: redis-8/redis-server. Unset: bin/servers in the root of the module, where `make servers` puts them.
	EnvPrograms = "STREAMLEASE_SERVERS"
	// EnvAllPrograms names the environment variable that, if set to anything, makes tests fail if a server they would use is
	// missing. Unset: they log which server they did not run on.
	EnvAllPrograms = "STREAMLEASE_ALL_SERVERS"
)

// Program is a server that tests may run on. The zero value is the default server of [New].
type Program struct {
	name   string // of its folder
	server string // the file in it
}

// The servers that tests know. The default one is what the system provides: Redis 7.0 on Debian 12. Memory is the server in memory
// of the testing kit, engine/enginetest: it is built when it is asked for.
var (
	Default = Program{}
	Redis8  = Program{"redis-8", "redis-server"}
	Valkey8 = Program{"valkey-8", "valkey-server"}
	Memory  = Program{"memory", "memoryserver"}
)

// Programs returns all that users may run, installed or not: all but Memory.
func Programs() []Program { return []Program{Default, Redis8, Valkey8} }

// String returns a name for subtests and logs: redis, redis-8, valkey-8, memory.
func (p Program) String() string {
	if p == Default {
		return "redis"
	}
	return p.name
}

// Binary returns the value for [Options.Binary]. The error wraps [ErrNoBinary] and says how to get the server.
func (p Program) Binary() (string, error) {
	if p == Default {
		return (&Options{}).findBinary()
	}
	if p == Memory {
		return buildMemory()
	}
	folder := os.Getenv(EnvPrograms)
	if folder == "" {
		root, err := moduleRoot()
		if err != nil {
			return "", err
		}
		folder = filepath.Join(root, "bin", "servers")
	}
	path, err := exec.LookPath(filepath.Join(folder, p.name, p.server))
	if err != nil {
		return "", fmt.Errorf("%w (%w): get it with `make servers`, or set %s", ErrNoBinary, err, EnvPrograms)
	}
	return path, nil
}

// moduleRoot returns the root of the library's module above the working directory. It ignores the module of the benchmarks.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("servers: %w", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && slices.Contains(strings.Split(string(text), "\n"), "module github.com/streamlease/streamlease") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("servers: not inside the module")
		}
	}
}

// Available returns which of these servers, or of all if none is named, a test can run on. It logs which are missing, or fails the
// test if [EnvAllPrograms] is set. The default one is always required.
func Available(t testing.TB, programs ...Program) (there []Program) {
	t.Helper()
	if len(programs) == 0 {
		programs = Programs()
	}
	for _, p := range programs {
		_, err := p.Binary()
		switch {
		case err == nil:
			there = append(there, p)
		case p == Default || os.Getenv(EnvAllPrograms) != "" || !errors.Is(err, ErrNoBinary):
			t.Errorf("%s: %v", p, err)
		default:
			t.Logf("NOT RUN on %s: %v", p, err)
		}
	}
	return there
}

// On starts this server instead of the default one. [Available] reports whether it is installed.
func On(p Program) Option {
	return func(o *Options) {
		binary, err := p.Binary()
		if err != nil {
			binary = p.name + "/" + p.server // Start reports that it is missing
		}
		o.Binary = binary
	}
}
