// Package waitlist holds announcements that wait for their streams: each stream is held by another process, or by this one.
// A [List] says what to ask Redis for and when. It is passive: it starts no goroutine, reads no clock, makes no calls and waits
// for nothing but its own mutex. Its driver does all of that (engine/parked.go).
//
// # One stream
//
// Of one stream only the entry with the lowest ID is asked for, since asking for all of them would cost a script an announcement
// and round. A stream is in one of three states:
//
//	Park, or Nudge: due at once
//	    │
//	    ▼        TakeDue
//	 queued ──────────────────▶ asked for ───▶ Settle: its first entry leaves, or stays; Unanswered: it stays
//	    ▲ │                         │
//	    │ └───────▶ leaving         │
//	    │  TakeDue     │ Moved: its entries leave
//	    └──────────────┴────────────┘ if entries are left
//
// While a stream is asked for or leaving it is out of its partition's heap, so nothing of it comes out a second time.
//
// # When
//
// The delay between questions doubles from [FirstDelay] up to [MaxDelay] while the holder stays the same, and up to
// [MaxDelayChanged] once the holder has changed, less up to a quarter at random. It is no longer than what is left of the
// holder's lease. Nudge starts over and has the stream asked for at once: it was freed here, or a handler of it has ended. A
// stream that this process itself holds, or has a handler for, needs no question before that; it is looked at now and then all
// the same.
//
// A call without an answer holds back its partition ([List.Unanswered]), and may have taken the lease for the entry that it
// named. So that entry keeps its place and is asked for again, even if one with a lower ID has come meanwhile: to that one
// the lease would be somebody else's until it has expired.
//
// # Orderings that matter
//
//   - Whether a stream is held or busy here is looked at while the mutex is held ([Config]), and the stream is put back into the
//     heap before it is released. Whoever frees the stream takes it off the table first and calls Nudge then. So either the
//     look finds it free, or Nudge finds the stream in the heap and makes it due. With a look outside the mutex, a Nudge between
//     the look and the putting back would be lost, and the stream would wait for MaxDelay.
//   - Park looks at the session while the mutex is held, and a session is ended before Drop is called for it. So what is parked
//     with a session that is over is either dropped or not parked, never left behind.
//   - What is to be requeued stays in the list, leaving, until the driver has given it its next place and calls Moved. Whoever
//     asks for all that this process has to do with (the comparison with what is pending) looks here first and there next, and
//     must find each entry in one of the two. It finds some in both. An entry that is leaving cannot be withdrawn.
//   - Nothing is called while the mutex is held but the functions of Config. In particular nothing is requeued: whoever takes
//     entries in may call the list back.
//   - An answer is for what it was asked about ([Asked], [Leaving]), not for the stream's name: if that was dropped meanwhile, with
//     its session, the answer counts for nothing, and a stream of the same name that was parked since is not touched.
//   - The functions that return wake report that a partition has something to ask for sooner than TakeDue said last. The driver
//     has it looked at again. It may do so after the mutex is released: a look that is under way has seen the change, or is
//     followed by another one.
package waitlist
