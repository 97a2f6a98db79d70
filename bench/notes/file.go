package notes

import (
	"errors"
	"io"
	"os"
)

// Open opens the file at path for notes, which are added. What was written is the kernel's, so it outlives the process.
func Open(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
}

// Tail is the notes of one process, for who reads them while they are written. All have the same length.
type Tail[N any] struct {
	Path  string
	Size  int // bytes of a note
	Parse func(text []byte) N
	read  int64 // how many bytes were read so far
}

// More returns the notes that were written since the last call. A process that has not started yet has none.
func (t *Tail[N]) More() (all []N, err error) {
	f, err := os.Open(t.Path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Seek(t.read, io.SeekStart); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(f)
	for ; len(text) >= t.Size; text = text[t.Size:] { // the last one may not be complete yet
		all = append(all, t.Parse(text[:t.Size]))
		t.read += int64(t.Size)
	}
	return all, err
}
