package repository

import (
	"encoding/json"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// WriteProxy writes what a proxy of modules serves of the released modules, as if the files that there are were tagged as a version. The
// go command reads it by GOPROXY=file://FOLDER. What tags cannot contain is left out, as it is by a real one.
func (r *Repository) WriteProxy(folder, version string) error {
	names, err := r.Files()
	if err != nil {
		return err
	}
	for _, m := range r.Released() {
		if err := r.publish(m, names, folder, version); err != nil {
			return err
		}
	}
	return nil
}

func (r *Repository) publish(m Module, names []string, folder, version string) error {
	escaped, err := module.EscapePath(m.Path)
	if err != nil {
		return err
	}
	folder = filepath.Join(folder, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	requirements, err := os.ReadFile(filepath.Join(r.Root, m.Folder, "go.mod"))
	if err != nil {
		return err
	}
	info, err := json.Marshal(map[string]any{"Version": version, "Time": time.Now().UTC()})
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{"list": []byte(version + "\n"), version + ".mod": requirements, version + ".info": info} {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil {
			return err
		}
	}
	archive, err := os.Create(filepath.Join(folder, version+".zip"))
	if err != nil {
		return err
	}
	defer archive.Close()
	if err := zip.Create(archive, module.Version{Path: m.Path, Version: version}, r.within(m, names)); err != nil {
		return err
	}
	return archive.Close()
}

// within returns the files below the folder of a module. Those of modules below it are left out by what makes the archive.
func (r *Repository) within(m Module, names []string) (files []zip.File) {
	for _, name := range names {
		below := name
		if m.Folder != "." {
			var found bool
			if below, found = strings.CutPrefix(name, m.Folder+"/"); !found {
				continue
			}
		}
		files = append(files, file{below: below, name: filepath.Join(r.Root, filepath.FromSlash(name))})
	}
	return files
}

type file struct{ below, name string }

func (f file) Path() string                 { return path.Clean(f.below) }
func (f file) Lstat() (os.FileInfo, error)  { return os.Lstat(f.name) }
func (f file) Open() (io.ReadCloser, error) { return os.Open(f.name) }

// Copy copies the files into a folder, and returns the repository that is there then: one without a history.
func (r *Repository) Copy(folder string) (*Repository, error) {
	names, err := r.Files()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(r.Root, name))
		if err != nil {
			return nil, err
		}
		to := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return nil, err
		}
	}
	c, err := Open(folder)
	if err != nil {
		return nil, err
	}
	_, err = c.git("init", "--quiet")
	return c, err
}
