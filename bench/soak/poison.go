package soak

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/test/poison"
)

const (
	// poisonEvery and largeEvery are the average time between two such entries in session TTLs.
	poisonEvery = 0.2
	largeEvery  = 1.5

	poisonFields = 6_000 // scripts can unpack some 7,000 values
	poisonBytes  = 64 << 10
	largeFields  = 50_000
	largeBytes   = 4 << 20
	// largeWithin is the memory in bytes above which no more large entries are sent to the server.
	largeWithin = 128 << 20

	poisonData = 64 // random bytes that determine an entry
)

// poisoner is a producer that sends entries which no producer should send. Entries with a readable announcement of one of our streams may
// end as dead letters or be done; the others must become dead letters.
type poisoner struct {
	producer producer.Producer
	store    *store
	rnd      *rand.Rand
	small    *schedule // nil: none are sent
	large    *schedule
	work     func(stream int) int // returns the number of the next announcement of a stream

	sent       map[string]int // by kind
	announced  map[announcement]bool
	unreadable int
}

// schedule is when the next entry of a kind is due, from the beginning of the storm, and the average time between two.
type schedule struct {
	at, every time.Duration
}

// due reports whether an entry is due, and then schedules the next one.
func (a *schedule) due(passed time.Duration, rnd *rand.Rand) bool {
	if a == nil || passed < a.at {
		return false
	}
	a.at += time.Duration(rnd.ExpFloat64() * float64(a.every))
	return true
}

// next makes an entry if one is due; else fields is nil.
func (p *poisoner) next(ctx context.Context, passed time.Duration) (input string, fields []string) {
	if p.small.due(passed, p.rnd) {
		return p.entry(poison.Kinds(false), poisonFields, poisonBytes)
	}
	if !p.large.due(passed, p.rnd) {
		return "", nil
	}
	if used, err := p.used(ctx); err != nil || used > largeWithin {
		return "", nil // the server may be down; the next one is due soon
	}
	return p.entry(poison.Kinds(true), largeFields, largeBytes)
}

func (p *poisoner) entry(kinds []byte, maxFields, maxBytes int) (input string, fields []string) {
	stream := p.rnd.IntN(p.store.streams)
	m := poison.Maker{Service: p.producer.Service, MaxFields: maxFields, MaxBytes: maxBytes, Announce: func(fill int) string {
		which := announcement{stream, p.work(stream)}
		p.announced[which] = true
		info, err := json.Marshal(pod.Task{Work: which.work, Fill: strings.Repeat("x", fill)})
		if err != nil {
			panic(err) // it is a number and a text
		}
		return `{"DataStreamName":` + strconv.Quote(p.producer.Stream(stream)) + `,"Info":` + string(info) + `}`
	}}
	data := []byte{kinds[p.rnd.IntN(len(kinds))]}
	for len(data) < poisonData {
		data = binary.LittleEndian.AppendUint64(data, p.rnd.Uint64())
	}
	e, _ := m.Next(data)
	p.sent[e.Kind]++
	if !e.Announces {
		p.unreadable++
	}
	return p.store.layout.Keys(p.store.layout.Of(p.producer.Stream(stream))).Input, e.Fields
}

// used is the memory that the server uses, in bytes.
func (p *poisoner) used(ctx context.Context) (int, error) {
	text, err := p.store.client.Do(ctx, p.store.client.B().Info().Section("memory").Build()).ToString()
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(text, "used_memory:")
	number, _, _ := strings.Cut(rest, "\r\n")
	n, err := strconv.Atoi(number)
	if !ok || err != nil {
		return 0, fmt.Errorf("INFO has no used_memory: %w", err)
	}
	return n, nil
}

// add adds an entry with these fields.
func (s *store) add(ctx context.Context, input string, fields []string) error {
	return s.client.Do(ctx, s.client.B().Arbitrary("XADD").Keys(input).Args("*").Args(fields...).Build()).Error()
}
