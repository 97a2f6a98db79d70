package handling

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/streamlease/streamlease/api"
)

// id is the ID of a message.
type id struct{ ms, seq uint64 }

func parseID(text string) (x id, err error) {
	ms, seq, found := strings.Cut(text, "-")
	if !found {
		return x, fmt.Errorf("%q is not the ID of a message", text)
	}
	var bad error
	x.ms, err = strconv.ParseUint(ms, 10, 64)
	x.seq, bad = strconv.ParseUint(seq, 10, 64)
	return x, errors.Join(err, bad)
}

func (x id) less(y id) bool { return x.ms < y.ms || x.ms == y.ms && x.seq < y.seq }

func (x id) String() string { return fmt.Sprint(x.ms, "-", x.seq) }

// kind is what a note says.
type kind uint32

const (
	handled  kind = iota // a message was handled, by an owner whose lease was valid after that moment
	started              // an ownership began
	gap                  // the feed said that messages are missing, or come again: reading goes on after the ID
	released             // an ownership ended, and the stream is about to be handed back
	lost                 // an ownership ended otherwise
	stalled              // the process did not run: its ID has since when, and there is no lease
)

// note is one line in the notes of a process.
type note struct {
	kind   kind
	stream uint32
	id     id
	token  api.Token
	at     time.Duration // on the clock of journals, which all processes share
}

// noteSize is the length of a note in a file.
const noteSize = 40

func (n note) appendTo(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(n.kind))
	b = binary.LittleEndian.AppendUint32(b, n.stream)
	for _, x := range []uint64{n.id.ms, n.id.seq, uint64(n.token), uint64(n.at)} {
		b = binary.LittleEndian.AppendUint64(b, x)
	}
	return b
}

func noteOf(b []byte) note {
	u := binary.LittleEndian
	return note{
		kind: kind(u.Uint32(b)), stream: u.Uint32(b[4:]), id: id{u.Uint64(b[8:]), u.Uint64(b[16:])},
		token: api.Token(u.Uint64(b[24:])), at: time.Duration(u.Uint64(b[32:])),
	}
}
