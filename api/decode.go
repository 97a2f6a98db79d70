package api

import (
	"encoding/json"
	"fmt"
)

// DecodeInfo decodes what was announced along with a stream into a T, by the
// rules of encoding/json. A stream announced with no info decodes like "{}":
// the zero value of a struct or map.
//
// A failure is [Permanent], since the same bytes would fail again: a handler
// may return it as it is, and the announcement goes to the dead letters. The
// value beside an error is the zero T.
func DecodeInfo[T any](l Lease) (T, error) {
	var v T
	if err := json.Unmarshal(l.Info(), &v); err != nil {
		var zero T
		return zero, Permanent(fmt.Errorf("streamlease: decode info of stream %q: %w", l.Stream(), err))
	}
	return v, nil
}
