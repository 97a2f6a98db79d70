package scan_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/scan"
)

// foreigner is a consumer of the library that this one follows. It holds what it was given by locks.
func (o *office) foreigner(p int, name string, n int) (locks []string) {
	o.t.Helper()
	k := o.layout.Keys(p)
	o.Try("XGROUP", "CREATE", k.Input, o.layout.Group(), "0", "MKSTREAM")
	for i := range n {
		stream := "theirs-" + strconv.Itoa(i)
		locks = append(locks, stream+":"+o.announce(p, stream))
	}
	o.Do("XREADGROUP", "GROUP", o.layout.Group(), name, "COUNT", strconv.Itoa(1000+n), "STREAMS", k.Input, ">")
	for _, lock := range locks {
		o.Do("SET", lock, name)
	}
	return locks
}

// changesOf are both ways to change a service as a whole.
var changesOf = map[string]func(i *scan.Inspector, o *office) error{
	"delete": func(i *scan.Inspector, o *office) error { _, err := i.DeleteService(o.ctx, nil); return err },
	"repartition": func(i *scan.Inspector, o *office) error {
		_, err := i.Repartition(o.ctx, 2, nil)
		return err
	},
}

// While a consumer of the library that this one follows holds something, nothing is deleted or moved, and the record stays
// as it is. What it left when it was stopped is in nobody's way.
func TestForeignConsumersKeepWhatTheyHold(t *testing.T) {
	for what, change := range changesOf {
		for _, p := range []int{0, 3} {
			t.Run(what+strconv.Itoa(p), func(t *testing.T) {
				o := newOffice(t, 4)
				o.furnish(1)
				locks := o.foreigner(p, "redis-consumer-1", 6)
				before, record := o.keys(), o.record()
				for _, when := range []string{"before", "meanwhile"} {
					i := o.inspector()
					if when == "meanwhile" { // between the look and the record
						for _, lock := range locks {
							o.Do("DEL", lock)
						}
						i, _ = o.overtaken(1, func() {
							for _, lock := range locks {
								o.Do("SET", lock, "redis-consumer-1")
							}
						})
					}
					err := change(i, o)
					require.ErrorIs(t, err, scan.ErrServiceRunning, when)
					require.ErrorIs(t, err, api.ErrForeignConsumers, when)
					require.ErrorContains(t, err, "redis-consumer-1")
					require.Equal(t, before, o.keys(), when)
					require.Equal(t, record, o.record(), when)
					require.NoError(t, o.leases.Agree(o.ctx))
				}
				for _, lock := range locks {
					o.Do("PEXPIRE", lock, "1")
				}
				require.Eventually(t, func() bool { return o.Num(append([]string{"EXISTS"}, locks...)...) == 0 }, time.Minute, time.Millisecond)
				require.NoError(t, change(o.inspector(), o))
			})
		}
	}
}

// record is what is on record of the service.
func (o *office) record() string {
	m := o.Do("HGETALL", o.layout.Meta())
	return m.String()
}

// interrupted is a service of which a change was begun and some was done.
func interrupted(t *testing.T, change func(i *scan.Inspector, o *office) error) *office {
	o := newOffice(t, 4)
	o.furnish(2)
	deleted := 0
	client := &flaky{Client: o.Client, before: func(name string) error {
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
	require.ErrorIs(t, change(i, o), errFlaky)
	require.ErrorIs(t, o.leases.Agree(o.ctx), api.ErrServiceStopped)
	return o
}

// joined checks that an error says that the change is not finished, and does not say that nothing was changed.
func (o *office) joined(err error) {
	o.t.Helper()
	require.ErrorIs(o.t, err, scan.ErrServiceJoined)
	require.NotErrorIs(o.t, err, scan.ErrServiceRunning)
	require.ErrorIs(o.t, o.leases.Agree(o.ctx), api.ErrServiceStopped)
}

// Somebody works with a service of which a change was begun: it is neither running nor as it was. However that is found, the
// error tells it from a service that was not touched, and stopping them and doing the same again finishes it.
func TestServiceThatIsJoinedIsNotCalledUntouched(t *testing.T) {
	t.Parallel()
	for what, change := range changesOf {
		for where, p := range map[string]int{"the first": 0, "another": 3} {
			t.Run(what+" of one that was begun, in "+where, func(t *testing.T) {
				o := interrupted(t, change)
				for _, when := range []string{"before", "meanwhile"} {
					come := func() { o.setDeadline(p, "late.1", o.Now()+600_000) }
					i := o.inspector()
					if when == "before" {
						come()
					} else {
						i, _ = o.overtaken(1, come)
					}
					err := change(i, o)
					o.joined(err)
					require.ErrorContains(t, err, "again")
					o.stop()
				}
				require.NoError(t, change(o.inspector(), o))
			})
		}
		t.Run(what+" of one that was begun, beside a foreign consumer", func(t *testing.T) {
			o := interrupted(t, change)
			locks := o.foreigner(0, "redis-consumer-1", 3)
			err := change(o.inspector(), o)
			o.joined(err)
			require.ErrorIs(t, err, api.ErrForeignConsumers)
			o.Do(append([]string{"DEL"}, locks...)...)
			require.NoError(t, change(o.inspector(), o))
		})
		for _, script := range []string{"moved", "unlink"} {
			t.Run(what+" joined before "+script, func(t *testing.T) {
				o := newOffice(t, 4)
				o.furnish(2)
				came := false
				client := &flaky{Client: o.Client, before: func(name string) error {
					if name == script && !came {
						came = true
						for p := range 4 {
							o.setDeadline(p, "late.1", o.Now()+600_000)
						}
					}
					return nil
				}}
				i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{Page: 3})
				require.NoError(t, err)
				err = change(i, o)
				if !came {
					require.NoError(t, err)
					require.Equal(t, "delete", what)
					return
				}
				o.joined(err)
				require.ErrorContains(t, err, "again")
				o.stop()
				require.NoError(t, change(o.inspector(), o))
			})
		}
		t.Run(what+" that cannot be taken back", func(t *testing.T) {
			o := newOffice(t, 4)
			o.furnish(2)
			client := &flaky{Client: o.Client, before: func(name string) error {
				switch name {
				case "stop":
					o.setDeadline(2, "late.1", o.Now()+600_000)
				case "start":
					return errFlaky
				}
				return nil
			}}
			i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{Page: 3})
			require.NoError(t, err)
			err = change(i, o)
			o.joined(err)
			require.ErrorIs(t, err, errFlaky)
		})
	}
}

// It is found that a consumer came, and somebody else has begun something since: the record is theirs.
func TestTakenOverBeforeItIsTakenBack(t *testing.T) {
	o := newOffice(t, 2)
	o.furnish(1)
	client := &flaky{Client: o.Client, before: func(name string) error {
		switch name {
		case "stop":
			o.setDeadline(1, "late.1", o.Now()+600_000)
		case "start":
			o.stop()
			_, err := o.inspector().DeleteService(o.ctx, nil)
			require.NoError(t, err)
		}
		return nil
	}}
	i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{})
	require.NoError(t, err)
	_, err = i.Repartition(o.ctx, 3, nil)
	require.ErrorIs(t, err, scan.ErrTakenOver)
	require.NotErrorIs(t, err, scan.ErrServiceRunning)
	require.NotErrorIs(t, err, scan.ErrServiceJoined)
}
