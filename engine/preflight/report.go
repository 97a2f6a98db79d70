package preflight

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/streamlease/streamlease/cluster"
)

// Severity is how bad a finding is.
type Severity uint8

const (
	// Note is good to know, and no fault.
	Note Severity = iota + 1
	// Warning works now, but will cause trouble when something else goes wrong.
	Warning
	// Fatal cannot work.
	Fatal
)

// String returns the name of the constant in lower case.
func (s Severity) String() string {
	switch s {
	case Note:
		return "note"
	case Warning:
		return "warning"
	case Fatal:
		return "fatal"
	}
	return "invalid"
}

// Subject is what a finding is about. More subjects may be added.
type Subject string

// Subjects.
const (
	Reach       Subject = "reach"       // nodes that do not answer
	Server      Subject = "server"      // version and kind
	Topology    Subject = "topology"    // cluster, Sentinel or one server; who is master
	Eviction    Subject = "eviction"    // maxmemory and its policy
	Rights      Subject = "rights"      // commands, keys and channels that the user may use
	Events      Subject = "events"      // keyspace notifications
	Replicas    Subject = "replicas"    // who takes over, and what a demoted master can still do
	Persistence Subject = "persistence" // what a restart forgets
	Clock       Subject = "clock"       // clocks of servers, compared with each other and with this host's
	Latency     Subject = "latency"     // round trips, compared with timeouts and TTLs
	Layout      Subject = "layout"      // partitions: agreed number, and placement

	Announcements Subject = "announcements" // trimmed, or acknowledged by hand
	Tracking      Subject = "tracking"      // whether engine/feed hears of writes
)

// Finding is one thing that was found.
type Finding struct {
	Severity Severity `json:"severity"`
	Subject  Subject  `json:"subject"`
	// Nodes are the addresses of the nodes concerned; empty: none in particular.
	Nodes []string `json:"nodes,omitempty"`
	// Seen is what was found; Do is what to do about it, empty if there is nothing to do. Both are for people, and change between
	// versions.
	Seen string `json:"seen"`
	Do   string `json:"do,omitempty"`

	lacks []string // the access rules that are missing, if that is what was found
}

// MarshalText returns the name of the severity.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String returns the finding as a line for people: severity, subject, what was seen where, and what to do.
func (f Finding) String() string {
	text := fmt.Sprintf("%s: %s: %s", f.Severity, f.Subject, f.Seen)
	if len(f.Nodes) > 0 {
		text += " [" + strings.Join(f.Nodes, " ") + "]"
	}
	if f.Do != "" {
		text += ". " + f.Do
	}
	return text
}

// Report is the result of Check, with the worst findings first.
type Report struct {
	Service  string          `json:"service"`
	Findings []Finding       `json:"findings"`
	Spread   *cluster.Spread `json:"spread,omitempty"` // over the masters of a cluster; nil elsewhere
}

// Err returns nil if there is no fatal finding; otherwise it joins an error for each.
func (r *Report) Err() error {
	var errs []error
	for _, f := range r.Findings {
		if f.Severity == Fatal {
			errs = append(errs, errors.New(f.String()))
		}
	}
	return errors.Join(errs...)
}

// Of returns the findings about a subject.
func (r *Report) Of(s Subject) (findings []Finding) {
	for _, f := range r.Findings {
		if f.Subject == s {
			findings = append(findings, f)
		}
	}
	return findings
}

// String returns the report for people, one finding a line.
func (r *Report) String() string {
	var b strings.Builder
	for _, f := range r.Findings {
		b.WriteString(f.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// add adds a finding. The same on several nodes is one finding.
func (r *Report) add(severity Severity, subject Subject, node, seen, do string) {
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Severity == severity && f.Subject == subject && f.Seen == seen && f.Do == do {
			if node != "" && !slices.Contains(f.Nodes, node) {
				f.Nodes = append(f.Nodes, node)
			}
			return
		}
	}
	f := Finding{Severity: severity, Subject: subject, Seen: seen, Do: do}
	if node != "" {
		f.Nodes = []string{node}
	}
	r.Findings = append(r.Findings, f)
}

// finish sorts the findings, the worst first.
func (r *Report) finish() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return int(b.Severity) - int(a.Severity) })
}
