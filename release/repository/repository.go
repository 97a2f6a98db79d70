package repository

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// Repository is a folder with a go.work.
type Repository struct {
	// Root is the folder.
	Root string
	// Modules are those that go.work uses, by their folders. That of the root is the first one.
	Modules []Module
}

// Module is a module of a repository.
type Module struct {
	// Path is what programs import.
	Path string
	// Folder is relative to the root, with slashes; "." is the root itself.
	Folder string
}

// Tag returns the name of the tag that is a version of the module.
func (m Module) Tag(version string) string {
	if m.Folder == "." {
		return version
	}
	return path.Join(m.Folder, version)
}

// Open reads the go.work of a folder.
func Open(root string) (*Repository, error) {
	work, err := readWork(root)
	if err != nil {
		return nil, err
	}
	r := &Repository{Root: root}
	for _, use := range work.Use {
		folder := path.Clean(use.Path)
		text, err := os.ReadFile(filepath.Join(root, folder, "go.mod"))
		if err != nil {
			return nil, err
		}
		r.Modules = append(r.Modules, Module{Path: modfile.ModulePath(text), Folder: folder})
	}
	slices.SortFunc(r.Modules, func(a, b Module) int { return strings.Compare(a.Folder, b.Folder) })
	if len(r.Modules) == 0 || r.Modules[0].Folder != "." {
		return nil, fmt.Errorf("%s: go.work does not use the module of its folder", root)
	}
	return r, nil
}

// Find returns the nearest folder with a go.work, upwards from dir.
func Find(dir string) (string, error) {
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("there is no go.work here or above")
		}
		dir = filepath.Dir(dir)
	}
}

// Released returns the modules that get a tag: all but those that others neither import nor install.
func (r *Repository) Released() []Module {
	return slices.DeleteFunc(slices.Clone(r.Modules), func(m Module) bool { return m.Folder == "release" })
}

// LastTag returns the highest version that HEAD or what is before it was released as, or "" if there is none yet. Previews do not count.
func (r *Repository) LastTag() (string, error) {
	out, err := r.git("tag", "--list", "v*", "--merged", "HEAD")
	if err != nil {
		return "", err
	}
	last := ""
	for _, tag := range strings.Fields(string(out)) {
		if semver.IsValid(tag) && semver.Prerelease(tag) == "" && semver.Compare(tag, last) > 0 {
			last = tag
		}
	}
	return last, nil
}

// Files returns the names of the files that are in the repository or would be, were all of them added; relative, with slashes.
func (r *Repository) Files() ([]string, error) {
	out, err := r.git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return nil, err
	}
	names := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool {
		info, err := os.Lstat(filepath.Join(r.Root, name))
		return err != nil || !info.Mode().IsRegular() // deleted, or a link, which no module contains
	}), nil
}

// Export writes the files of a commit into a folder.
func (r *Repository) Export(commit, folder string) error {
	archive, err := r.git("archive", commit)
	if err != nil {
		return err
	}
	tar := exec.Command("tar", "-xf", "-", "-C", folder)
	tar.Stdin = bytes.NewReader(archive)
	if out, err := tar.CombinedOutput(); err != nil {
		return fmt.Errorf("tar: %w\n%s", err, out)
	}
	return nil
}

func (r *Repository) git(args ...string) ([]byte, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = r.Root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git %s: %w\n%s", args[0], err, stderr.Bytes())
	}
	return out, nil
}

func readWork(root string) (*modfile.WorkFile, error) {
	name := filepath.Join(root, "go.work")
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return modfile.ParseWork(name, text, nil)
}
