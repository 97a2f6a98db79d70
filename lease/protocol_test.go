package lease

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/servers"
)

// protocol is what a few consumers do to a few streams, in whatever order, calls sent late and twice among it; and what
// must then be true: the model is only told the answers.
type protocol struct {
	*harness
	rt *rapid.T

	consumers []string
	work      map[string]bool    // announced and not ended, by the number in its field "work"
	read      map[string]*Entry  // delivered, by ID
	owners    map[string]ownedBy // by stream
	older     *Script            // acquire as it runs before Redis 7
	greatest  api.Token
	settling  bool
	sent      []func() // every call so far, to be made again
	announced int
}

type ownedBy struct {
	consumer, entry string
	token           api.Token
	vanished        bool // its key: forgotten by a server that settles
}

func (p *protocol) consumer() string { return rapid.SampledFrom(p.consumers).Draw(p.rt, "consumer") }

// call makes a call now, and maybe again at any time.
func (p *protocol) call(f func()) {
	p.sent = append(p.sent, f)
	f()
}

func (p *protocol) announceOne() {
	p.announced++
	work := strconv.Itoa(p.announced)
	p.announce("s"+strconv.Itoa(rapid.IntRange(0, 3).Draw(p.rt, "stream")), "work", work)
	p.work[work] = true
}

func (p *protocol) deliver() {
	for _, e := range p.harness.read(p.consumer(), rapid.IntRange(1, 3).Draw(p.rt, "n")) {
		p.read[e.ID] = e
	}
}

// some is any entries that were ever delivered.
func (p *protocol) some() (entries []*Entry) {
	if len(p.read) == 0 {
		return nil
	}
	ids := make([]string, 0, len(p.read))
	for id := range p.read {
		ids = append(ids, id)
	}
	sortIDs(ids)
	for range rapid.IntRange(1, 3).Draw(p.rt, "n") {
		entries = append(entries, p.read[rapid.SampledFrom(ids).Draw(p.rt, "entry")])
	}
	return entries
}

func (p *protocol) take() {
	consumer, entries := p.consumer(), p.some()
	script := rapid.SampledFrom([]*Script{scriptAcquire, p.older}).Draw(p.rt, "script")
	p.call(func() {
		status, takes, err := p.store.acquire(p.ctx, script, 0, consumer, entries)
		require.NoError(p.rt, err)
		if p.settling {
			require.Equal(p.rt, SessionWait, status)
			return
		}
		require.Equal(p.rt, SessionLive, status)
		for i, take := range takes {
			p.took(consumer, entries[i], take)
		}
	})
}

func (p *protocol) took(consumer string, e *Entry, take Take) {
	owner, owned := p.owners[e.Stream]
	switch take.Verdict {
	case Acquired:
		if owned {
			require.Equal(p.rt, []string{owner.consumer, owner.entry}, []string{consumer, e.ID}, "taken from a living owner")
		}
		require.Greater(p.rt, take.Token, p.greatest)
		p.greatest = take.Token
		p.owners[e.Stream] = ownedBy{consumer: consumer, entry: e.ID, token: take.Token}
	case HeldByOne:
		require.True(p.rt, owned, "held by nobody")
		require.Equal(p.rt, owner.consumer+" "+owner.token.String(), take.Holder)
		require.Positive(p.rt, take.Left)
	case NotPending:
	default:
		require.Fail(p.rt, "verdict", "%+v", take)
	}
}

// token is the one an owner would use, or one that is out of date, or none.
func (p *protocol) token(e *Entry) string {
	owner := p.owners[e.Stream]
	return rapid.SampledFrom([]string{owner.token.String(), AnyToken, (owner.token - 1).String()}).Draw(p.rt, "token")
}

func (p *protocol) end(finish bool) {
	consumer := p.consumer()
	var items []Disposition
	for _, e := range p.some() {
		r := Disposition{Key: e.Key, Entry: e.ID, Token: p.token(e), Retries: KeepCount, Crashes: KeepCount}
		r.Dest = rapid.SampledFrom([]Dest{ToInput, ToLater, ToDeadLetters}).Draw(p.rt, "dest")
		if r.Dest == ToLater {
			r.Delay = aged
		}
		if finish && r.Token == AnyToken {
			r.Token = api.Token(1).String()
		}
		items = append(items, r)
	}
	p.call(func() {
		before := maps.Clone(p.owners)
		if finish {
			for i, o := range p.harness.done(consumer, items...) {
				p.ended(consumer, items[i], o, true, before)
			}
			return
		}
		for i, o := range p.harness.requeue(consumer, items...) {
			p.ended(consumer, items[i], o, false, before)
		}
	})
}

// ended judges what became of one entry of a batch; before is who owned what before the batch.
func (p *protocol) ended(consumer string, r Disposition, o Outcome, finish bool, before map[string]ownedBy) {
	e := p.read[r.Entry]
	owner, owned := p.owners[e.Stream]
	names := owned && owner.consumer == consumer && owner.entry == r.Entry
	switch o.Verdict {
	case Finished, Moved:
		if names {
			if !owner.vanished {
				require.Contains(p.rt, []string{AnyToken, owner.token.String()}, r.Token, "ended under an old token")
			}
			delete(p.owners, e.Stream)
		} else if finish {
			require.False(p.rt, owned && !owner.vanished, "acknowledged beside another's ownership")
		}
		if finish {
			delete(p.work, workOf(e))
		}
	case NotPending:
		require.False(p.rt, names, "an owner's entry is pending for it")
	case Owned:
		require.Contains(p.rt, before, e.Stream)
	default:
		require.Fail(p.rt, "verdict", "%c %s", o.Verdict, o.Reason)
	}
}

func workOf(e *Entry) string {
	for _, f := range e.Body {
		if f.Field == "work" {
			return f.Value
		}
	}
	return ""
}

func (p *protocol) renewSome() {
	consumer := p.consumer()
	var leases []*Lease
	for _, e := range p.some() {
		token := p.owners[e.Stream].token + api.Token(rapid.IntRange(0, 1).Draw(p.rt, "off"))
		leases = append(leases, &Lease{key: e.Key, tag: token.String() + " " + e.ID, nameAt: uint16(len(e.Key) - len(e.Stream)), token: token})
	}
	verify := rapid.Bool().Draw(p.rt, "verify")
	p.call(func() {
		var verdicts string
		if verify {
			var err error
			verdicts, err = verdictsOf(p.store.Verify(p.ctx, 0, consumer, leases, Savings{}))
			require.NoError(p.rt, err)
		} else {
			verdicts = p.harness.renew(consumer, leases...).Verdicts
		}
		for i, v := range verdicts {
			_, entry, _ := strings.Cut(leases[i].tag, " ")
			p.renewed(leases[i].Stream(), ownedBy{consumer: consumer, entry: entry, token: leases[i].token}, Verdict(v), verify)
		}
	})
}

func (p *protocol) renewed(stream string, asked ownedBy, v Verdict, verify bool) {
	owner, owned := p.owners[stream]
	switch {
	case owned && !owner.vanished:
		require.Equal(p.rt, owner == asked, v == Kept, "%+v %c", asked, v)
	case v == Kept:
		// Set again. (A verify that comes as late as this may be that of an earlier owner: the one since then loses it.)
		require.True(p.rt, verify && p.settling, "%+v", asked)
		if owned && owner.consumer == asked.consumer && owner.entry == asked.entry {
			p.greatest = max(p.greatest, asked.token)
		}
		p.owners[stream] = asked
	case v == Missing:
		require.True(p.rt, p.settling && !verify)
	}
}

// failOver has a successor take the server's place that has forgotten some leases.
func (p *protocol) failOver() {
	p.forget()
	p.settling = true
	require.True(p.rt, p.beat(alice).Settling)
	for i := range 4 {
		stream := "s" + strconv.Itoa(i)
		owner, owned := p.owners[stream]
		if owned && rapid.Bool().Draw(p.rt, "vanishes") {
			owner.vanished = true
			p.owners[stream] = owner
			p.Do("DEL", p.keys.Lease(stream))
		}
	}
	if rapid.Bool().Draw(p.rt, "token too") {
		p.Do("DEL", p.keys.Token)
	}
}

// settle ends settling: who has not set a lease again by then has lost it by its own account.
func (p *protocol) settle() {
	p.settled()
	p.settling = false
	for stream, owner := range p.owners {
		if owner.vanished {
			delete(p.owners, stream)
		}
	}
}

func (p *protocol) again() {
	if len(p.sent) > 0 {
		rapid.SampledFrom(p.sent).Draw(p.rt, "late")()
	}
}

func (p *protocol) promote() {
	p.dueNow()
	p.call(func() {
		_, err := p.store.Promote(p.ctx, 0, rapid.IntRange(1, 3).Draw(p.rt, "limit"))
		require.NoError(p.rt, err)
	})
}

// check holds G2, nothing is lost and nothing is there twice, and that owners are who the leases say.
func (p *protocol) check() {
	where := make(map[string]string)
	place := func(work, at string) {
		require.NotEmpty(p.rt, work)
		require.Empty(p.rt, where[work], "%s is in %s too", work, at)
		where[work] = at
	}
	pending := make(map[string]bool)
	for _, consumer := range p.consumers {
		for _, id := range p.pendingIDs(consumer) {
			pending[id] = true
		}
	}
	last := p.lastDelivered()
	for _, e := range p.Stream(p.keys.Input) {
		place(e.FieldValues["work"], "input")
		require.Equal(p.rt, CompareIDs(e.ID, last) <= 0, pending[e.ID], "delivered means pending: %s", e.ID)
		delete(pending, e.ID)
	}
	require.Empty(p.rt, pending, "pending without a body")
	for _, e := range p.Stream(p.keys.DeadLetters) {
		place(e.FieldValues["work"], "dead letters")
	}
	for _, work := range p.laterWork() {
		place(work, "later")
	}
	for work := range p.work {
		require.NotEmpty(p.rt, where[work], "%s is lost", work)
	}
	require.Len(p.rt, where, len(p.work), "what was done is gone")
	for i := range 4 {
		stream := "s" + strconv.Itoa(i)
		owner, owned := p.owners[stream]
		value := p.value(stream)
		require.Equal(p.rt, owned && !owner.vanished, value != "", stream)
		if value != "" {
			require.Regexp(p.rt, fmt.Sprintf(`^%s %d %s( \d+-\d+)?$`, owner.consumer, owner.token, owner.entry), value)
			require.Positive(p.rt, p.pttl(p.keys.Lease(stream)))
		}
	}
}

func (p *protocol) lastDelivered() string {
	groups, err := p.Try("XINFO", "GROUPS", p.keys.Input).ToArray()
	require.NoError(p.rt, err)
	group, err := groups[0].AsMap()
	require.NoError(p.rt, err)
	field := group["last-delivered-id"]
	id, err := field.ToString()
	require.NoError(p.rt, err)
	return id
}

// laterWork reads the members of later with the server's own unpacker.
func (p *protocol) laterWork() []string {
	works, err := p.Try("EVAL", `
		local works = {}
		for _, m in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
			local fields = cmsgpack.unpack(m)[2]
			for i = 1, #fields, 2 do
				if fields[i] == 'work' then works[#works + 1] = fields[i + 1] end
			end
		end
		return works`, "1", p.keys.Later).AsStrSlice()
	require.NoError(p.rt, err)
	return works
}

// TestProtocol makes any calls in any order, late ones and repeated ones among them, against a real server.
func TestProtocol(t *testing.T) {
	w := harnessOn(t, servers.New(t), func(s *Settings) { s.DeadLimit = 0 })
	rapid.Check(t, func(rt *rapid.T) {
		w.Do("FLUSHALL")
		p := &protocol{
			harness: w, rt: rt, older: olderAcquire(t), consumers: []string{alice, bob, "carol.1"},
			work: make(map[string]bool), read: make(map[string]*Entry), owners: make(map[string]ownedBy),
		}
		for _, consumer := range p.consumers {
			w.open(consumer)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"announce": func(*rapid.T) { p.announceOne() },
			"read":     func(*rapid.T) { p.deliver() },
			"acquire":  func(*rapid.T) { p.take() },
			"done":     func(*rapid.T) { p.end(true) },
			"requeue":  func(*rapid.T) { p.end(false) },
			"renew":    func(*rapid.T) { p.renewSome() },
			"late":     func(*rapid.T) { p.again() },
			"promote":  func(*rapid.T) { p.promote() },
			"failover": func(*rapid.T) { p.failOver() },
			"settle":   func(*rapid.T) { p.settle() },
			"settled":  func(*rapid.T) { p.settle() },
			"":         func(*rapid.T) { p.check() },
		})
	})
}

func sortIDs(ids []string) { slices.SortFunc(ids, CompareIDs) }
