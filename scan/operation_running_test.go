package scan_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/scan"
)

// changesOf are both ways to change a service as a whole.
var changesOf = map[string]func(i *scan.Inspector, o *office) error{
	"delete": func(i *scan.Inspector, o *office) error { _, err := i.DeleteService(o.ctx, nil); return err },
	"repartition": func(i *scan.Inspector, o *office) error {
		_, err := i.Repartition(o.ctx, 2, nil)
		return err
	},
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
