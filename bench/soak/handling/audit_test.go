package handling

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

func at(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

func did(n uint64, token api.Token, seconds float64) note {
	return note{kind: handled, id: id{n, 0}, token: token, at: at(seconds)}
}

// audited checks one stream with the messages 1 to 3, which processes a and b read, and which a trouble of a struck from 10 s to 11 s.
func audited(a, b []note) (f Findings) {
	x := audit{interval: 2 * time.Second, troubles: []struck{
		{name: killed, process: "a", from: at(10), until: at(11), repeats: true}, {name: restarted, process: "b", from: at(20), until: at(21)},
	}}
	x.add("a", a)
	x.add("b", b)
	x.stream(0, []id{{1, 0}, {2, 0}, {3, 0}}, &f)
	return f
}

func TestAuditFindsEachFault(t *testing.T) {
	for name, c := range map[string]struct {
		a, b []note
		want Findings
	}{
		"nothing is wrong":             {a: []note{did(1, 5, 1), did(2, 5, 2)}, b: []note{did(3, 6, 3)}, want: Findings{Handled: 3}},
		"one is missing":               {a: []note{did(1, 5, 1), did(3, 5, 2)}, want: Findings{Handled: 2, Missing: 1}},
		"nobody read it":               {want: Findings{Missing: 3}},
		"out of order":                 {a: []note{did(2, 5, 1), did(1, 5, 2), did(3, 5, 3)}, want: Findings{Handled: 3, Disordered: 1}},
		"twice in one ownership":       {a: []note{did(1, 5, 1), did(2, 5, 2), did(2, 5, 3), did(3, 5, 4)}, want: Findings{Handled: 4, Disordered: 1}},
		"by an owner that is replaced": {a: []note{did(1, 5, 1), did(3, 5, 3)}, b: []note{did(2, 6, 2)}, want: Findings{Handled: 3, Stale: 1}},
		"after the next one began": {a: []note{did(1, 5, 1), did(2, 5, 3), did(3, 5, 4)},
			b: []note{{kind: started, token: 6, at: at(2)}}, want: Findings{Handled: 3, Ownerships: 1, Stale: 2}},
		"again after a kill": {a: []note{did(1, 5, 9), did(2, 5, 9.5)}, b: []note{did(2, 6, 12), did(3, 6, 13)}, want: Findings{Handled: 4, Repeated: 1}},
		"again, from too long before the kill": {a: []note{did(1, 5, 7), did(2, 5, 9.5)}, b: []note{did(1, 6, 12), did(2, 6, 12), did(3, 6, 13)},
			want: Findings{Handled: 5, Repeated: 1, Unexcused: 1}},
		"again, before the kill": {a: []note{did(1, 5, 9)}, b: []note{did(1, 6, 9.1), did(2, 6, 9.2), did(3, 6, 9.3)}, want: Findings{Handled: 4, Unexcused: 1}},
		"again after a restart":  {b: []note{did(1, 5, 19)}, a: []note{did(1, 6, 22), did(2, 6, 23), did(3, 6, 24)}, want: Findings{Handled: 4, Unexcused: 1}},
		"what the stream does not have": {a: []note{did(1, 5, 1), did(2, 5, 2), did(3, 5, 3), did(4, 5, 4)},
			want: Findings{Handled: 4, Forgotten: 1, Disordered: 1}},
		"a gap without a failover": {a: []note{did(1, 5, 1), {kind: gap, token: 5, at: at(2)}, did(1, 5, 3), did(2, 5, 4), did(3, 5, 5)},
			want: Findings{Handled: 4, Gaps: 1, Unexcused: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			got := audited(c.a, c.b)
			got.Named = nil
			c.want.Messages = 3
			require.Equal(t, c.want, got)
			fine := c.want.Missing+c.want.Disordered+c.want.Stale+c.want.Unexcused == 0
			require.Equal(t, fine, got.hold())
		})
	}
}

func TestNotesAreReadAsTheyAreWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes")
	n := notes{process: "a", path: path}
	all, err := n.more()
	require.NoError(t, err)
	require.Empty(t, all, "before it has started")
	first, second := note{handled, 7, id{1 << 41, 3}, 1 << 52, time.Hour}, note{gap, 8, id{}, 9, 10}
	text := second.appendTo(first.appendTo(nil))
	require.Len(t, text, 2*noteSize)
	require.NoError(t, os.WriteFile(path, text[:noteSize+5], 0o600))
	all, err = n.more()
	require.NoError(t, err)
	require.Equal(t, []note{first}, all, "the second one is not complete")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	all, err = n.more()
	require.NoError(t, err)
	require.Equal(t, []note{second}, all)
}

func TestIDs(t *testing.T) {
	x, err := parseID("12-3")
	require.NoError(t, err)
	require.Equal(t, id{12, 3}, x)
	require.Equal(t, "12-3", x.String())
	require.True(t, id{1, 9}.less(id{2, 0}))
	require.True(t, id{1, 1}.less(id{1, 2}))
	require.False(t, id{1, 1}.less(id{1, 1}))
	for _, wrong := range []string{"", "1", "a-1", "1-b"} {
		_, err := parseID(wrong)
		require.Error(t, err, wrong)
	}
}
