package fired

import (
	"encoding/binary"
	"os"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/bench/notes"
	"github.com/streamlease/streamlease/test/journal"
)

// Kind is what a note says.
type Kind uint32

// Kinds of notes.
const (
	Fired    Kind = iota // a handler began, and its process was the owner then
	Manual               // likewise, of a tick that was asked for
	Ended                // a handler that took long has returned
	Failed               // a handler has returned an error
	Opened               // an ownership began: Nominal is the tick that was saved last, 0 for none
	Changed              // the owner knows of an edit
	Released             // an ownership ended, and the schedule is handed back
	Lost                 // an ownership ended otherwise
	Deleted              // an ownership ended, since the schedule was deleted or announced again
	Stalled              // the process did not run until At: Nominal is since when, in nanoseconds
)

// Note is one line in the notes of a process.
type Note struct {
	Kind       Kind
	Schedule   uint32
	Nominal    int64 // milliseconds since the epoch
	Token      api.Token
	At         time.Duration // on the clock of journals, which all processes of a machine share
	Late       time.Duration // from the nominal time to At, by the server's clock
	Missed     uint32        // what the tick said
	Generation uint32        // of the spec
}

// noteSize is the length of a note in a file.
const noteSize = 48

func (n Note) appendTo(b []byte) []byte {
	u := binary.LittleEndian
	b = u.AppendUint32(u.AppendUint32(b, uint32(n.Kind)), n.Schedule)
	for _, x := range []uint64{uint64(n.Nominal), uint64(n.Token), uint64(n.At), uint64(n.Late)} {
		b = u.AppendUint64(b, x)
	}
	return u.AppendUint32(u.AppendUint32(b, n.Missed), n.Generation)
}

func noteOf(b []byte) Note {
	u := binary.LittleEndian
	return Note{
		Kind: Kind(u.Uint32(b)), Schedule: u.Uint32(b[4:]), Nominal: int64(u.Uint64(b[8:])), Token: api.Token(u.Uint64(b[16:])),
		At: time.Duration(u.Uint64(b[24:])), Late: time.Duration(u.Uint64(b[32:])), Missed: u.Uint32(b[40:]), Generation: u.Uint32(b[44:]),
	}
}

// Log is where a process notes. It may be used by several goroutines.
type Log struct{ file *os.File }

// OpenLog opens the file at path for notes.
func OpenLog(path string) (Log, error) {
	f, err := notes.Open(path)
	return Log{f}, err
}

// Note adds a note. Its time is set to now unless it has one.
func (l Log) Note(n Note) error {
	if n.At == 0 {
		n.At = journal.Monotonic()
	}
	_, err := l.file.Write(n.appendTo(make([]byte, 0, noteSize)))
	return err
}

// Close closes the file.
func (l Log) Close() error { return l.file.Close() }

// Notes are those in the file at path, for who reads it.
func Notes(path string) *notes.Tail[Note] {
	return &notes.Tail[Note]{Path: path, Size: noteSize, Parse: noteOf}
}
