package timing

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatIsRefusedAndWhatTheErrorSays(t *testing.T) {
	for _, c := range []struct{ expression, zone, says string }{
		{"", "", `cron expression "" is empty; write five fields (minute, hour, day of month, month, day of week), or use Every`},
		{"TZ=UTC", "", `cron expression "TZ=UTC" begins with a zone; set Zone instead`},
		{" CRON_TZ=Europe/Berlin 0 0 * * *", "", `begins with a zone; set Zone instead`},
		{"@every 5m", "", `cron expression "@every 5m" is an interval; set Every instead`},
		{"@every", "", `is an interval; set Every instead`},
		{"@reboot", "", `has no time`},
		{"@dialy", "", `cron expression "@dialy" is none of @yearly, @annually, @monthly, @weekly, @daily, @midnight and @hourly; ` +
			`write one of them, or five fields`},
		{"@daily 5", "", `is none of @yearly`},
		{"0 * * *", "", `has 4 fields; write five: minute, hour, day of month, month, day of week`},
		{"0 0 * * * *", "", `has 6 fields; write five: minute, hour, day of month, month, day of week; for seconds, use Every`},
		{"61 * * * *", "", `cron expression "61 * * * *" has "61" as its minute: end of range (61) above maximum (59): 61; ` +
			`write values of 0 to 59, as in "5", "1-5", "1,5", "*" or "*/5"`},
		{"0 24 * * *", "", `has "24" as its hour`},
		{"0 0 0 * *", "", `has "0" as its day of month`},
		{"0 0 * 13 *", "", `has "13" as its month`},
		{"0 0 * * 7", "", `write values of 0 to 6 (0 is Sunday), or sun to sat`},
		{"0 0 * * mon,xyz", "", `has "mon,xyz" as its day of week`},
		{"0 0 L * *", "", `has "L" as its day of month`},
		{"5-1 * * * *", "", `has "5-1" as its minute`},
		{"*/0 * * * *", "", `has "*/0" as its minute`},
		{"*/ * * * *", "", `has "*/" as its minute`},
		{"*-5 * * * *", "", `has "*-5" as its minute: nothing but a step may follow "*"`},
		{"+5 * * * *", "", `has "+5" as its minute: a value has a sign`},
		{", * * * *", "", `has "," as its minute: a value is missing beside a comma`},
		{"5, * * * *", "", `a value is missing beside a comma`},
		{"0 0\n* * *", "", `is not plain ASCII`},
		{"0 0\u00a0* * *", "", `is not plain ASCII`},
		{"0 0 30 2 *", "", `cron expression "0 0 30 2 *" never fires: none of its months has such a day; change its day of month or its month`},
		{"0 0 31 2,4,6,9,11 *", "", `never fires`},
		{strings.Repeat("1,", 400) + "1 * * * *", "", `(its beginning) has 809 bytes; write at most 512`},
		{"0 0 * * *", "Local", `zone "Local" differs between processes; write an IANA name such as "Europe/Berlin", or "" for UTC`},
		{"0 0 * * *", "Europe/Berlni", `zone "Europe/Berlni" is not in the zone database of this process`},
		{"0 0 * * *", "../../etc/passwd", `is not in the zone database`},
		{"0 0 * * *", "/etc/localtime", `is not in the zone database`},
		{"0 0 * * *", "-", `is not in the zone database`},
	} {
		_, err := NewCron(c.expression, c.zone, 0, 0)
		require.ErrorContains(t, err, c.says)
	}
}

func TestWhatIsTheSame(t *testing.T) {
	for _, c := range [][2]string{
		{"@yearly", "0 0 1 1 *"},
		{"@annually", "0 0 1 jan *"},
		{"@monthly", "0 0 1 * *"},
		{"@weekly", "0 0 * * 0"},
		{"@daily", "0 0 * * *"},
		{"@midnight", "  0\t0 * * * "},
		{"@hourly", "0 * * * *"},
		{"0 0-23 * * *", "0 * * * *"},
		{"0 0 * * SUN-sat", "0 0 * * 0-6"},
		{"0 0 1 * ?", "0 0 1 * *"},
		{"0 */1 * * *", "0 * * * *"},
	} {
		a, err := parse(c[0])
		require.NoError(t, err)
		b, err := parse(c[1])
		require.NoError(t, err)
		require.Equal(t, a, b, c)
	}
}

// Whatever an expression contains: it is refused with an error that says which, or it fires, ever later.
func FuzzCron(f *testing.F) {
	for _, expression := range []string{
		"*/15 2 * * *", "0 0 29 2 *", "0 0 30 2 *", "@weekly", "@every 1s", "TZ=UTC", "CRON_TZ=", "1-5,7/3 * 1,31 jan-mar mon",
		"? * * * 0-6/2", "0/0 * * * *",
		"99999999999999999999 * * * *", "*/9223372036854775807 * * * *", "0 0 31 */2 5", "-1 * * * *", ", , , , ,", "@", "\x00",
	} {
		f.Add(expression, uint8(1), int64(1_790_000_000_000))
	}
	f.Fuzz(func(t *testing.T, expression string, zone uint8, at int64) {
		timing, err := NewCron(expression, zones[int(zone)%len(zones)], 0, 0)
		if err != nil {
			require.ErrorContains(t, err, "cron expression ")
			return
		}
		for range 20 {
			next, ok := timing.Next(at)
			if !ok {
				require.Greater(t, at, int64(horizon-gap*31*day*1000))
				return
			}
			require.Greater(t, next, at)
			require.Zero(t, next%1000)
			if at >= 0 {
				between, _ := timing.Next(at + (next-at)/2)
				if (next-at)/2 > 0 && next-at > 1 {
					require.Equal(t, next, between)
				}
			}
			last, n := timing.Last(at, next)
			require.Equal(t, next, last)
			require.Equal(t, 1, n)
			at = next
		}
	})
}
