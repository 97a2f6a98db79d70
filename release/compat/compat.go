package compat

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/exp/apidiff"
	"golang.org/x/mod/semver"

	"github.com/streamlease/streamlease/release/repository"
)

// Changes are the differences between the last release and what is there now, one a line.
type Changes struct {
	// Last is the version of the last release, or "" if there is none; then nothing else is set.
	Last string
	// Next is the version that the topmost heading of CHANGELOG.md names, or "" if it names none, or the last one.
	Next string
	// Incompatible are those by which programs may no longer compile.
	Incompatible []string
	// Compatible are the others: what was added.
	Compatible []string
}

// Since compares a repository with its last tag.
func Since(r *repository.Repository) (*Changes, error) {
	c := new(Changes)
	var err error
	if c.Last, err = r.LastTag(); err != nil || c.Last == "" {
		return c, err
	}
	if c.Next, err = r.Next(); err != nil {
		return nil, err
	}
	if c.Next != "" && semver.Compare(c.Next, c.Last) <= 0 {
		c.Next = ""
	}
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	if err := r.Export(c.Last, folder); err != nil {
		return nil, err
	}
	old, err := repository.Open(folder)
	if err != nil {
		return nil, err
	}
	for _, m := range old.Modules {
		if err := c.compare(old, r, m); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// compare adds the changes of a module that was there. One that is new takes nothing from anybody.
func (c *Changes) compare(old, r *repository.Repository, m repository.Module) error {
	if !forOthers(m.Folder) {
		return nil
	}
	was, err := load(old, m)
	if err != nil {
		return fmt.Errorf("in %s: %w", c.Last, err)
	}
	is := exported{}
	if slices.Contains(r.Modules, m) {
		if is, err = load(r, m); err != nil {
			return err
		}
	}
	for _, path := range slices.Sorted(maps.Keys(was)) {
		if is[path] == nil {
			c.Incompatible = append(c.Incompatible, path+": package removed")
			continue
		}
		for _, change := range apidiff.Changes(was[path], is[path]).Changes {
			line := path + ": " + change.Message
			if change.Compatible {
				c.Compatible = append(c.Compatible, line)
			} else {
				c.Incompatible = append(c.Incompatible, line)
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(is)) {
		if was[path] == nil {
			c.Compatible = append(c.Compatible, path+": package added")
		}
	}
	return nil
}

// Needs returns the lowest version that the changes may be released as: while the major version is 0, what is incompatible takes a minor
// version, and then a major one; what was added takes a minor version then.
func (c *Changes) Needs() string {
	if c.Last == "" {
		return ""
	}
	var n [3]int
	for i, digits := range strings.SplitN(strings.TrimPrefix(semver.Canonical(c.Last), "v"), ".", 3) {
		n[i], _ = strconv.Atoi(digits)
	}
	changed := 2
	switch stable := n[0] > 0; {
	case len(c.Incompatible) > 0 && stable:
		changed = 0
	case len(c.Incompatible) > 0, len(c.Compatible) > 0 && stable:
		changed = 1
	}
	n[changed]++
	for i := changed + 1; i < len(n); i++ {
		n[i] = 0
	}
	return fmt.Sprintf("v%d.%d.%d", n[0], n[1], n[2])
}

// Refused returns what is wrong with the changes: they are incompatible and no version is named that allows it, or the version that is named is too low.
func (c *Changes) Refused() error {
	needs := c.Needs()
	switch {
	case c.Next == "" && len(c.Incompatible) > 0:
		return fmt.Errorf("this breaks programs that use %s. Intended, it takes %s: write \"## Unreleased: %s\" in CHANGELOG.md", c.Last, needs, needs)
	case c.Next != "" && semver.Compare(c.Next, needs) < 0:
		return fmt.Errorf("CHANGELOG.md names %s, and these changes take %s or higher", c.Next, needs)
	}
	return nil
}
