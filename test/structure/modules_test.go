package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// required is a module in a version, as go.mod and go.work name it.
type required struct{ Path, Version string }

// modfile is what go mod edit and go work edit print of a file.
type modfile struct {
	Module  struct{ Path string }
	Require []required
	Replace []struct{ Old, New required }
	Use     []struct{ DiskPath string }
}

func readModfile(t *testing.T, args ...string) (file modfile) {
	t.Helper()
	out, err := exec.Command("go", args...).Output()
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(out, &file))
	return file
}

// go install refuses a command whose module replaces anything. So the modules of this repository require each other in one version, the one
// that is released next, and the workspace alone says where they are.
func TestModulesNeedNoReplacements(t *testing.T) {
	root := filepath.Join("..", "..")
	work := readModfile(t, "work", "edit", "-json", filepath.Join(root, "go.work"))
	var used []string
	for _, u := range work.Use {
		used = append(used, filepath.Clean(u.DiskPath))
	}
	placed := make(map[required]string)
	for _, r := range work.Replace {
		placed[r.Old] = filepath.Clean(r.New.Path)
	}

	var folders []string
	versions := make(map[string]string) // with the module that requires it
	require.NoError(t, filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "go.mod" {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(name))
		require.NoError(t, err)
		folders = append(folders, folder)
		file := readModfile(t, "mod", "edit", "-json", name)
		require.Equal(t, filepath.ToSlash(filepath.Join(module, folder)), file.Module.Path)
		require.Empty(t, file.Replace, "%s", name)
		for _, r := range file.Require {
			below, ours := strings.CutPrefix(r.Path, module)
			if !ours {
				continue
			}
			versions[r.Version] = file.Module.Path
			require.Equal(t, filepath.Clean("."+below), placed[r], "go.work replaces %s %s, which %s requires", r.Path, r.Version, name)
		}
		_, err = os.Stat(filepath.Join(filepath.Dir(name), "go.sum"))
		return err
	}))
	require.ElementsMatch(t, used, folders, "go.work uses all modules")
	require.Len(t, versions, 1, "one version of this repository is required")
}
