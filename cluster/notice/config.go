package notice

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/streamlease/streamlease/api"
)

// Mode says whether servers are asked to announce their maintenance.
type Mode uint8

const (
	Auto Mode = iota // asked; one that does not know of it is left alone
	On               // asked; it is an error when a server refuses
	Off              // nothing is sent
)

// EndpointType is how servers tell where a node goes that moves.
type EndpointType string

// What servers know. The zero value chooses by the connection: a fully qualified name with TLS, else an IP address;
// internal where the server's address is a private one, else external.
const (
	EndpointAuto         EndpointType = ""
	EndpointInternalIP   EndpointType = "internal-ip"
	EndpointInternalFQDN EndpointType = "internal-fqdn"
	EndpointExternalIP   EndpointType = "external-ip"
	EndpointExternalFQDN EndpointType = "external-fqdn"
	EndpointNone         EndpointType = "none" // told nothing: the same address is used again
)

// Defaults of Config.
const (
	DefaultMaxWindow      = 3 * MinWindow
	DefaultRelaxedTimeout = 10 * time.Second // as clients of the vendor have it
	DefaultRelaxedFor     = 20 * time.Second // likewise
)

// MaxWindow is the longest that may be chosen as Config.MaxWindow.
const MaxWindow = 10 * time.Minute

// Config is how notices of maintenance are asked for, and how much they may change. The zero value means the defaults.
type Config struct {
	// Mode. Default and zero: Auto.
	Mode Mode

	// Endpoint is the type of endpoint to ask for. Default and "": chosen by the connection.
	Endpoint EndpointType

	// MaxWindow is the longest that TTLs are lengthened by, whatever was announced. Where a server announces maintenance,
	// settling after a failover lasts longer by it, since somebody may have lengthened a session just before. Windows that
	// are open hold recovery off for twice MaxWindow in all, until there has been none for as long. Default and zero: 30 s.
	// From 10 s to 10 min. All of a fleet should have the same.
	MaxWindow time.Duration

	// RelaxedTimeout is how long to wait for an answer in a window and after it, where the TTLs leave time for it; never
	// less than otherwise. Default and zero: 10 s.
	RelaxedTimeout time.Duration

	// RelaxedFor is for how long after a window. Default and zero: 20 s.
	RelaxedFor time.Duration
}

// WithDefaults puts defaults in the place of zeros.
func (c Config) WithDefaults() Config {
	c.MaxWindow = cmp.Or(c.MaxWindow, DefaultMaxWindow)
	c.RelaxedTimeout = cmp.Or(c.RelaxedTimeout, DefaultRelaxedTimeout)
	c.RelaxedFor = cmp.Or(c.RelaxedFor, DefaultRelaxedFor)
	return c
}

// Validate reports what is out of its limits, after WithDefaults; errors match api.ErrInvalidConfig.
func (c Config) Validate() error {
	types := []EndpointType{EndpointAuto, EndpointInternalIP, EndpointInternalFQDN, EndpointExternalIP, EndpointExternalFQDN, EndpointNone}
	switch {
	case c.Mode > Off:
		return fmt.Errorf("%w: Mode is %d; use Auto, On or Off", api.ErrInvalidConfig, c.Mode)
	case !slices.Contains(types, c.Endpoint):
		return fmt.Errorf("%w: Endpoint is %q; use one of %q", api.ErrInvalidConfig, c.Endpoint, types)
	case c.MaxWindow < MinWindow || c.MaxWindow > MaxWindow:
		return fmt.Errorf("%w: MaxWindow: %v is not between %v and %v; leave it out for %v",
			api.ErrInvalidConfig, c.MaxWindow, MinWindow, MaxWindow, DefaultMaxWindow)
	case c.RelaxedTimeout < 0:
		return fmt.Errorf("%w: RelaxedTimeout: %v is below 0; leave it out for %v", api.ErrInvalidConfig, c.RelaxedTimeout, DefaultRelaxedTimeout)
	case c.RelaxedFor < 0:
		return fmt.Errorf("%w: RelaxedFor: %v is below 0; leave it out for %v", api.ErrInvalidConfig, c.RelaxedFor, DefaultRelaxedFor)
	}
	return nil
}
