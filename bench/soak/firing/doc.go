// Package firing is the part of the soak that fires ticks: processes own schedules and fire their ticks with engine/schedule, while somebody
// edits, pauses, triggers, deletes and puts schedules (editor), and troubles strike the processes, their connections and the cluster. It fails
// when a point of a grid is lost without a reason, or is lost and no tick says so, when a tick is fired by an owner that was already replaced,
// or again without a reason, when an edit is not in force in time, and when a state does not come along.
//
// Each process notes each tick that it fired (package ticker), the editor notes each change, and troubles note when they struck whom (package
// storm). In the end the three are compared (package fired).
package firing
