package schedule

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/engine/schedule/internal/record"
)

func TestBoundsOfSpecsAreThoseOfRows(t *testing.T) {
	require.EqualValues(t, record.MinEvery, MinEvery.Milliseconds())
	require.EqualValues(t, record.MaxEvery, MaxEvery.Milliseconds())
}

func anySpec(t *rapid.T) Spec {
	s := Spec{Name: rapid.StringN(1, 20, -1).Draw(t, "name")}
	if rapid.Bool().Draw(t, "cron") {
		s.Cron = rapid.SampledFrom([]string{"0 3 * * *", "@daily", " */5  1,2 * jan mon-fri "}).Draw(t, "expression")
		s.Zone = rapid.SampledFrom([]string{"", "Europe/Berlin", "UTC"}).Draw(t, "zone")
	} else {
		s.Every = time.Duration(rapid.Int64Range(MinEvery.Milliseconds(), MaxEvery.Milliseconds()).Draw(t, "every")) * time.Millisecond
		s.Offset = rapid.SampledFrom([]time.Duration{0, -1, Aligned, time.Millisecond, s.Every - time.Millisecond}).Draw(t, "offset")
	}
	if rapid.Bool().Draw(t, "start") {
		s.Start = time.Unix(0, rapid.Int64Range(-1e18, 1e18).Draw(t, "at"))
	}
	if rapid.Bool().Draw(t, "end") {
		s.End = time.Unix(0, rapid.Int64Range(2e18, 3e18).Draw(t, "at"))
	}
	s.First = rapid.SampledFrom([]First{FirstDefault, Soon, OnGrid}).Draw(t, "first")
	s.Missed = rapid.SampledFrom([]Missed{Latest, Skip}).Draw(t, "missed")
	s.Window = rapid.SampledFrom([]time.Duration{0, time.Second, MaxEvery}).Draw(t, "window")
	s.Info = rapid.SampledFrom([]any{nil, "text", []byte(`{ "a":  1 }`), json.RawMessage("null"), map[string]int{"b": 1, "a": 2}}).Draw(t, "info")
	return s
}

// A spec that was read back and is put again changes nothing.
func TestSpecsThatWereReadBackAreTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anySpec(t)
		d, err := s.definition()
		require.NoError(t, err)
		row := record.Row{Rev: 1, Born: 1, Since: 1, Definition: d}
		parsed, err := record.ParseRow(row.Encode())
		require.NoError(t, err)
		again := specOf(s.Name, &parsed)
		require.Equal(t, s.Name, again.Name)
		d2, err := again.definition()
		require.NoError(t, err)
		times, rest := d.Encode()
		times2, rest2 := d2.Encode()
		require.Equal(t, times, times2)
		require.Equal(t, rest, rest2)
	})
}

func TestSpecsThatMeanTheSameAreTheSame(t *testing.T) {
	text := func(s Spec) string {
		d, err := s.definition()
		require.NoError(t, err)
		times, rest := d.Encode()
		return times + "\n" + rest
	}
	every := Spec{Name: "a", Every: time.Minute}
	d, err := every.definition()
	require.NoError(t, err)
	require.NotZero(t, d.Phase)
	for _, s := range []Spec{
		{Name: "a", Every: time.Minute, First: Soon},
		{Name: "a", Every: time.Minute, Offset: -5},
		{Name: "a", Every: time.Minute, Offset: time.Duration(d.Phase) * time.Millisecond},
		{Name: "a", Every: time.Minute, Info: json.RawMessage("null")},
		{Name: "a", Every: time.Minute, Start: time.Unix(-5, 0)},
	} {
		require.Equal(t, text(every), text(s))
	}
	require.NotEqual(t, text(every), text(Spec{Name: "a", Every: time.Minute, First: OnGrid}))
	require.Equal(t, text(Spec{Cron: "0 3 * * *"}), text(Spec{Cron: "\t0 3 \n* * *", First: OnGrid}))
	require.NotEqual(t, text(Spec{Cron: "0 3 * * *"}), text(Spec{Cron: "0 3 * * *", First: Soon}))
	require.Equal(t, text(Spec{Every: time.Second, Info: map[string]int{"a": 1}}), text(Spec{Every: time.Second, Info: []byte(`{ "a" : 1 }`)}))
	require.Equal(t, Soon, firstOf(&record.Definition{Every: 1}))
	require.Equal(t, OnGrid, firstOf(&record.Definition{Cron: "x"}))
	require.Equal(t, OnGrid, firstOf(&record.Definition{Every: 1, First: uint8(OnGrid)}))
}

func TestTimesOfBoundsAreRoundedUp(t *testing.T) {
	s := Spec{Every: time.Second, Start: time.Unix(5, 1), End: time.Unix(9, 999_999)}
	d, err := s.definition()
	require.NoError(t, err)
	require.EqualValues(t, 5001, d.Start)
	require.EqualValues(t, 9001, d.End)
}

func TestSpecsThatAreRefused(t *testing.T) {
	for says, s := range map[string]Spec{
		"neither Every nor Cron":        {},
		"Every 1s and Cron":             {Every: time.Second, Cron: "@daily"},
		"Offset 1s goes with Every":     {Cron: "@daily", Offset: time.Second},
		`Cron "  " is empty`:            {Cron: "  "},
		`Zone "Local"`:                  {Cron: "@daily", Zone: "Local"},
		"Zone \"UTC\" goes with Cron":   {Every: time.Second, Zone: "UTC"},
		"Every is 99ms":                 {Every: 99 * time.Millisecond},
		"Every is -1s":                  {Every: -time.Second},
		"Every is 87600h0m0.001s":       {Every: MaxEvery + time.Millisecond},
		"Every is 1.000001s; whole":     {Every: time.Second + time.Microsecond},
		"Offset is 1s; it has to be":    {Every: time.Second, Offset: time.Second},
		"Offset is 1µs; whole":          {Every: time.Second, Offset: time.Microsecond},
		"which is too far away":         {Every: time.Second, Start: time.UnixMilli(math.MaxInt64 / 2)},
		"no ticks before 1970":          {Every: time.Second, End: time.Unix(0, 0)},
		"is not after Start":            {Every: time.Second, Start: time.Unix(5, 0), End: time.Unix(5, 0)},
		"First is 3":                    {Every: time.Second, First: 3},
		"Missed is 2":                   {Every: time.Second, Missed: 2},
		"Window is 1ms":                 {Every: time.Second, Window: time.Millisecond},
		"Window is -1s":                 {Every: time.Second, Window: -time.Second},
		"Window is 1.000001s; whole":    {Every: time.Second, Window: time.Second + time.Microsecond},
		"Info of type func() has no":    {Every: time.Second, Info: func() {}},
		"encoding it panicked":          {Every: time.Second, Info: panics{}},
		`Info "{" is not JSON`:          {Every: time.Second, Info: []byte("{")},
		"is not UTF-8":                  {Every: time.Second, Info: []byte("\"\xff\"")},
		"the limit is 65536":            {Every: time.Second, Info: strings.Repeat("x", MaxSpec)},
		"schedule: invalid spec":        {Cron: "61 * * * *"},
		"schedule: invalid spec: ":      {Cron: "0 0 30 2 *"},
		"invalid spec: cron expression": {Cron: "* * * * *", Zone: "No/Where", Every: 0, Info: 1, First: Soon, Missed: Skip},
	} {
		_, err := s.definition()
		require.ErrorIs(t, err, ErrSpec, says)
		if says != "invalid spec: cron expression" {
			require.ErrorContains(t, err, says)
		}
		_, err = s.Next(time.Now(), 1)
		require.ErrorIs(t, err, ErrSpec)
	}
}

type panics struct{}

func (panics) MarshalJSON() ([]byte, error) { panic("no") }

func TestNextTimesOfASpec(t *testing.T) {
	hourly := Spec{Name: "a", Every: time.Hour, Offset: 5 * time.Minute, End: time.Unix(3*3600, 0)}
	times, err := hourly.Next(time.Unix(0, 0), 9)
	require.NoError(t, err)
	require.Equal(t, []time.Time{time.Unix(300, 0).UTC(), time.Unix(3900, 0).UTC(), time.Unix(7500, 0).UTC()}, times)
	times, err = hourly.Next(time.Unix(300, 0), -1)
	require.NoError(t, err)
	require.Empty(t, times)
	nightly := Spec{Cron: "0 3 * * *", Zone: "Europe/Berlin"}
	times, err = nightly.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), 1)
	require.NoError(t, err)
	require.Equal(t, []time.Time{time.Date(2026, 1, 1, 2, 0, 0, 0, time.UTC)}, times)
	often := Spec{Every: MinEvery}
	times, err = often.Next(time.Now(), math.MaxInt)
	require.NoError(t, err)
	require.Len(t, times, maxNext)
}

func TestInfoIsDecoded(t *testing.T) {
	type check struct{ URL string }
	s := Spec{Name: "a", Info: check{"http://a"}}
	got, err := DecodeInfo[check](&s)
	require.NoError(t, err)
	require.Equal(t, check{"http://a"}, got)
	s.Info = json.RawMessage(`{"URL":"http://b"}`)
	got, err = DecodeInfo[check](&s)
	require.NoError(t, err)
	require.Equal(t, check{"http://b"}, got)
	got, err = DecodeInfo[check](&Spec{})
	require.NoError(t, err)
	require.Zero(t, got)
	_, err = DecodeInfo[int](&s)
	require.ErrorContains(t, err, `the info of "a" is no int`)
	_, err = DecodeInfo[int](&Spec{Info: []byte("{")})
	require.ErrorIs(t, err, ErrSpec)
}
