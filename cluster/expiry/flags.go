package expiry

import "strings"

// Setting is the name of the server's setting for keyspace notifications.
const Setting = "notify-keyspace-events"

// Flags is the value of a server's [Setting].
type Flags string

// wanted is the flags for expired keys: by key, by event, and the event itself.
const wanted = "KEx"

// Missing returns the flags to add so that the server reports expired keys in the way that costs least. "A" stands for all
// kinds of events, not for K and E.
func (f Flags) Missing() (missing string) {
	for _, flag := range wanted {
		if !strings.ContainsRune(string(f), flag) && (flag != 'x' || !strings.Contains(string(f), "A")) {
			missing += string(flag)
		}
	}
	return missing
}

// Reports reports whether a server with these flags reports expired keys.
func (f Flags) Reports() bool {
	return strings.ContainsAny(string(f), "xA") && strings.ContainsAny(string(f), "KE")
}

// Chatty reports whether a server with these flags reports every renewal as well.
func (f Flags) Chatty() bool {
	return strings.ContainsAny(string(f), "g$A") && strings.ContainsAny(string(f), "KE")
}

// ByEvent is the pattern of the channels on which servers report expired keys of everybody, of any database.
const ByEvent = "__keyevent@*__:expired"

// ByKey returns the pattern of the channels on which servers report what happens to the leases of a service.
func ByKey(service string) string {
	// Names of services have no character that a pattern gives a meaning to.
	return "__keyspace@*__:{" + service + "-input*}:lease:*"
}

// Pattern returns the pattern to subscribe to for the expired leases of a service: by key, which brings our leases
// alone, unless it would bring all that ever happens to them, every renewal of everybody included; else by event. known
// reports whether the flags are known.
func Pattern(service string, flags Flags, known bool) string {
	has := func(some string) bool { return strings.ContainsAny(string(flags), some) }
	if known && has("K") && flags.Reports() && (!has("g$A") || !has("E")) {
		return ByKey(service)
	}
	return ByEvent
}
