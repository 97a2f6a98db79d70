package notes

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNotesAreReadAsTheyAreWritten(t *testing.T) {
	tail := Tail[string]{Path: filepath.Join(t.TempDir(), "a.notes"), Size: 3, Parse: func(text []byte) string { return string(text) }}
	more := func(want ...string) {
		t.Helper()
		all, err := tail.More()
		require.NoError(t, err)
		require.Equal(t, want, all)
	}
	more()
	for i, step := range []struct {
		written string
		want    []string
	}{{"one", []string{"one"}}, {"twosi", []string{"two"}}, {"x", []string{"six"}}, {"", nil}} {
		f, err := Open(tail.Path)
		require.NoError(t, err, i)
		_, err = f.WriteString(step.written)
		require.NoError(t, err, i)
		require.NoError(t, f.Close(), i)
		more(step.want...)
	}
}
