package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestNamesAreShownSoThatNoneLooksLikeAnother(t *testing.T) {
	for name, want := range map[string]string{
		"user-1":                  "user-1",
		"":                        unreadable,
		"münchen 北京":              "münchen 北京",
		" a":                      `" a"`,
		`"a"`:                     `"\"a\""`,
		`\x1b`:                    `"\\x1b"`,
		"\x1b[2J":                 `"\x1b[2J"`,
		"a\nb":                    `"a\nb"`,
		"a\u202eb":                `"a\u202eb"`,
		"a\u009bb":                `"a\u009bb"`,
		"a\xffb":                  `"a\xffb"`,
		strings.Repeat("a", 60):   strings.Repeat("a", 60),
		strings.Repeat("ä", 61):   strings.Repeat("ä", 40) + "…" + strings.Repeat("ä", 19) + " (122 bytes)",
		strings.Repeat("\xff", 8): `"\xff\xff\xff\xff\xff\xff\xff\xff"`,
	} {
		require.Equal(t, want, named(name))
		require.Equal(t, want, visible(want), "what was escaped is not escaped again")
	}
	require.LessOrEqual(t, len(named(strings.Repeat("\x1b", 64<<10))), 300)
}

func FuzzNothingReachesTheTerminalUnescaped(f *testing.F) {
	f.Add("a\x1b[31m\u202e\U000e0001\xff")
	f.Fuzz(func(t *testing.T, name string) {
		for _, text := range []string{visible(name), named(name), namedIn(name, 5)} {
			require.True(t, utf8.ValidString(text))
			for _, r := range text {
				require.True(t, unicode.IsPrint(r), "%q", text)
			}
		}
		var b strings.Builder
		require.NoError(t, writeJSON(&b, streamOf(name), ""))
		for _, r := range strings.TrimSuffix(b.String(), "\n") {
			require.True(t, unicode.IsPrint(r), "%q", b.String())
		}
		var back stream
		require.NoError(t, json.Unmarshal([]byte(b.String()), &back))
		if utf8.ValidString(name) {
			require.Equal(t, name, back.Stream)
		} else {
			require.Equal(t, name, string(back.Base64))
		}
	})
}

func TestTimes(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 340 * time.Millisecond: "340 ms", 12*time.Second + 900*time.Millisecond: "12 s", 192 * time.Second: "3 m 12 s",
		125 * time.Minute: "2 h 5 m", 76 * time.Hour: "3 d 4 h", -time.Minute: "-1 m 0 s",
	} {
		require.Equal(t, want, span(d))
	}
	now := time.Date(2026, 11, 27, 3, 0, 0, 0, time.Local)
	require.Equal(t, "3 m 12 s ago (02:56:48)", moment(now.Add(-192*time.Second), now))
	require.Equal(t, "in 2 d 0 h (2026-11-29 03:00:00)", moment(now.Add(48*time.Hour), now))
	require.Equal(t, "-", moment(time.Time{}, now))
	require.Equal(t, "1,234,567", number(1234567))
	require.Equal(t, "-1,007", number(-1007))
}
