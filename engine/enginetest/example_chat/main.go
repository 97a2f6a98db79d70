package main

import (
	"cmp"
	"context"
	"encoding/json"
	"log"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
)

// A session that nobody leaves is left by its owner, with its state, until somebody writes to it and announces it again.
var config = feed.Config{IdleDone: 24 * time.Hour}

// session is the state of a chat. There is room for about 4 KB of JSON (feed.MaxState).
type session struct {
	Members  []string
	Messages int
	Last     string // the beginning of the last message
}

// fold applies a message. It does nothing else: after a crash, what had not been stored is folded again, into the state as it was before.
func (s *session) fold(m feed.Message) {
	kind, _ := m.Get("kind")
	user, _ := m.Get("user")
	switch member := slices.Contains(s.Members, user); {
	case kind == "join" && len(s.Members) == 0:
		*s = session{Members: []string{user}} // begins, perhaps once more
	case kind == "join" && !member:
		s.Members = append(s.Members, user)
	case kind == "say" && member:
		text, _ := m.Get("text")
		s.Messages++
		s.Last = text[:min(len(text), 200)]
	case kind == "leave" && member:
		s.Members = slices.DeleteFunc(s.Members, func(name string) bool { return name == user })
	} // anything else changes nothing
}

// follow folds the messages of sessions, and calls report after each of them.
func follow(report func(stream string, s session)) feed.Handler {
	return func(_ context.Context, b *feed.Batch) error {
		var s session
		if err := json.Unmarshal([]byte(cmp.Or(b.State(), "{}")), &s); err != nil {
			return err
		}
		for _, m := range b.Messages {
			s.fold(m)
			report(b.Lease.Stream(), s)
		}
		state, err := json.Marshal(s)
		if err != nil {
			return err
		}
		if err := b.SaveState(string(state)); err != nil || len(s.Members) > 0 {
			return err // nil: the state is stored together with the position in the stream, in one step
		}
		return feed.Finish // over, unless another message has come
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	e, err := engine.Open(rueidis.ClientOption{InitAddress: []string{cmp.Or(os.Getenv("REDIS_ADDR"), "127.0.0.1:6379")}}, "chat")
	if err != nil {
		log.Fatal(err)
	}
	f, err := feed.New(e, follow(func(stream string, s session) { log.Printf("%s: %+v", stream, s) }), config)
	if err != nil {
		log.Fatal(err)
	}
	if err := f.Run(ctx); err != nil { // until SIGTERM; then sessions go to other processes
		log.Fatal(err)
	}
}
