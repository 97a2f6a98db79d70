package enginetest_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/enginetest"
	"github.com/streamlease/streamlease/engine/feed"
)

// failures is a test that may fail, and says how.
type failures struct {
	testing.TB
	said []string
}

func (f *failures) Errorf(format string, args ...any) {
	f.said = append(f.said, fmt.Sprintf(format, args...))
}

func (f *failures) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	panic(f)
}

// failed runs a check that ends its test.
func (f *failures) failed(check func()) (said string) {
	defer func() {
		if r := recover(); r != nil && r != any(f) {
			panic(r)
		}
		if len(f.said) > 0 {
			said = f.said[len(f.said)-1]
		}
	}()
	check()
	return ""
}

func TestLostAnnouncementIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &failures{TB: t}
		fleet := enginetest.New(f, "orders")
		a := fleet.Start("a", enginetest.Handler(&record{}))
		fleet.Publish("order:1", nil)
		fleet.OwnedBy("order:1", a)
		fleet.NothingLost()
		assert.Empty(t, f.said)
		fleet.Server().StopReplication()
		fleet.Publish("order:2", nil)
		fleet.OwnedBy("order:2", a)
		fleet.Server().FailOver()
		fleet.NothingLost()
		if assert.Len(t, f.said, 1) {
			assert.Contains(t, f.said[0], "order:2 is lost")
		}
		fleet.OwnedBy("order:1", a)
	})
}

func TestStreamThatIsDoneTooEarlyLosesMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &failures{TB: t}
		fleet := enginetest.New(f, "chat")
		a := fleet.Start("a", enginetest.Handler(&record{})) // it reads nothing
		id := fleet.Send("room:1", "text", "hello")
		fleet.OwnedBy("room:1", a)
		fleet.NothingLost()
		assert.Empty(t, f.said, "the stream is owned, so the message is not lost")
		l, _ := a.Engine().Lease("room:1")
		assert.NoError(t, l.Done(t.Context()))
		fleet.Done("room:1")
		fleet.NothingLost()
		if assert.Len(t, f.said, 1) {
			assert.Contains(t, f.said[0], "message "+id+" of room:1 is lost")
		}
	})
}

func TestAssertionsSayHowThingsStand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &failures{TB: t}
		fleet := enginetest.New(f, "orders")
		fleet.Patience = time.Minute
		a := fleet.Start("a", enginetest.Handler(&record{}))
		b := fleet.Start("b", enginetest.Handler(&record{}))
		fleet.Publish("order:1", nil)
		fleet.Owned("order:1")
		if len(b.Streams()) == 1 {
			a, b = b, a
		}
		said := f.failed(func() { fleet.OwnedBy("order:1", b) })
		assert.Contains(t, said, fmt.Sprintf("order:1 owned by %s: not within 1m0s. It is owned, owned by %s.", b.Name(), a.Name()))
		said = f.failed(func() { fleet.HandledUpTo("order:1", "1-1") })
		assert.Contains(t, said, "order:1 handled up to 1-1: not within 1m0s. It is handled up to 0-0.")
		said = f.failed(func() { fleet.Done("order:1") })
		assert.Contains(t, said, "order:1 done: not within")
		said = f.failed(func() { fleet.Send("room:1", "text") })
		assert.Contains(t, said, "give pairs")
		said = f.failed(func() { fleet.Publish("", nil) })
		assert.Contains(t, said, "announcing : ")
	})
}

func TestProcessThatFailsIsReported(t *testing.T) {
	f := &failures{}
	t.Run("", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f.TB = t
			fleet := enginetest.New(f, "orders")
			fleet.Start("a", enginetest.Feed(nil, feed.Config{}))
			b := fleet.Start("b", enginetest.Feed(nil, feed.Config{}))
			<-b.Ended()
			assert.ErrorIs(t, b.Err(), api.ErrInvalidConfig, "who asks is told, and the test goes on")
		})
	})
	if assert.Len(t, f.said, 1) {
		assert.Contains(t, f.said[0], "process a ended with an error")
	}
}
