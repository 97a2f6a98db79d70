package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Announcements in the wrong partition cannot be copied to their own, since the master of that one is away. The reader waited
// for it, and nothing was taken from its own partition any more.
func TestForwardingToAMasterThatIsAwayHoldsUpNobody(t *testing.T) {
	bubble(t, 3, func(t *testing.T, w *world) {
		e := w.start(nil)
		for name, fault := range map[string]fakeFault{"hang": faultHang, "error": faultError} {
			strange, own := w.streamIn(1, len(name)), w.streamIn(0, len(name))
			e.fake.setFault(func(c *fakeCall) fakeFault {
				if c.op == "copy" {
					return fault
				}
				return fakeFault{}
			})
			w.server.add(0, fakeBody(strange))
			pass(100 * time.Millisecond)
			w.server.add(0, fakeBody(own))
			pass(5 * time.Second)
			require.NotNil(t, e.held(own), name)
			require.Nil(t, e.table.Get(strange), name)
			e.fake.setFault(nil)
			pass(time.Minute)
			require.NotNil(t, e.held(strange), name)
		}
	})
}
