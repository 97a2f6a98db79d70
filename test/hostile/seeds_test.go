package hostile

// none, given and owned are the first byte of an input with one entry: no dead consumer got it, or one had read it, or one had
// owned it.
const none, given, owned = 0, 4, 5

// seeds are inputs that went wrong once, or might. Package poison defines what the bytes of an entry mean; its kinds keep their
// order.
var seeds = []struct {
	what string
	data []byte
}{
	{"nothing at all", nil},
	{"a valid entry", []byte{none, 0}},
	{"valid entries of a dead owner", []byte{9, 0, 0, 0}},
	{"malformed entries", []byte{none, 5, 1, 0, 5, 1, 2, 5, 1, 9, 5, 1, 14, 5, 1, 19, 5, 1, 20, 5, 0, 3, '{', '"', 0xff}},
	{"malformed entries of a dead owner", []byte{15, 5, 1, 0, 5, 1, 2, 5, 1, 9, 5, 1, 14, 5, 1, 19, 5, 1, 20, 5, 0, 3, '{', '"', 0xff}},
	{"invalid names", []byte{none, 6, 1, 0, 6, 1, 1, 6, 1, 2, 6, 1, 3, 6, 1, 5, 6, 0, 17, 0}},
	{"a field twice, first malformed", []byte{given, 3, 1, 0, 1, 0}},
	{"a field twice, first valid", []byte{owned, 4, 1, 0}},
	{"a field thousands of times, first malformed", []byte{none, 3, 1, 0, 12, 57}},
	{"a field thousands of times, first malformed, of a dead reader", []byte{given, 3, 1, 0, 12, 57}},
	{"a field thousands of times, first valid", []byte{none, 4, 12, 57}},
	{"a field thousands of times, first valid, of a dead reader", []byte{given, 4, 12, 57}},
	{"a field thousands of times, first valid, of a dead owner", []byte{owned, 4, 12, 57}},
	{"our fields only", []byte{none, 2, 0, 0, 0}},
	{"our fields only, of a dead reader", []byte{given, 2, 0, 0, 0}},
	{"our fields only, of a dead owner", []byte{owned, 2, 0, 0, 0}},
	{"our fields only, all of them", []byte{given, 2, 2, 1, 2, 2, 2, 4, 4, 2, 2, 3, 3, 5, 2, 6, 1}},
	{"our fields thousands of times", []byte{given, 14, 2, 12, 57, 3}},
	{"keys of the service as names", []byte{none, 7, 0, 7, 2, 7, 3, 7, 5, 7, 6, 7, 7}},
	{"absurd counts", []byte{owned, 8, 0, 13, 8, 0, 14, 8, 1, 13, 8, 1, 15}},
	{"absurd times", []byte{given, 9, 0, 1, 9, 0, 17, 9, 0, 18, 9, 0, 13, 9, 0, 11}},
	{"wide entries", []byte{none, 10, 1, 12, 57, 10, 1, 12, 0, 11, 1, 12, 57}},
	{"wide entries of a dead owner", []byte{11, 10, 1, 12, 57, 10, 1, 12, 0, 11, 1, 12, 57}},
	{"large entries", []byte{none, 12, 19, 250, 13, 19, 250}},
	{"large entries of a dead owner", []byte{9, 12, 19, 250, 13, 19, 250}},
	{"a mixture", []byte{7, 1, 5, 0, 0, 1, 6, 1, 2, 2, 3, 1, 4, 1, 5, 5, 8, 1, 1, 0, 5, 3, 6, 6, 1, 2, 3, 4, 5, 6, 1}},
}
