package lockfile

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

var (
	// ErrHeld means that somebody else has the lock. The message says who, as far as the file does.
	ErrHeld = errors.New("held")

	// ErrUnfit means that the file cannot prove anything, whatever it says. The message says why.
	ErrUnfit = errors.New("unfit as a lock file")
)

// Run is one run of a process, or of a part of it, that had the lock.
type Run struct {
	Service string `json:"service"`
	Name    string `json:"name"`
}

// identity is what makes a lock the same lock.
type identity struct {
	Boot   string `json:"boot"`   // of the kernel that keeps it
	Device uint64 `json:"device"` // of the file
	Inode  uint64 `json:"inode"`
}

// content is what is in the file.
type content struct {
	identity
	PID  int   `json:"pid"`
	Runs []Run `json:"runs"`
}

const (
	// maxRuns bounds what is written: a process that ends again and again before it has used the proof leaves one run each time.
	maxRuns = 100
	// maxSize bounds what is read: the longest content is below it.
	maxSize = 256 << 10
)

// Lock is an exclusive lock on a file. Its methods are called by one goroutine at a time.
type Lock struct {
	file *os.File
	self identity
	past []Run
	why  string // past is empty though the file has content
}

// held are the locks of this process, with their paths. Being here, a lock that nobody refers to any more is not collected as
// garbage, which would release it.
var held sync.Map // *Lock → path

// Take locks a file, which it creates if necessary; the folder must exist. It does not wait. Errors match ErrHeld or ErrUnfit, or
// are those of the operating system.
func Take(path string) (*Lock, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	const attempts = 10
	for range attempts {
		l, err := take(path)
		if l != nil || err != nil {
			return l, err
		}
	}
	return nil, fmt.Errorf("%s is %w: somebody replaces it again and again", path, ErrUnfit)
}

// take returns nil if the file was replaced meanwhile.
func take(path string) (_ *Lock, err error) {
	const ours = 0o600
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, ours)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	l := &Lock{file: f}
	if l.self, err = identify(f); err != nil {
		return nil, fmt.Errorf("%s is %w: %w", path, ErrUnfit, err)
	}
	locked, err := tryLock(f)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	if !locked {
		return nil, fmt.Errorf("%s is %w by %s", path, ErrHeld, holder(f, path))
	}
	opened, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if there, statErr := os.Stat(path); statErr != nil || !os.SameFile(opened, there) {
		return nil, f.Close() // somebody deleted or replaced it between opening and locking
	}
	l.past, l.why = readPast(f, l.self)
	held.Store(l, path)
	return l, nil
}

// Past returns the runs that are proven to have ended, oldest first. Where the file has names that prove nothing, why says so.
func (l *Lock) Past() (runs []Run, why string) { return slices.Clone(l.past), l.why }

// Write replaces what the file says. The last of the runs is the caller's own; the others have ended, and whoever gets the lock
// next may rely on that. A run must be written before it is known under its name anywhere.
//
// After a failure, or if the process ends half-way, the file says nothing, or what it said before.
func (l *Lock) Write(runs ...Run) error {
	runs = runs[max(0, len(runs)-maxRuns):]
	text, err := json.Marshal(content{identity: l.self, PID: os.Getpid(), Runs: runs})
	if err != nil {
		return err
	}
	// The file is emptied first, so that it never has the beginning of one text and the end of another.
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	if _, err = l.file.WriteAt(append(text, '\n'), 0); err != nil {
		return errors.Join(err, l.file.Truncate(0))
	}
	return nil
}

// Release releases the lock. The file stays: a file that was deleted could be locked by two.
func (l *Lock) Release() error {
	held.Delete(l)
	return l.file.Close()
}

// read returns what a file says.
func read(f *os.File) (c content, err error) {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, maxSize))
	if err != nil {
		return c, err
	}
	if len(text) == 0 {
		return c, io.EOF
	}
	return c, json.Unmarshal(text, &c)
}

// readPast returns the runs that a file names, if its lock is this one, else why they do not count.
func readPast(f *os.File, self identity) (runs []Run, why string) {
	c, err := read(f)
	switch {
	case errors.Is(err, io.EOF):
		return nil, ""
	case err != nil:
		return nil, "it cannot be read: " + err.Error()
	case c.Boot != self.Boot:
		return nil, "it was written on another host, or before a reboot"
	case c.identity != self:
		return nil, "it is a copy, or the file system was mounted again"
	}
	return c.Runs, ""
}

// holder describes who has a lock.
func holder(f *os.File, path string) string {
	c, err := read(f)
	if err != nil || c.PID == 0 {
		return "another process"
	}
	mine := false
	held.Range(func(_, at any) bool {
		mine = at == path
		return !mine
	})
	if mine {
		return "another engine of this process"
	}
	who := Run{}
	if n := len(c.Runs); n > 0 {
		who = c.Runs[n-1]
	}
	return fmt.Sprintf("process %d, %s of service %s", c.PID, cmp.Or(who.Name, "not named"), cmp.Or(who.Service, "not named"))
}
