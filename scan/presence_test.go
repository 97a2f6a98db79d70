package scan_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/scan"
)

// legacyConsumer adds a consumer of the library that this one replaces. It holds what it was given by locks.
func (f *fleet) legacyConsumer(p int, name string, n int) (locks []string) {
	f.t.Helper()
	k := f.layout.Keys(p)
	f.Try("XGROUP", "CREATE", k.Input, f.layout.Group(), "0", "MKSTREAM")
	for i := range n {
		stream := "theirs-" + strconv.Itoa(i)
		locks = append(locks, stream+":"+f.announce(p, stream))
	}
	f.Do("XREADGROUP", "GROUP", f.layout.Group(), name, "COUNT", strconv.Itoa(1000+n), "STREAMS", k.Input, ">")
	for _, lock := range locks {
		f.Do("SET", lock, name)
	}
	return locks
}

// changesOf are the two ways to change a service as a whole.
var changesOf = map[string]func(i *scan.Inspector, f *fleet) error{
	"delete": func(i *scan.Inspector, f *fleet) error { _, err := i.DeleteService(f.ctx, nil); return err },
	"repartition": func(i *scan.Inspector, f *fleet) error {
		_, err := i.Repartition(f.ctx, 2, nil)
		return err
	},
}

// While a legacy consumer holds something, nothing is deleted or moved, and the record stays as it is. What it left when it was
// stopped is in nobody's way.
func TestLegacyConsumersKeepWhatTheyHold(t *testing.T) {
	for what, change := range changesOf {
		for _, p := range []int{0, 3} {
			t.Run(what+strconv.Itoa(p), func(t *testing.T) {
				f := newFleet(t, 4)
				f.populate(1)
				locks := f.legacyConsumer(p, "redis-consumer-1", 6)
				before, record := f.keys(), f.record()
				for _, when := range []string{"before", "meanwhile"} {
					i := f.inspector()
					if when == "meanwhile" { // between the first check and the record
						for _, lock := range locks {
							f.Do("DEL", lock)
						}
						i, _ = f.paused(1, func() {
							for _, lock := range locks {
								f.Do("SET", lock, "redis-consumer-1")
							}
						})
					}
					err := change(i, f)
					require.ErrorIs(t, err, scan.ErrServiceRunning, when)
					require.ErrorIs(t, err, api.ErrForeignConsumers, when)
					require.ErrorContains(t, err, "redis-consumer-1")
					require.Equal(t, before, f.keys(), when)
					require.Equal(t, record, f.record(), when)
					require.NoError(t, f.leases.Agree(f.ctx))
				}
				for _, lock := range locks {
					f.Do("PEXPIRE", lock, "1")
				}
				require.Eventually(t, func() bool { return f.Num(append([]string{"EXISTS"}, locks...)...) == 0 }, time.Minute, time.Millisecond)
				require.NoError(t, change(f.inspector(), f))
			})
		}
	}
}

// record returns the record of the service.
func (f *fleet) record() string {
	m := f.Do("HGETALL", f.layout.Meta())
	return m.String()
}

// interrupted returns a service with a change that was begun and partly done.
func interrupted(t *testing.T, change func(i *scan.Inspector, f *fleet) error) *fleet {
	f := newFleet(t, 4)
	f.populate(2)
	deleted := 0
	client := &flaky{Client: f.Client, before: func(name string) error {
		if name == "moved" || name == "unlink" {
			deleted++
		}
		if deleted >= 3 {
			return errFlaky
		}
		return nil
	}}
	i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{Page: 3})
	require.NoError(t, err)
	require.ErrorIs(t, change(i, f), errFlaky)
	require.ErrorIs(t, f.leases.Agree(f.ctx), api.ErrServiceStopped)
	return f
}

// joined checks that an error says that the change is not finished, and does not say that nothing was changed.
func (f *fleet) joined(err error) {
	f.t.Helper()
	require.ErrorIs(f.t, err, scan.ErrServiceJoined)
	require.NotErrorIs(f.t, err, scan.ErrServiceRunning)
	require.ErrorIs(f.t, f.leases.Agree(f.ctx), api.ErrServiceStopped)
}

// A consumer works with a service of which a change was begun: the service is neither running nor as it was. However that is
// found, the error tells it from a service that was not touched, and stopping the consumer and running the same operation again
// finishes it.
func TestServiceThatIsJoinedIsNotCalledUntouched(t *testing.T) {
	t.Parallel()
	for what, change := range changesOf {
		for where, p := range map[string]int{"the first": 0, "another": 3} {
			t.Run(what+" of one that was begun, in "+where, func(t *testing.T) {
				f := interrupted(t, change)
				for _, when := range []string{"before", "meanwhile"} {
					come := func() { f.setDeadline(p, "late.1", f.Now()+600_000) }
					i := f.inspector()
					if when == "before" {
						come()
					} else {
						i, _ = f.paused(1, come)
					}
					err := change(i, f)
					f.joined(err)
					require.ErrorContains(t, err, "again")
					f.endSessions()
				}
				require.NoError(t, change(f.inspector(), f))
			})
		}
		t.Run(what+" of one that was begun, beside a legacy consumer", func(t *testing.T) {
			f := interrupted(t, change)
			locks := f.legacyConsumer(0, "redis-consumer-1", 3)
			err := change(f.inspector(), f)
			f.joined(err)
			require.ErrorIs(t, err, api.ErrForeignConsumers)
			f.Do(append([]string{"DEL"}, locks...)...)
			require.NoError(t, change(f.inspector(), f))
		})
		for _, script := range []string{"moved", "unlink"} {
			t.Run(what+" joined before "+script, func(t *testing.T) {
				f := newFleet(t, 4)
				f.populate(2)
				came := false
				client := &flaky{Client: f.Client, before: func(name string) error {
					if name == script && !came {
						came = true
						for p := range 4 {
							f.setDeadline(p, "late.1", f.Now()+600_000)
						}
					}
					return nil
				}}
				i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{Page: 3})
				require.NoError(t, err)
				err = change(i, f)
				if !came {
					require.NoError(t, err)
					require.Equal(t, "delete", what)
					return
				}
				f.joined(err)
				require.ErrorContains(t, err, "again")
				f.endSessions()
				require.NoError(t, change(f.inspector(), f))
			})
		}
		t.Run(what+" that cannot be taken back", func(t *testing.T) {
			f := newFleet(t, 4)
			f.populate(2)
			client := &flaky{Client: f.Client, before: func(name string) error {
				switch name {
				case "stop":
					f.setDeadline(2, "late.1", f.Now()+600_000)
				case "start":
					return errFlaky
				}
				return nil
			}}
			i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{Page: 3})
			require.NoError(t, err)
			err = change(i, f)
			f.joined(err)
			require.ErrorIs(t, err, errFlaky)
		})
	}
}

// A consumer has joined, and another operation has begun since then: the record is that operation's.
func TestTakenOverBeforeItIsTakenBack(t *testing.T) {
	f := newFleet(t, 2)
	f.populate(1)
	client := &flaky{Client: f.Client, before: func(name string) error {
		switch name {
		case "stop":
			f.setDeadline(1, "late.1", f.Now()+600_000)
		case "start":
			f.endSessions()
			_, err := f.inspector().DeleteService(f.ctx, nil)
			require.NoError(t, err)
		}
		return nil
	}}
	i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{})
	require.NoError(t, err)
	_, err = i.Repartition(f.ctx, 3, nil)
	require.ErrorIs(t, err, scan.ErrTakenOver)
	require.NotErrorIs(t, err, scan.ErrServiceRunning)
	require.NotErrorIs(t, err, scan.ErrServiceJoined)
}
