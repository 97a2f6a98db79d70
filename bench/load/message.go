package load

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Field is the name of the only field of a message.
const Field = "m"

// Size is the length of its value in bytes: the time, the number, and what fills it up.
const Size = 100

var filling = strings.Repeat("x", Size)

// Value is that of message number n, sent now. Clocks of processes on one machine are the same, so the reader can tell how long it took.
func Value(now time.Time, n int64) string {
	b := make([]byte, 0, Size)
	b = strconv.AppendInt(b, now.UnixNano(), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, n, 10)
	b = append(b, ' ')
	return string(append(b, filling[:max(0, Size-len(b))]...))
}

// Parse returns when the message with that value was sent, and its number.
func Parse(value string) (sent time.Time, n int64, err error) {
	at, rest, _ := strings.Cut(value, " ")
	number, _, _ := strings.Cut(rest, " ")
	ns, err := strconv.ParseInt(at, 10, 64)
	if err == nil {
		n, err = strconv.ParseInt(number, 10, 64)
	}
	if err != nil {
		return sent, 0, fmt.Errorf("not a message of this load: %.40q", value)
	}
	return time.Unix(0, ns), n, nil
}
