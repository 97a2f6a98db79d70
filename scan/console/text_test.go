package console

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestVisible(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "orders:7": "orders:7", "größe 数": "größe 数", "a\x00b": `a\x00b`, "\u202ex": `\u202ex`, "\xff": `\xff`, "\ufffd": "\ufffd",
		"a\u00a0b": `a\u00a0b`, "\U000e0041": `\U000e0041`, "\u200d": `\u200d`, "x\ufe0f": `x\ufe0f`, "\u3164": `\u3164`,
	} {
		require.Equal(t, want, visible(text))
	}
}

func FuzzVisible(f *testing.F) {
	f.Add("a\x00\u202e\xff"+strings.Repeat("x", 600), 10)
	f.Fuzz(func(t *testing.T, text string, most int) {
		most = 3 + max(most, 0)%100
		shown := visible(text)
		require.True(t, utf8.ValidString(shown))
		for _, r := range shown {
			require.True(t, r == ' ' || unicode.IsGraphic(r) && !hidden(r), "%U", r)
		}
		require.LessOrEqual(t, utf8.RuneCountInString(cutMiddle(text, most)), most+1)
	})
}

func TestNumbersHaveUnits(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0 ms", 999 * time.Millisecond: "999 ms", 2500 * time.Millisecond: "2.5 s", 59 * time.Second: "59 s", 200 * time.Second: "3 min 20 s",
		time.Hour: "1 h", 26*time.Hour + 5*time.Minute: "26 h 5 min", 72 * time.Hour: "3 days", -time.Hour: "0 ms",
	} {
		require.Equal(t, want, span(d))
	}
	require.Equal(t, "1,234,567", count(1234567))
	require.Equal(t, "-1,000", count(-1000))
	require.Equal(t, "999", count(999))
	require.Equal(t, "0.50", number(0.5))
	require.Equal(t, "12.3", number(12.34))
	require.Equal(t, "123", number(123.4))
	require.Equal(t, "2 processes", plural(2, "process"))
	require.Equal(t, "1.5 KiB", bytesText(1536))
	require.Equal(t, "chat-0.ABCD", runOf("chat-0.ABCD-2"))
}
