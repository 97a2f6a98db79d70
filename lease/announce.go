package lease

import (
	"fmt"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
)

// AnnounceUnowned returns the call that announces a stream unless it is owned, or last, which the caller announced before, stands; "": none
// is known. fields are names and values in turn.
func AnnounceUnowned(layout *cluster.Layout, stream, last string, fields []string) Call {
	k := layout.Keys(layout.Of(stream))
	return Call{
		Script: scriptAnnounce,
		Keys:   []string{k.Input, k.Lease(stream), k.Lease("")},
		Args:   append([]string{layout.Group(), last}, fields...),
	}
}

// ParseAnnounced parses the answer: the entry that was announced, or stands; "" if the stream is owned.
func ParseAnnounced(result rueidis.RedisResult) (entry string, err error) {
	answer, err := result.AsStrSlice()
	switch {
	case err != nil:
		return "", err
	case len(answer) == 2 && (answer[0] == "o" || (answer[0] == "a" || answer[0] == "s") && isID(answer[1])):
		return answer[1], nil
	}
	return "", fmt.Errorf("announce: malformed answer %.80q", answer)
}
