// Package quota bounds what a process takes in: [Streams] by how many streams it may own, [Memory] by the bytes of what was read
// and has no place yet. Both hand out room before anything is read or asked for, because two readers that both see one place
// free would both fill it. Both are passive: they start nothing, read no clock and never wait. Who finds no room waits elsewhere, and
// is woken by the function that Streams is given, or by whoever releases memory.
package quota
