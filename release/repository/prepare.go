package repository

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// Prepare has the modules require each other in a version, go.work find them in it, and names it in CHANGELOG.md. The version has to be
// greater than the last tag. It commits and tags nothing.
func (r *Repository) Prepare(version string, day time.Time) error {
	if !semver.IsValid(version) || semver.Canonical(version) != version {
		return fmt.Errorf("%q is no version: write v1.2.3", version)
	}
	last, err := r.LastTag()
	if err != nil {
		return err
	}
	if semver.Compare(version, last) <= 0 {
		return fmt.Errorf("%s is not greater than the last version, %s", version, last)
	}
	if err := r.nameVersion(version, day); err != nil {
		return err
	}
	return r.Require(version)
}

// Require has the modules require each other in a version, and go.work find them in it.
func (r *Repository) Require(version string) error {
	for _, m := range r.Modules {
		if err := r.requireIn(m, version); err != nil {
			return err
		}
	}
	work, err := readWork(r.Root)
	if err != nil {
		return err
	}
	for _, placed := range work.Replace {
		if placed.Old.Version == "" || !r.has(placed.Old.Path) {
			continue
		}
		// In its line, since what adds lines leaves its block.
		tokens := placed.Syntax.Token
		tokens[slices.Index(tokens, placed.Old.Version)] = version
	}
	return os.WriteFile(filepath.Join(r.Root, "go.work"), modfile.Format(work.Syntax), 0o644)
}

func (r *Repository) requireIn(m Module, version string) error {
	name := filepath.Join(r.Root, m.Folder, "go.mod")
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	file, err := modfile.Parse(name, text, nil)
	if err != nil {
		return err
	}
	for _, required := range file.Require {
		if r.has(required.Mod.Path) {
			if err := file.AddRequire(required.Mod.Path, version); err != nil {
				return err
			}
		}
	}
	text, err = file.Format()
	if err != nil {
		return err
	}
	return os.WriteFile(name, text, 0o644)
}

func (r *Repository) has(path string) bool {
	for _, m := range r.Modules {
		if m.Path == path {
			return true
		}
	}
	return false
}

var (
	unreleased = regexp.MustCompile(`(?m)^## Unreleased(?:: (v\S+))?$`)
	heading    = regexp.MustCompile(`(?m)^## (?:Unreleased(?:: )?)?(v[^\s,]+)?.*$`)
)

func (r *Repository) nameVersion(version string, day time.Time) error {
	name := filepath.Join(r.Root, "CHANGELOG.md")
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	place := unreleased.FindIndex(text)
	if place == nil {
		return errors.New("CHANGELOG.md has no heading \"## Unreleased\"")
	}
	named := fmt.Appendf(nil, "## %s, %s", version, day.Format(time.DateOnly))
	return os.WriteFile(name, append(append(append([]byte(nil), text[:place[0]]...), named...), text[place[1]:]...), 0o644)
}

// Next returns the version that the topmost heading of CHANGELOG.md names, or "" if it names none.
func (r *Repository) Next() (string, error) {
	text, err := os.ReadFile(filepath.Join(r.Root, "CHANGELOG.md"))
	if err != nil {
		return "", err
	}
	m := heading.FindSubmatch(text)
	if m == nil {
		return "", nil
	}
	version := string(m[1])
	if version != "" && !semver.IsValid(version) {
		return "", fmt.Errorf("CHANGELOG.md: %q is no version", version)
	}
	return version, nil
}
