package notice

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/streamlease/streamlease/api"
)

// Mode is whether servers are asked to announce their maintenance.
type Mode uint8

const (
	Auto Mode = iota // asked; a server that cannot is left alone
	On               // asked; a refusal is an error
	Off              // not asked; nothing is sent
)

// EndpointType is the form in which servers announce the new endpoint of a node that moves.
type EndpointType string

// The types that servers know. The zero value chooses by the connection: a fully qualified domain name with TLS, else an
// IP address; internal if the server's address is private, else external.
const (
	EndpointAuto         EndpointType = ""
	EndpointInternalIP   EndpointType = "internal-ip"
	EndpointInternalFQDN EndpointType = "internal-fqdn"
	EndpointExternalIP   EndpointType = "external-ip"
	EndpointExternalFQDN EndpointType = "external-fqdn"
	EndpointNone         EndpointType = "none" // no endpoint: the same address is used again
)

// Defaults of Config.
const (
	DefaultMaxWindow      = 3 * MinWindow
	DefaultRelaxedTimeout = 10 * time.Second // as in the vendor's own clients
	DefaultRelaxedFor     = 20 * time.Second // likewise
)

// MaxWindow is the greatest value of Config.MaxWindow.
const MaxWindow = 10 * time.Minute

// Config is how maintenance notices are requested, and how much they may change. The zero value means the defaults.
type Config struct {
	// Mode is whether servers are asked. Default and zero: Auto.
	Mode Mode

	// Endpoint is the type of endpoint to ask for. Default and "": chosen by the connection.
	Endpoint EndpointType

	// MaxWindow is the most that TTLs are lengthened by, whatever was announced. If a server announces maintenance,
	// settling after a failover lasts longer by MaxWindow, since a session may have been lengthened just before. Open
	// windows hold off recovery for twice MaxWindow in all, until none has been open for as long again. Default and zero:
	// 30 s. From 10 s to 10 min. All processes of a fleet should have the same value.
	MaxWindow time.Duration

	// RelaxedTimeout is how long to wait for an answer during a window and after it, if the TTLs leave time for that: at most half
	// of what a session has left between two beats, 4 s with the default TTL of 10 s. Never less than the usual timeout.
	// Clients that the engine did not make may give up their connections sooner. Default and zero: 10 s. From 1 ns.
	RelaxedTimeout time.Duration

	// RelaxedFor is how long RelaxedTimeout applies after a window. Default and zero: 20 s. From 1 ns.
	RelaxedFor time.Duration
}

// WithDefaults returns c with every zero replaced by its default.
func (c Config) WithDefaults() Config {
	c.MaxWindow = cmp.Or(c.MaxWindow, DefaultMaxWindow)
	c.RelaxedTimeout = cmp.Or(c.RelaxedTimeout, DefaultRelaxedTimeout)
	c.RelaxedFor = cmp.Or(c.RelaxedFor, DefaultRelaxedFor)
	return c
}

// Validate returns an error for the first field that is out of range. Call WithDefaults first. Errors match
// api.ErrInvalidConfig.
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
