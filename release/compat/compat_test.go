package compat

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/release/repository"
)

// history is a repository with two modules whose first version is tagged.
type history struct {
	t    *testing.T
	root string
}

func newHistory(t *testing.T, tag string) *history {
	t.Helper()
	h := &history{t: t, root: t.TempDir()}
	h.write("go.work", "go 1.26.0\n\nuse (\n\t.\n\t./more\n)\n")
	h.write("CHANGELOG.md", "# Changelog\n\n## Unreleased\n\n- All of it.\n")
	h.write("go.mod", "module example.org/thing\n\ngo 1.26.0\n")
	h.write("api/api.go", "package api\n\nimport \"strings\"\n\n// Wait waits.\nfunc Wait(n int) string { return strings.Repeat(\".\", n) }\n\ntype T struct{ A int }\n")
	h.write("api/internal/own/own.go", "package own\n\nfunc Wait() {}\n")
	h.write("test/help/help.go", "package help\n\nfunc Wait() {}\n")
	h.write("more/go.mod", "module example.org/thing/more\n\ngo 1.26.0\n")
	h.write("more/more.go", "package more\n\n// Max is how many.\nconst Max = 3\n")
	h.git("init", "--quiet")
	h.commit()
	if tag != "" {
		h.git("tag", tag)
	}
	return h
}

func (h *history) write(name, text string) {
	h.t.Helper()
	name = filepath.Join(h.root, name)
	require.NoError(h.t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(h.t, os.WriteFile(name, []byte(text), 0o644))
}

func (h *history) git(args ...string) {
	h.t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"}, args...)...)
	cmd.Dir = h.root
	out, err := cmd.CombinedOutput()
	require.NoError(h.t, err, "%s", out)
}

func (h *history) commit() {
	h.t.Helper()
	h.git("add", "-A")
	h.git("commit", "--quiet", "-m", "a change")
}

func (h *history) since() *Changes {
	h.t.Helper()
	r, err := repository.Open(h.root)
	require.NoError(h.t, err)
	c, err := Since(r)
	require.NoError(h.t, err)
	return c
}

func TestNothingToCompareWithoutATag(t *testing.T) {
	require.Equal(t, &Changes{}, newHistory(t, "").since())
	require.Equal(t, &Changes{}, newHistory(t, "v1.0.0-rc.1").since(), "a preview promises nothing")
}

func TestWhatIsAddedIsAllowed(t *testing.T) {
	h := newHistory(t, "v1.2.3")
	require.Equal(t, "v1.2.4", h.since().Needs(), "nothing changed")
	h.write("api/more.go", "package api\n\nfunc Stop() {}\n")
	h.write("api/fresh/fresh.go", "package fresh\n\nfunc Go() {}\n")
	h.write("api/internal/own/own.go", "package own\n")
	h.write("test/help/help.go", "package help\n")
	c := h.since()
	require.Empty(t, c.Incompatible)
	require.Equal(t, []string{"example.org/thing/api: Stop: added", "example.org/thing/api/fresh: package added"}, c.Compatible)
	require.Equal(t, "v1.3.0", c.Needs())
	require.NoError(t, c.Refused())

	h.write("CHANGELOG.md", "# Changelog\n\n## Unreleased: v1.2.4\n")
	require.ErrorContains(t, h.since().Refused(), "take v1.3.0 or higher")
	h.write("CHANGELOG.md", "# Changelog\n\n## v1.3.0, 2026-12-01\n\n## v1.2.3, 2026-11-01\n")
	require.NoError(t, h.since().Refused())
}

func TestWhatBreaksProgramsIsRefused(t *testing.T) {
	h := newHistory(t, "v0.1.0")
	h.write("api/api.go", "package api\n\nfunc Wait(n int64) string { return \"\" }\n\ntype T struct{ A int }\n")
	h.write("more/more.go", "package more\n")
	h.commit()
	c := h.since()
	require.Equal(t, []string{
		"example.org/thing/api: Wait: changed from func(int) string to func(int64) string",
		"example.org/thing/more: Max: removed",
	}, c.Incompatible)
	require.ErrorContains(t, c.Refused(), `"## Unreleased: v0.2.0"`)

	h.write("CHANGELOG.md", "# Changelog\n\n## Unreleased: v0.2.0\n\n## v0.1.0, 2026-11-01\n")
	require.NoError(t, h.since().Refused(), "intended")
	h.write("CHANGELOG.md", "# Changelog\n\n## v0.1.0, 2026-11-01\n")
	require.Error(t, h.since().Refused(), "what is out allows nothing")
}

func TestAModuleThatIsGoneBreaksPrograms(t *testing.T) {
	h := newHistory(t, "v1.0.0")
	h.write("go.work", "go 1.26.0\n\nuse .\n")
	require.NoError(t, os.RemoveAll(filepath.Join(h.root, "more")))
	c := h.since()
	require.Equal(t, []string{"example.org/thing/more: package removed"}, c.Incompatible)
	require.Equal(t, "v2.0.0", c.Needs())
}

// A version that does not compile cannot be compared, and is not taken for one that exports nothing.
func TestWhatDoesNotCompileIsAnError(t *testing.T) {
	h := newHistory(t, "v1.0.0")
	h.write("api/api.go", "package api\n\nfunc Wait(n missing) string { return \"\" }\n")
	r, err := repository.Open(h.root)
	require.NoError(t, err)
	_, err = Since(r)
	require.ErrorContains(t, err, "undefined: missing")
}
