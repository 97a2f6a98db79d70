package recovery

import (
	"fmt"
	"os"
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

// journal is what one run of a process owned, in a file that is mapped into memory.
type journal struct {
	party string
	file  []byte
	pages []page

	mu     sync.Mutex
	leases map[api.Lease]*page // those not known to have ended
	used   int
}

// page is one ownership. Its fields are read and written atomically, by several processes.
type page struct {
	Stream uint64 // number + 1; 0: not written yet. It is written last
	Token  uint64
	From   int64 // on the clock monotonic
	Until  int64
	State  int64
}

// States of a page.
const (
	owned    = iota
	ending   // Done was called; what came of it is not known
	finished // Done succeeded
	given    // ended otherwise
)

const pageSize = int(unsafe.Sizeof(page{}))

// openJournal maps a file with room for so many ownerships; it is made if it is not there.
func openJournal(path, party string, pages int) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(int64(pages * pageSize)); err != nil {
		return nil, err
	}
	m, err := syscall.Mmap(int(f.Fd()), 0, pages*pageSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return &journal{
		party: party, file: m, pages: unsafe.Slice((*page)(unsafe.Pointer(&m[0])), pages), leases: make(map[api.Lease]*page),
	}, nil
}

func (j *journal) close() { _ = syscall.Munmap(j.file) }

// add notes a new ownership; nil if it has ended already.
func (j *journal) add(l api.Lease) *page {
	at := monotonic()
	if l.Remaining() <= 0 {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.used == len(j.pages) {
		panic("the journal is full")
	}
	p := &j.pages[j.used]
	j.used++
	atomic.StoreUint64(&p.Token, uint64(l.Token()))
	atomic.StoreInt64(&p.From, int64(at))
	atomic.StoreInt64(&p.Until, int64(at))
	atomic.StoreUint64(&p.Stream, uint64(number(l.Stream()))+1)
	j.leases[l] = p
	return p
}

// look notes which ownerships last. The moment noted is the one before the question.
func (j *journal) look() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for l, p := range j.leases {
		if !extend(l, p) {
			delete(j.leases, l)
		}
	}
}

// extend notes that an ownership lasts; call it right before ending one.
func extend(l api.Lease, p *page) bool {
	at := int64(monotonic())
	if l.Remaining() <= 0 {
		return false
	}
	for {
		old := atomic.LoadInt64(&p.Until)
		if old >= at || atomic.CompareAndSwapInt64(&p.Until, old, at) {
			return true
		}
	}
}

func (p *page) is(state int64) { atomic.StoreInt64(&p.State, state) }

// entry is a page as it was read.
type entry struct {
	overlap.Record
	number int
	state  int64
}

// read is what stands in the journal by now.
func (j *journal) read() (out []entry) {
	for i := range j.pages {
		p := &j.pages[i]
		n := atomic.LoadUint64(&p.Stream)
		if n == 0 {
			return out
		}
		out = append(out, entry{
			Record: overlap.Record{
				Party: j.party, Stream: stream(int(n - 1)), Token: api.Token(atomic.LoadUint64(&p.Token)),
				From: time.Duration(atomic.LoadInt64(&p.From)), Until: time.Duration(atomic.LoadInt64(&p.Until)),
			},
			number: int(n - 1),
			state:  atomic.LoadInt64(&p.State),
		})
	}
	return out
}

// stream is the name of the n-th stream, number the reverse.
func stream(n int) string { return "s-" + strconv.Itoa(n) }

func number(stream string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(stream, "s-"))
	if err != nil {
		panic(fmt.Sprintf("stream %q", stream))
	}
	return n
}
