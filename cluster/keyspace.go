package cluster

import "strings"

// EventSetting is what a server's setting of keyspace events is called.
const EventSetting = "notify-keyspace-events"

// EventFlags are what a server's EventSetting is set to.
type EventFlags string

// eventsWanted are the flags for expired keys: by key, by event, and the event itself.
const eventsWanted = "KEx"

// Missing are the flags that are to be added so that the server reports expired keys in the way that costs least. "A"
// stands for all kinds of events, not for K and E.
func (f EventFlags) Missing() (missing string) {
	for _, flag := range eventsWanted {
		if !strings.ContainsRune(string(f), flag) && (flag != 'x' || !strings.Contains(string(f), "A")) {
			missing += string(flag)
		}
	}
	return missing
}

// Reports says whether a server with these flags reports expired keys.
func (f EventFlags) Reports() bool {
	return strings.ContainsAny(string(f), "xA") && strings.ContainsAny(string(f), "KE")
}

// Chatty says whether a server with these flags reports every renewal as well.
func (f EventFlags) Chatty() bool {
	return strings.ContainsAny(string(f), "g$A") && strings.ContainsAny(string(f), "KE")
}

// ExpiredByEvent is the channels on which servers report expired keys of everybody, of any database.
const ExpiredByEvent = "__keyevent@*__:expired"

// ExpiredByKey is the channels on which servers report what happens to the leases of a service.
func ExpiredByKey(service string) string {
	// Names of services have no character that a pattern gives a meaning to.
	return "__keyspace@*__:{" + service + "-input*}:lease:*"
}

// ExpiredPattern is the channels to subscribe to for the expired leases of a service: by key, which brings our leases
// alone, unless it would bring all that ever happens to them, every renewal of everybody included; else by event. known
// says whether the flags are.
func ExpiredPattern(service string, flags EventFlags, known bool) string {
	has := func(some string) bool { return strings.ContainsAny(string(flags), some) }
	if known && has("K") && flags.Reports() && (!has("g$A") || !has("E")) {
		return ExpiredByKey(service)
	}
	return ExpiredByEvent
}
