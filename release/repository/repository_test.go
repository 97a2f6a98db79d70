package repository

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func small(t *testing.T) *Repository {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.work": "// Why.\ngo 1.26.0\n\nuse (\n\t.\n\t./b/otel\n\t./a\n\t./release\n)\n\n// Where.\nreplace (\n\texample.org/thing v0.1.0 => ./\n" +
			"\texample.org/thing/b/otel v0.1.0 => ./b/otel\n\texample.org/other v1.0.0 => ../other\n)\n",
		"go.mod":         "module example.org/thing\n\ngo 1.26.0\n",
		"a/go.mod":       "module example.org/thing/a\n\ngo 1.26.0\n\nrequire (\n\texample.org/other v1.0.0\n\texample.org/thing v0.1.0\n\texample.org/thing/b/otel v0.1.0 // indirect\n)\n",
		"b/otel/go.mod":  "module example.org/thing/b/otel\n\ngo 1.26.0\n\nrequire example.org/thing v0.1.0\n",
		"release/go.mod": "module example.org/thing/release\n\ngo 1.26.0\n",
		"CHANGELOG.md":   "# Changelog\n\nWhat changed.\n\n## Unreleased: v0.2.0\n\n- More.\n\n## v0.1.0, 2026-01-01\n",
	} {
		name = filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(text), 0o644))
	}
	r, err := Open(root)
	require.NoError(t, err)
	_, err = r.git("init", "--quiet")
	require.NoError(t, err)
	_, err = r.git("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false", "commit", "--quiet", "--allow-empty", "-m", "a change")
	require.NoError(t, err)
	return r
}

func (r *Repository) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(r.Root, name))
	require.NoError(t, err)
	return string(text)
}

func TestTagsBeginWithTheFolder(t *testing.T) {
	r := small(t)
	var tags []string
	for _, m := range r.Released() {
		tags = append(tags, m.Tag("v1.2.3"))
	}
	require.Equal(t, []string{"v1.2.3", "a/v1.2.3", "b/otel/v1.2.3"}, tags, "the root first, and not what prepares releases")
}

func TestPrepareNamesTheVersionEverywhere(t *testing.T) {
	r := small(t)
	next, err := r.Next()
	require.NoError(t, err)
	require.Equal(t, "v0.2.0", next)
	require.NoError(t, r.Prepare("v0.3.0", time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC)))

	require.Equal(t, "module example.org/thing/a\n\ngo 1.26.0\n\nrequire (\n\texample.org/other v1.0.0\n\texample.org/thing v0.3.0\n\texample.org/thing/b/otel v0.3.0 // indirect\n)\n",
		r.read(t, "a/go.mod"))
	require.Equal(t, "// Why.\ngo 1.26.0\n\nuse (\n\t.\n\t./b/otel\n\t./a\n\t./release\n)\n\n// Where.\nreplace (\n"+
		"\texample.org/thing v0.3.0 => ./\n\texample.org/thing/b/otel v0.3.0 => ./b/otel\n\texample.org/other v1.0.0 => ../other\n)\n", r.read(t, "go.work"))
	require.Contains(t, r.read(t, "CHANGELOG.md"), "What changed.\n\n## v0.3.0, 2026-12-24\n\n- More.\n\n## v0.1.0, 2026-01-01\n")
	next, err = r.Next()
	require.NoError(t, err)
	require.Equal(t, "v0.3.0", next)

	require.ErrorContains(t, r.Prepare("v0.4.0", time.Now()), "## Unreleased", "there is nothing to release")
}

func TestPrepareRefusesWhatIsNoNextVersion(t *testing.T) {
	r := small(t)
	for _, version := range []string{"", "1.2.3", "v1.2", "v1.2.3+meta", "latest"} {
		require.ErrorContains(t, r.Prepare(version, time.Now()), "is no version")
	}
	for _, tag := range []string{"v0.9.0", "v0.10.0", "v0.11.0-rc.1", "a/v7.0.0", "vague"} {
		_, err := r.git("tag", tag)
		require.NoError(t, err)
	}
	last, err := r.LastTag()
	require.NoError(t, err)
	require.Equal(t, "v0.10.0", last)
	require.ErrorContains(t, r.Prepare("v0.9.1", time.Now()), "not greater than the last version, v0.10.0")
	require.NoError(t, r.Prepare("v0.11.0", time.Now()))
}
