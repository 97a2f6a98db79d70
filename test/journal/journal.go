package journal

import (
	"errors"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/overlap"
)

// Journal records what one run of a process owned. Its methods may be called from several goroutines, and several processes
// may open the file while one of them writes.
type Journal struct {
	party  string
	prefix string
	file   []byte
	pages  []Page

	mu     sync.Mutex
	leases map[api.Lease]*Page // not known to have ended
	used   int
}

// Open maps a file with room for this many ownerships, and creates it if it does not exist. The names of streams are a prefix
// and a number. Close the journal after the last use.
func Open(path, party, prefix string, pages int) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	m, err := mapped(f, pages*pageSize)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("journal: %s: %w", path, err)
	}
	return &Journal{
		party: party, prefix: prefix, file: m,
		pages: unsafe.Slice((*Page)(unsafe.Pointer(&m[0])), pages), leases: make(map[api.Lease]*Page),
	}, nil
}

func mapped(f *os.File, size int) ([]byte, error) {
	if err := f.Truncate(int64(size)); err != nil {
		return nil, err
	}
	return syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
}

// Close unmaps the journal. The file stays.
func (j *Journal) Close() error { return syscall.Munmap(j.file) }

// Party returns whose journal it is.
func (j *Journal) Party() string { return j.party }

// Add notes a new ownership. It returns nil if the ownership has ended already, and panics if there is no room left.
func (j *Journal) Add(l api.Lease) *Page { return j.AddWork(l, 0) }

// Knows reports whether a name is the prefix and a number, so that ownerships of the stream can be noted.
func (j *Journal) Knows(stream string) bool {
	number, ok := strings.CutPrefix(stream, j.prefix)
	_, err := strconv.ParseUint(number, 10, 63)
	return ok && err == nil
}

// AddWork is Add with the number of the announcement that led to the ownership.
func (j *Journal) AddWork(l api.Lease, work int) *Page {
	at := Monotonic()
	if l.Remaining() <= 0 {
		return nil
	}
	number, err := strconv.ParseUint(strings.TrimPrefix(l.Stream(), j.prefix), 10, 63)
	if err != nil {
		panic(fmt.Sprintf("journal: stream %q is not %q and a number", l.Stream(), j.prefix))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.used == len(j.pages) {
		panic("journal: full")
	}
	p := &j.pages[j.used]
	j.used++
	atomic.StoreUint64(&p.token, uint64(l.Token()))
	atomic.StoreUint64(&p.work, uint64(work))
	atomic.StoreInt64(&p.from, int64(at))
	atomic.StoreInt64(&p.until, int64(at))
	atomic.StoreUint64(&p.stream, number+1)
	j.leases[l] = p
	return p
}

// Page returns the page of an ownership that was added and is not known to have ended, or nil.
func (j *Journal) Page(l api.Lease) *Page {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.leases[l]
}

// Look extends all ownerships that last.
func (j *Journal) Look() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for l, p := range j.leases {
		if !p.Extend(l) {
			delete(j.leases, l)
		}
	}
}

// Entry is a page as read.
type Entry struct {
	overlap.Record
	Number int // of the stream
	Work   int // of the announcement; 0: none
	State  State
}

// Read returns everything in the journal, in the order in which it was added.
func (j *Journal) Read() (out []Entry) {
	for p, number := range j.written {
		out = append(out, Entry{
			Record: overlap.Record{
				Party: j.party, Stream: j.prefix + strconv.Itoa(number), Token: api.Token(atomic.LoadUint64(&p.token)),
				From: time.Duration(atomic.LoadInt64(&p.from)), Until: time.Duration(atomic.LoadInt64(&p.until)),
			},
			Number: number,
			Work:   int(atomic.LoadUint64(&p.work)),
			State:  State(atomic.LoadInt64(&p.state)),
		})
	}
	return out
}

// Len returns how many ownerships were added. It is cheap, however many there are.
func (j *Journal) Len() int {
	return sort.Search(len(j.pages), func(i int) bool { return atomic.LoadUint64(&j.pages[i].stream) == 0 })
}

// Full reports whether there is no room left, so that ownerships may be missing.
func (j *Journal) Full() bool { return j.Len() == len(j.pages) }

// Held returns how many streams have an ownership that was extended at this moment or later and has not ended.
func (j *Journal) Held(since time.Duration) int {
	streams := make(map[int]bool)
	for p, number := range j.written {
		if atomic.LoadInt64(&p.until) >= int64(since) && State(atomic.LoadInt64(&p.state)) == Owned {
			streams[number] = true
		}
	}
	return len(streams)
}

// written yields the complete pages, with the number of the stream.
func (j *Journal) written(yield func(p *Page, number int) bool) {
	for i := range j.pages {
		p := &j.pages[i]
		n := atomic.LoadUint64(&p.stream)
		if n == 0 || !yield(p, int(n-1)) {
			return
		}
	}
}
