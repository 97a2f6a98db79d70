package dialer

import (
	"slices"
	"time"
)

// returnAfter is how long after the announced time the address itself is dialled first again. It is longer than name servers and
// cluster maps take to follow.
const returnAfter = 15 * time.Minute

// Route is where a Dialer connects to when it is asked for Address. See the package comment.
type Route struct {
	Address string
	Targets []string // in the order in which they are tried
}

// route is one Route.
type route struct {
	targets []string
	end     time.Time // when the address goes away, as announced
	aged    bool      // returnAfter has passed
}

// Follow makes endpoint the first target for an address that goes away at end, and has connections to other targets left: each as
// soon as nothing is on its way on it, and all of them after patience. The address itself as the endpoint ends the route.
func (d *Dialer) Follow(address, endpoint string, end time.Time, patience time.Duration) {
	d.mu.Lock()
	if endpoint == address {
		delete(d.mu.routes, address)
	} else {
		d.mu.routes[address] = &route{targets: []string{endpoint, address}, end: end}
	}
	d.mu.Unlock()
	d.leave(address, endpoint, patience)
}

// Expect adds an endpoint that does not answer yet as the last target for an address.
func (d *Dialer) Expect(address, endpoint string, end time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.mu.routes[address]
	if r == nil {
		r = &route{targets: []string{address}}
		d.mu.routes[address] = r
	}
	r.end = end
	if !slices.Contains(r.targets, endpoint) {
		r.targets = append(r.targets, endpoint)
	}
}

// Renew has all connections for an address left, as Follow does, though the targets stay the same: the address leads elsewhere.
func (d *Dialer) Renew(address string, patience time.Duration) { d.leave(address, "", patience) }

// Keep ends the routes of addresses that the topology does not name.
func (d *Dialer) Keep(named func(address string) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for address := range d.mu.routes {
		if !named(address) {
			delete(d.mu.routes, address)
		}
	}
	// A connection that is being made for an address that nobody knows any more is made again, at worst.
	for address := range d.mu.leaves {
		if !named(address) {
			delete(d.mu.leaves, address)
		}
	}
}

// Routes returns the routes, ordered by address.
func (d *Dialer) Routes() (all []Route) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for address, r := range d.mu.routes {
		all = append(all, Route{Address: address, Targets: slices.Clone(r.targets)})
	}
	slices.SortFunc(all, func(a, b Route) int { return compare(a.Address, b.Address) })
	return all
}

// Replaced returns for how many addresses another target is tried first.
func (d *Dialer) Replaced() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for address, r := range d.mu.routes {
		if r.targets[0] != address {
			n++
		}
	}
	return n
}

// targets returns what to dial for an address, in order.
func (d *Dialer) targets(address string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.mu.routes[address]
	if r == nil {
		return []string{address}
	}
	if !r.aged && time.Since(r.end) > returnAfter {
		r.aged = true
		r.targets = append([]string{address}, slices.DeleteFunc(r.targets, func(t string) bool { return t == address })...)
	}
	return slices.Clone(r.targets)
}

// unanswered is called when a target did not answer a new connection.
func (d *Dialer) unanswered(address, target string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.mu.routes[address]; r != nil && len(r.targets) > 1 && r.targets[0] == target {
		r.targets = append(slices.Clone(r.targets[1:]), target)
	}
}

// answered is called when a target has answered a new connection. It ends the route if the address is in service again.
func (d *Dialer) answered(address, target string) {
	d.mu.Lock()
	r := d.mu.routes[address]
	over := r != nil && target == address && r.targets[0] == address && time.Now().After(r.end)
	if over {
		delete(d.mu.routes, address)
	}
	d.mu.Unlock()
	if over {
		d.returned(address, "the address answers again")
	}
}

// refused is called when the server at a target has said which one serves what it was asked for: if that is the address, the target
// is not in its place. (Each of several nodes may announce what concerns one of them.)
func (d *Dialer) refused(address, target, serves string) {
	if serves != address || target == address {
		return
	}
	d.mu.Lock()
	r := d.mu.routes[address]
	over := r != nil && slices.Contains(r.targets, target)
	if over {
		delete(d.mu.routes, address)
	}
	d.mu.Unlock()
	d.leave(address, address, 0)
	if over {
		d.returned(address, "the endpoint refers to the address")
	}
}
