package page

import (
	"encoding/xml"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func written(t *testing.T, p Page) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, p.Write(&b))
	return b.String()
}

func sample() Page {
	return Page{
		Title: "Streams & <pods>", Machine: "two cores", Made: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC),
		Parts: []Part{{
			Name: "hold", Command: "bench hold", Redis: "7",
			Plots: []Plot{
				Lines{Title: "CPU", X: "streams", Y: "share", LogX: true, Series: []Series{
					{Name: "Redis", Points: []Point{{1000, 1}, {100_000, 4.5}}},
					{Name: "client", Points: []Point{{1000, .5}, {100_000, 3}}},
				}},
				Bars{Title: "commands", Log: true, Bars: []Bar{{Name: "few", Value: 15, Text: "15"}, {Name: "many", Value: 10_000, Text: "10,000", Mark: 1}}},
			},
			Blocks: []Block{
				{Table: "<table><tr><td>1</td></tr></table>"},
				{Goals: []Goal{{true, "a"}, {false, "b < c"}}},
				{Text: "note <script>"},
			},
		}},
	}
}

func TestThePageIsWholeAndNeedsNothingElse(t *testing.T) {
	text := written(t, sample())
	require.Contains(t, text, "Streams &amp; &lt;pods&gt;")
	require.Contains(t, text, "<table><tr><td>1</td></tr></table>")
	require.Contains(t, text, "✓ met</b>a")
	require.Contains(t, text, "✗ missed</b>b &lt; c")
	require.Contains(t, text, "1 of 2 goals met")
	require.Contains(t, text, "note &lt;script&gt;")
	require.NotContains(t, text, "<script")
	require.NotContains(t, text, "ZgotmplZ", "the template refused a value")
	require.Empty(t, regexp.MustCompile(`(?i)(src|href)="[^#]|@import|url\(`).FindAllString(text, -1), "something is fetched")
	require.Contains(t, text, "prefers-color-scheme: dark")
	for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(text, -1) {
		require.NoError(t, xml.Unmarshal([]byte(svg), new(struct{})), svg)
	}
}

func TestSeriesDifferByMarkAndDash(t *testing.T) {
	_, data := sample().Parts[0].Plots[0].drawn()
	d := data.(drawnLines)
	require.NotEqual(t, d.Paths[0].Class, d.Paths[1].Class)
	require.NotEqual(t, d.Paths[0].Swatch(), d.Paths[1].Swatch())
	require.Equal(t, "Redis: 4.5 at 100k", d.Paths[0].Marks[1].Text)
}

func TestPlotsOfNothingAreDrawn(t *testing.T) {
	p := Page{Parts: []Part{{Plots: []Plot{
		Lines{}, Lines{LogX: true, LogY: true}, Bars{}, Bars{Log: true},
		Lines{Series: []Series{{Points: []Point{{0, 0}}}, {Points: []Point{{math.NaN(), 1}}}}},
		Bars{Log: true, Bars: []Bar{{Value: 0}}},
	}}}}
	text := written(t, p)
	require.NotContains(t, text, "NaN")
	require.NotContains(t, text, "Inf")
}

func TestAxesHaveRoundTicksAndHoldAllValues(t *testing.T) {
	for _, x := range []struct {
		values []float64
		log    bool
		ticks  []string
	}{
		{[]float64{3, 47}, false, []string{"0", "10", "20", "30", "40", "50"}},
		{[]float64{.012, .031}, false, []string{"0", "0.01", "0.02", "0.03", "0.04"}},
		{[]float64{1000, 100_000}, true, []string{"1k", "10k", "100k"}},
		{[]float64{15, 9899}, true, []string{"10", "100", "1k", "10k"}},
		{[]float64{-2, 2}, false, []string{"-2", "-1", "0", "1", "2"}},
	} {
		a := newAxis(x.values, x.log, 0, 100)
		var got []string
		for _, tick := range a.ticks() {
			got = append(got, tick.Text)
		}
		require.Equal(t, x.ticks, got)
		for _, v := range x.values {
			require.GreaterOrEqual(t, a.position(v), 0.)
			require.LessOrEqual(t, a.position(v), 100.)
		}
	}
}

func TestShortNumbers(t *testing.T) {
	for v, want := range map[float64]string{0: "0", .5: "0.5", 1500: "1.5k", 2e6: "2M", 12.345: "12.35", 3e9: "3G", .00123: "0.00123"} {
		require.Equal(t, want, short(v))
	}
}
