package lease

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/api"
)

// leaseValues are values of a lease's key, and how they parse; nil: not one of this library.
var leaseValues = []struct {
	text string
	want *Value
}{
	{"pod.1 17 5-1", &Value{Consumer: "pod.1", Token: 17, Entry: "5-1"}},
	{"pod.1 17 5-1 6-0", &Value{Consumer: "pod.1", Token: 17, Entry: "5-1", Waiting: "6-0"}},
	{"pod 0 0-0", &Value{Consumer: "pod", Entry: "0-0"}},
	{"pöd.1 9007199254740991 1-1", &Value{Consumer: "pöd.1", Token: 1<<53 - 1, Entry: "1-1"}},
	{"pod.1 17 5-1 ", &Value{Consumer: "pod.1", Token: 17, Entry: "5-1"}},
	{"pod.1 17 5-1 x", &Value{Consumer: "pod.1", Token: 17, Entry: "5-1"}},
	{"pod.1 17 5-1 6-0 7-0", &Value{Consumer: "pod.1", Token: 17, Entry: "5-1", Waiting: "6-0"}},
	{"pod.1 17 5-1 6-0 mark", &Value{Consumer: "pod.1", Token: 17, Entry: "5-1", Waiting: "6-0"}},
	{"pod.1 17 5-1 mark", &Value{Consumer: "pod.1", Token: 17, Entry: "5-1"}},
	{"pod.1 17 5-1 6-0mark", &Value{Consumer: "pod.1", Token: 17, Entry: "5-1"}},
	{"pod.1 17 5-1 6", &Value{Consumer: "pod.1", Token: 17, Entry: "5-1"}},
	{"pod.1 17 5-1 shut=5@a1", &Value{Consumer: "pod.1", Token: 17, Entry: "5-1", Shut: "shut=5@a1"}},
	{"pod.1 17 5-1 6-0 shut=5@", &Value{Consumer: "pod.1", Token: 17, Entry: "5-1", Waiting: "6-0", Shut: "shut=5@"}},
	{"pod.1 17 5-1 shut=5@ 6-0", &Value{Consumer: "pod.1", Token: 17, Entry: "5-1"}},
	{"pod.1 17 5-1 shut=", &Value{Consumer: "pod.1", Token: 17, Entry: "5-1"}},
	{"pod.1 17 5-1 shut=a\nb", &Value{Consumer: "pod.1", Token: 17, Entry: "5-1"}},
	{"pod.1 17 5-1 shut=5@a ", &Value{Consumer: "pod.1", Token: 17, Entry: "5-1"}},
	{"pod.1 17 5-1\n", &Value{Consumer: "pod.1", Token: 17, Entry: "5-1"}},
	{"", nil},
	{"pod.1", nil},
	{"pod.1 17", nil},
	{"pod.1 17 5", nil},
	{"pod.1 x 5-1", nil},
	{"pod.1 -1 5-1", nil},
	{"pod.1  17 5-1", nil},
	{" pod.1 17 5-1", nil},
	{"two words 17 5-1", nil},
	{"pod.1 17 x-1", nil},
	{"a\tb 17 5-1", nil},
	{"a\vb 17 5-1", nil},
}

func TestParseValue(t *testing.T) {
	for _, c := range leaseValues {
		got, err := ParseValue(c.text)
		if c.want == nil {
			require.ErrorContains(t, err, "not one of this library: delete the key", "%q", c.text)
			require.Zero(t, got)
			continue
		}
		require.NoError(t, err, "%q", c.text)
		require.Equal(t, *c.want, got, "%q", c.text)
	}
	_, err := ParseValue("pod.1 18446744073709551616 5-1")
	require.Error(t, err, "no token is as great")
	_, err = ParseValue(strings.Repeat("long", 1000))
	require.Less(t, len(err.Error()), 500)
}

func TestScriptsParseLeasesAsGoDoes(t *testing.T) {
	w := newHarness(t)
	script := NewScript("parse", "local v = parse(ARGV[1])\nreturn v and { v.consumer, v.token, v.entry, v.waiting or '', v.shut or '' } or {}", "value")
	for _, c := range leaseValues {
		answer := w.Do("EVAL", script.Body(), "0", c.text)
		got, err := answer.AsStrSlice()
		require.NoError(t, err)
		if c.want == nil {
			require.Empty(t, got, "%q", c.text)
			continue
		}
		require.Equal(t, []string{c.want.Consumer, c.want.Token.String(), c.want.Entry, c.want.Waiting, c.want.Shut}, got, "%q", c.text)
	}
}

func TestValueRoundTrip(t *testing.T) {
	id := rapid.StringMatching(`[0-9]{1,20}-[0-9]{1,20}`)
	rapid.Check(t, func(t *rapid.T) {
		want := Value{
			Consumer: rapid.StringMatching(`[^\s\v]{1,40}`).Draw(t, "consumer"),
			Token:    api.Token(rapid.Uint64Range(0, math.MaxUint64).Draw(t, "token")),
			Entry:    id.Draw(t, "entry"),
			Waiting:  rapid.OneOf(rapid.Just(""), id).Draw(t, "waiting"),
			Shut:     rapid.OneOf(rapid.Just(""), rapid.StringMatching(`shut=[0-9]{1,20}@[0-9a-z]{0,40}`)).Draw(t, "shut"),
		}
		got, err := ParseValue(want.String())
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

func FuzzParseValue(f *testing.F) {
	for _, c := range leaseValues {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := ParseValue(text)
		if err != nil {
			require.Zero(t, v)
			return
		}
		again, err := ParseValue(v.String())
		require.NoError(t, err)
		require.Equal(t, v, again)
	})
}

func TestLeaseKnowsItsValue(t *testing.T) {
	e := &Entry{ID: "5-1", Stream: "s", Key: "{shop-input}:lease:s"}
	l := New(sessionIn(0), e, 17, 1, 1, nil)
	require.Equal(t, Value{Consumer: alice, Token: 17, Entry: "5-1"}.String(), ownedValue(alice, l.tag))
	require.Len(t, ownedValue(alice, l.tag), ownedValueSize(alice, l.tag))
	var b strings.Builder
	writeOwnedValue(&b, alice, l.tag)
	require.Equal(t, ownedValue(alice, l.tag), b.String())
	require.Equal(t, []string{"{shop-input}:lease:s", "5-1", "s"}, []string{l.Key(), l.Entry(), l.Stream()})
}
