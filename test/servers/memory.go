package servers

import (
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// buildMemory builds the server in memory, once in a process, into bin/servers/memory in the root of the module. Builds of one tree
// replace each other, which are the same; those of several trees that share the folder do not.
var buildMemory = sync.OnceValues(func() (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(root, "bin", "servers", Memory.name)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("servers: %w", err)
	}
	// A program that runs cannot be written to, but another one can take its place.
	building, err := os.MkdirTemp(folder, "building-")
	if err != nil {
		return "", fmt.Errorf("servers: %w", err)
	}
	defer os.RemoveAll(building)
	built := filepath.Join(building, Memory.server)
	build := exec.Command("go", "build", "-C", filepath.Join(root, "engine", "enginetest"), "-ldflags=-s", "-o", built, "./internal/memoryserver")
	build.Env = append(os.Environ(), "GOWORK="+filepath.Join(root, "go.work")) // tests of the library run without it
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("servers: build the server in memory: %w\n%s", err, out)
	}
	tree := fnv.New32a()
	tree.Write([]byte(root))
	path := filepath.Join(folder, fmt.Sprintf("%s-%08x", Memory.server, tree.Sum32()))
	if err := os.Rename(built, path); err != nil {
		return "", fmt.Errorf("servers: %w", err)
	}
	return path, nil
})
