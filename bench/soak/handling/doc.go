// Package handling is the part of the soak that reads messages: processes own streams and handle their messages with engine/feed, while
// troubles strike the processes, their connections and the cluster. It fails when a message is missing, out of order, handled by an owner
// whose token was already replaced, or handled again without a reason.
//
// Each process (Reader) notes each message that it handled, with token and time (notes). The producer (load) numbers the messages of
// each stream. Troubles (package storm) note when they struck whom. In the end the streams themselves say what there was to handle, and the notes
// are compared with that (audit).
package handling
