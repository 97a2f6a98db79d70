package api

// Field is a name and a value: of an announcement, besides the stream and its
// Info, or of a message.
type Field = struct {
	// Name and Value may have any bytes; a name may repeat.
	Name, Value string
}

// MaxFields is how much of the fields of an announcement the owner of the stream
// gets, in bytes of names and values together.
const MaxFields = 1024
