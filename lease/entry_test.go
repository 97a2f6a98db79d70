package lease

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
)

func body(pairs ...string) (fields []rueidis.XRangeFieldValue) {
	for i := 0; i+1 < len(pairs); i += 2 {
		fields = append(fields, rueidis.XRangeFieldValue{Field: pairs[i], Value: pairs[i+1]})
	}
	return fields
}

func layoutOf(t testing.TB, partitions int) *cluster.Layout {
	layout, err := cluster.NewLayout("shop", partitions)
	require.NoError(t, err)
	return layout
}

func TestParseEntry(t *testing.T) {
	many := []string{FieldAnnouncement, `{"DataStreamName":"s"}`}
	for i := range 5000 {
		many = append(many, "f"+strconv.Itoa(i), "v")
	}
	for name, c := range map[string]struct {
		body   []string
		stream string
		info   string
		counts [3]int
	}{
		"as producers write it": {[]string{FieldAnnouncement, `{"DataStreamName":"s","Info":{"k":"v"}}`}, "s", `{"k":"v"}`, [3]int{}},
		"no info":               {[]string{FieldAnnouncement, `{"DataStreamName":"s"}`}, "s", `{}`, [3]int{}},
		"null info":             {[]string{FieldAnnouncement, `{"DataStreamName":"s","Info":null}`}, "s", `{}`, [3]int{}},
		"info that is no map":   {[]string{FieldAnnouncement, `{"DataStreamName":"s","Info":[1,"x"]}`}, "s", `[1,"x"]`, [3]int{}},
		"more in the JSON":      {[]string{FieldAnnouncement, `{"Other":1,"DataStreamName":"s"}`}, "s", `{}`, [3]int{}},
		"counts":                {[]string{FieldRetries, "2", FieldCrashes, "3", FieldNotBefore, "1700000000004", FieldAnnouncement, `{"DataStreamName":"s"}`}, "s", `{}`, [3]int{2, 3, 1700000000004}},
		"counts that are none":  {[]string{FieldRetries, "x", FieldCrashes, "-3", FieldAnnouncement, `{"DataStreamName":"s"}`}, "s", `{}`, [3]int{}},
		"counts beyond numbers": {[]string{FieldRetries, "99999999999999999999", FieldCrashes, "1e3", FieldAnnouncement, `{"DataStreamName":"s"}`}, "s", `{}`, [3]int{}},
		"the field twice":       {[]string{FieldAnnouncement, `{"DataStreamName":"first"}`, FieldAnnouncement, `{"DataStreamName":"second"}`}, "first", `{}`, [3]int{}},
		"5,000 fields":          {many, "s", `{}`, [3]int{}},
		"counts twice":          {[]string{FieldRetries, "2", FieldRetries, "9", FieldNotBefore, "0", FieldNotBefore, "x", FieldAnnouncement, `{"DataStreamName":"s"}`}, "s", `{}`, [3]int{2, 0, 0}},
		"no time at all":        {[]string{FieldAnnouncement, `{"DataStreamName":"s"}`, FieldNotBefore, "0"}, "s", `{}`, [3]int{}},
		"name with everything":  {[]string{FieldAnnouncement, `{"DataStreamName":"a b:{c}\u0000\n\"ä€😀"}`}, "a b:{c}\x00\n\"ä€😀", `{}`, [3]int{}},
	} {
		t.Run(name, func(t *testing.T) {
			layout := layoutOf(t, 4)
			fields := body(c.body...)
			e, err := ParseEntry(layout, 2, "7-1", fields)
			require.NoError(t, err)
			require.Equal(t, c.stream, e.Stream)
			require.Equal(t, c.info, string(e.Info))
			require.Equal(t, c.counts, [3]int{e.Retries, e.Crashes, int(e.NotBefore)})
			require.Equal(t, layout.Of(c.stream), e.Home)
			require.Equal(t, layout.Keys(2).Lease(c.stream), e.Key)
			require.Equal(t, 2, e.Partition)
			require.Equal(t, "7-1", e.ID)
			require.Equal(t, fields, e.Body)
		})
	}
}

func TestParseEntryThatIsADeadLetter(t *testing.T) {
	valid := `{"DataStreamName":"s"}`
	for name, c := range map[string]struct {
		body []string
		want string
	}{
		"no fields":          {nil, FieldAnnouncement},
		"no field of ours":   {[]string{"x", valid}, FieldAnnouncement},
		"empty":              {[]string{FieldAnnouncement, ""}, "announcement"},
		"no JSON":            {[]string{FieldAnnouncement, "orders:1"}, "announcement"},
		"half of it":         {[]string{FieldAnnouncement, `{"DataStreamName":"s"`}, "announcement"},
		"two of them":        {[]string{FieldAnnouncement, valid + valid}, "announcement"},
		"an array":           {[]string{FieldAnnouncement, `["s"]`}, "announcement"},
		"name is a number":   {[]string{FieldAnnouncement, `{"DataStreamName":7}`}, "announcement"},
		"null":               {[]string{FieldAnnouncement, `null`}, "DataStreamName"},
		"no name":            {[]string{FieldAnnouncement, `{}`}, "DataStreamName"},
		"empty name":         {[]string{FieldAnnouncement, `{"DataStreamName":""}`}, "DataStreamName"},
		"name of 1 MB":       {[]string{FieldAnnouncement, `{"DataStreamName":"` + strings.Repeat("x", 1<<20) + `"}`}, "DataStreamName"},
		"binary":             {[]string{FieldAnnouncement, "{\"DataStreamName\":\"\xff\xfe\"}"}, "UTF-8"},
		"binary elsewhere":   {[]string{FieldAnnouncement, "{\"DataStreamName\":\"s\",\"Info\":\"\xff\"}"}, "UTF-8"},
		"time that is none":  {[]string{FieldAnnouncement, valid, FieldNotBefore, "tomorrow"}, FieldNotBefore},
		"time before 1970":   {[]string{FieldAnnouncement, valid, FieldNotBefore, "-1"}, FieldNotBefore},
		"time beyond 2^53":   {[]string{FieldAnnouncement, valid, FieldNotBefore, "9007199254740993"}, FieldNotBefore},
		"time in µs":         {[]string{FieldAnnouncement, valid, FieldNotBefore, "1700000000000000"}, "years from now"},
		"time in seconds":    {[]string{FieldAnnouncement, valid, FieldNotBefore, "1700000000"}, "not seconds"},
		"time in 11 years":   {[]string{FieldAnnouncement, valid, FieldNotBefore, strconv.FormatInt(time.Now().AddDate(11, 0, 0).UnixMilli(), 10)}, "years from now"},
		"time with fraction": {[]string{FieldAnnouncement, valid, FieldNotBefore, "1.5"}, FieldNotBefore},
		"time, much of it":   {[]string{FieldAnnouncement, valid, FieldNotBefore, strings.Repeat("9", 1<<20)}, FieldNotBefore},
	} {
		t.Run(name, func(t *testing.T) {
			fields := body(c.body...)
			e, err := ParseEntry(layoutOf(t, 4), 3, "7-1", fields)
			require.ErrorContains(t, err, c.want)
			require.Less(t, len(err.Error()), 500, "it becomes a field of the dead letter")
			require.Equal(t, Entry{Partition: 3, Home: 3, ID: "7-1", Body: fields, Size: weight(fields), Fields: len(fields)}, e)
		})
	}
	_, err := ParseEntry(layoutOf(t, 1), 0, "1-1", body(FieldAnnouncement, `{"DataStreamName":""}`))
	require.ErrorIs(t, err, api.ErrInvalidStream)
}

func TestEncodeAnnouncementIsWhatParseEntryReads(t *testing.T) {
	text, err := EncodeAnnouncement("s", nil)
	require.NoError(t, err)
	require.Equal(t, `{"DataStreamName":"s"}`, text)
	text, err = EncodeAnnouncement("s", json.RawMessage(`{"k": "v"}`))
	require.NoError(t, err)
	require.Equal(t, `{"DataStreamName":"s","Info":{"k":"v"}}`, text)
	_, err = EncodeAnnouncement("s", json.RawMessage(`{`))
	require.Error(t, err)

	layout := layoutOf(t, 8)
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringN(1, 50, -1).Draw(t, "name")
		text, err := EncodeAnnouncement(name, nil)
		require.NoError(t, err)
		e, err := ParseEntry(layout, 0, "1-1", body(FieldAnnouncement, text))
		require.NoError(t, err)
		require.Equal(t, name, e.Stream)
	})
}

func FuzzParseEntry(f *testing.F) {
	f.Add(`{"DataStreamName":"s","Info":{"k":"v"}}`, "1", "2", "3")
	f.Add(`{"DataStreamName":"s","Info":null}`, "", "-1", "x")
	f.Add(`{"datastreamname":"s","Info":[]}`, "1e9", "99999999999999999999", "9007199254740992")
	f.Add("\xff", "", "", "")
	f.Add(`{"DataStreamName":"\ud800"}`, "", "", "0")
	f.Add(`{"DataStreamName":"\ud83d\ude00","\ud800":1}`, "", "", "1700000000")
	f.Add(`{"Info":[{"DataStreamName":"x"}],"Data\u0053treamName":"a\\\"b","DataStreamName":"{shop-input}:meta"}`, "", "", "1700000000000000")
	layout := layoutOf(f, 4)
	f.Fuzz(func(t *testing.T, text, retries, crashes, notBefore string) {
		fields := body(FieldAnnouncement, text, FieldRetries, retries, FieldCrashes, crashes, FieldNotBefore, notBefore)
		e, err := ParseEntry(layout, 1, "1-1", fields)
		require.Equal(t, fields, e.Body)
		if err != nil {
			require.Empty(t, e.Stream)
			require.Less(t, len(err.Error()), 1000)
			return
		}
		require.NotEmpty(t, e.Stream)
		require.True(t, json.Valid(e.Info), "%q", e.Info)
		require.NotEqual(t, "null", string(e.Info))
		require.Equal(t, layout.Keys(1).Lease(e.Stream), e.Key)
		require.GreaterOrEqual(t, min(e.Retries, e.Crashes), 0)
		require.NoError(t, CheckNotBefore(e.NotBefore, time.Now().Add(time.Second)))
		require.True(t, utf8.ValidString(e.Stream))
		require.False(t, layout.Owns(e.Stream))
		if bytes.ContainsRune(e.Info, utf8.RuneError) || strings.Contains(text, `\u`) {
			return
		}
		// What was read says the same when it is written again.
		again, err := EncodeAnnouncement(e.Stream, e.Info)
		require.NoError(t, err)
		name, err := decodeName(again[:len(again)-1])
		require.NoError(t, err)
		require.Equal(t, e.Stream, name)
		l := New(sessionIn(1), &e, 1, 1, 1, nil)
		require.Equal(t, e.Stream, l.Stream())
	})
}

func TestCompareIDs(t *testing.T) {
	sorted := []string{"0-0", "0-1", "1-0", "9-99", "10-1", "10-2", "10-10", "18446744073709551615-0", "18446744073709551615-18446744073709551615"}
	for i, a := range sorted {
		for j, b := range sorted {
			got := CompareIDs(a, b)
			require.Equal(t, i < j, got < 0, "%s %s", a, b)
			require.Equal(t, i == j, got == 0, "%s %s", a, b)
		}
	}
	require.Zero(t, CompareIDs("5", "5-0"), "as Redis reads it")
}
