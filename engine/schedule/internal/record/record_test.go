package record

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func anyDefinition(t *rapid.T) (d Definition) {
	if rapid.Bool().Draw(t, "cron") {
		d.Cron = rapid.SampledFrom([]string{"0 3 * * *", "@daily", "*/5 1,2 * jan mon-fri"}).Draw(t, "expression")
		d.Zone = rapid.SampledFrom([]string{"", "Europe/Berlin", "UTC"}).Draw(t, "zone")
	} else {
		d.Every = rapid.Int64Range(MinEvery, MaxEvery).Draw(t, "every")
		d.Phase = rapid.Int64Range(0, d.Every-1).Draw(t, "phase")
	}
	d.Start = rapid.Int64Range(0, MaxTime).Draw(t, "start")
	d.End = rapid.Int64Range(0, MaxTime).Draw(t, "end")
	d.First = uint8(rapid.IntRange(0, maxFirst).Draw(t, "first"))
	d.Missed = uint8(rapid.IntRange(0, maxMissed).Draw(t, "missed"))
	d.Window = rapid.Int64Range(0, MaxEvery).Draw(t, "window")
	if rapid.Bool().Draw(t, "info") {
		d.Info, _ = json.Marshal(rapid.String().Draw(t, "text"))
	}
	return d
}

func TestRowsComeBackAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		born := rapid.Int64Range(1, MaxTime).Draw(t, "born")
		r := Row{Rev: rapid.Int64Range(1, MaxTime).Draw(t, "rev"), Born: born, Since: rapid.Int64Range(1, MaxTime).Draw(t, "since"),
			Paused: rapid.Bool().Draw(t, "paused"), Dead: rapid.Bool().Draw(t, "dead"), Trigger: rapid.Int64Range(0, MaxTime).Draw(t, "trigger"),
			Definition: anyDefinition(t), Note: rapid.String().Draw(t, "note")}
		got, err := ParseRow(r.Encode())
		require.NoError(t, err)
		if r.Info != nil {
			require.JSONEq(t, string(r.Info), string(got.Info))
			got.Info = r.Info
		}
		require.Equal(t, r, got)
		require.Equal(t, r.Encode(), got.Encode())
	})
}

func TestADefinitionHasOneText(t *testing.T) {
	d := Definition{Every: 30_000, Phase: 17}
	timing, rest := d.Encode()
	require.Equal(t, "30000 17 0 0 - -", timing)
	require.Empty(t, rest, "all as by default")
	d = Definition{Cron: "0 3 * * *", Zone: "Europe/Berlin", Start: 5, End: 9, First: 1, Missed: 1, Window: 1000, Info: json.RawMessage("{\n \"url\": \"http://a/?b&c\" }")}
	timing, rest = d.Encode()
	require.Equal(t, "0 0 5 9 Europe/Berlin 0 3 * * *", timing)
	require.Equal(t, `{"first":1,"missed":1,"window":1000,"info":{"url":"http://a/?b&c"}}`, rest)
	require.Panics(t, func() { (&Definition{Info: json.RawMessage("{")}).Encode() })
}

func TestRowsThatAreRefused(t *testing.T) {
	for text, says := range map[string]string{
		"":                             "one line and not three",
		"1 1 1 0 0 100 0 0 0 - -\n":    "two lines and not three",
		"1 1 1 0 0\n\n":                "has 5 parts and not 11",
		"1 1 1 0 0 100 0 0 0 -\n\n":    "have 5 parts and not 6",
		"x 1 1 0 0 100 0 0 0 - -\n\n":  `part 1 of its first line: "x" is no number`,
		"1 1 1 0 -1 100 0 0 0 - -\n\n": "-1 is not between 0 and 2^53",
		"1 1 1 0 0 100 0 0 9007199254740993 - -\n\n": "part 4 of its times",
		"0 1 1 0 0 100 0 0 0 - -\n\n":                "no revision",
		"1 0 1 0 0 100 0 0 0 - -\n\n":                "no time of birth",
		"1 2 0 0 0 100 0 0 0 - -\n\n":                "no time of a change",
		"1 1 1 0 0 0 0 0 0 - -\n\n":                  "neither an interval nor a cron expression",
		"1 1 1 0 0 100 0 0 0 - @daily\n\n":           "an interval and a cron expression",
		"1 1 1 0 0 99 0 0 0 - -\n\n":                 "its interval of 99 ms",
		"1 1 1 0 0 315360000001 0 0 0 - -\n\n":       "its interval of 315360000001 ms",
		"1 1 1 0 0 100 100 0 0 - -\n\n":              "its offset of 100 ms",
		"1 1 1 0 0 0 1 0 0 - @daily\n\n":             "its offset of 1 ms",
		"1 1 1 0 0 100 0 0 0 - -\n{\n":               "its second line",
		"1 1 1 0 0 100 0 0 0 - -\n[]\n":              "its second line",
		"1 1 1 0 0 100 0 0 0 - -\n{\"first\":3}\n":   "its first tick is 3",
		"1 1 1 0 0 100 0 0 0 - -\n{\"missed\":2}\n":  "its missed ones are 2",
		"1 1 1 0 0 100 0 0 0 - -\n{\"window\":-1}\n": "its window of -1 ms",
	} {
		_, err := ParseRow(text)
		require.ErrorContains(t, err, says, text)
	}
	r, err := ParseRow("7 1 1 1 0 9 0 0 0 - -\n\nwhy")
	require.Error(t, err)
	require.Equal(t, Row{Rev: 7, Born: 1, Since: 1, Paused: true, Definition: Definition{Every: 9}, Note: "why"}, r, "what could be read")
	r, err = ParseRow("7 1 1 0 0 900 0 0 0 - -\n{\"info\":null,\"later\":true}\n")
	require.NoError(t, err, "members of a later version")
	require.Nil(t, r.Info)
}

func TestCheckpointsComeBackAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Checkpoint{Born: rapid.Int64Range(0, MaxTime).Draw(t, "born"), Last: rapid.Int64Range(0, MaxTime).Draw(t, "last"),
			Number: rapid.Uint64().Draw(t, "number"), Trigger: rapid.Int64Range(0, MaxTime).Draw(t, "trigger"),
			Missed: rapid.IntRange(0, 1<<31-1).Draw(t, "missed")}
		if rapid.Bool().Draw(t, "state") {
			c.State = rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		}
		got, err := ParseCheckpoint(c.Encode())
		require.NoError(t, err)
		require.Equal(t, c.State == nil, got.State == nil)
		require.Equal(t, string(c.State), string(got.State))
		got.State = c.State
		require.Equal(t, c, got)
	})
	require.Equal(t, "t1 1 2 3 4 5", (&Checkpoint{1, 2, 3, 4, 5, nil}).Encode())
	require.Equal(t, "t1 1 2 3 4 5\n\nx", (&Checkpoint{1, 2, 3, 4, 5, []byte("\nx")}).Encode())
}

func TestCheckpointsThatAreRefused(t *testing.T) {
	for _, text := range []string{"", "t1", "t2 1 2 3 4 5", "t1 1 2 3 4", "t1 1 2 3 4 5 6", "t1 x 2 3 4 5", "t1 1 -2 3 4 5", "t1 1 2 -3 4 5",
		"t1 1 2 3 4 -5", "t1 1 2 3 4 3000000000", "t1 1 2 3 9007199254740993 5", strings.Repeat("9", 5000)} {
		_, err := ParseCheckpoint(text)
		require.Error(t, err, text)
		require.Less(t, len(err.Error()), 300)
	}
}

func FuzzRow(f *testing.F) {
	f.Add("1790000000000000 1790000000000 1790000000000 3 1790000000000001 0 0 1 2 Europe/Berlin 0 3 * * *\n{\"info\":{}}\nnote\nof two lines")
	f.Add("1 1 1 0 0 100 99 0 0 - -\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRow(text)
		if err != nil {
			require.Less(t, len(err.Error()), 2000)
			return
		}
		again, err := ParseRow(r.Encode())
		require.NoError(t, err)
		require.Equal(t, r.Encode(), again.Encode())
	})
}

func FuzzCheckpoint(f *testing.F) {
	f.Add("t1 1790000000000 1790000000000 7 1790000000000000 3\nstate")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCheckpoint(text)
		if err != nil {
			return
		}
		again, err := ParseCheckpoint(c.Encode())
		require.NoError(t, err)
		require.Equal(t, c, again)
	})
}
