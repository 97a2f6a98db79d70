package dialer

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// A connection to the old endpoint that is being made when the others leave it is not used: nothing would make it leave, and it would
// end with the endpoint.
func TestAConnectionThatIsBeingMadeIsLeftToo(t *testing.T) {
	var d *Dialer
	var dialled []string
	d = New(rueidis.ClientOption{ConnWriteTimeout: tight, DialCtxFn: func(_ context.Context, target string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
		dialled = append(dialled, target)
		switch len(dialled) {
		case 1: // meanwhile
			d.Follow("old:1", "new:1", time.Now().Add(time.Minute), time.Minute)
		case 2:
			d.Renew("old:1", time.Minute)
		}
		ours, its := net.Pipe()
		t.Cleanup(func() { its.Close() })
		return ours, nil
	}})
	opt := d.ClientOption(0)
	c, err := opt.DialCtxFn(t.Context(), "old:1", &opt.Dialer, nil)
	require.NoError(t, err)
	defer c.Close()
	require.Equal(t, []string{"old:1", "new:1", "new:1"}, dialled)
}
