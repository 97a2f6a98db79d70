// Package maintenance takes real servers away for longer than a session lasts, once announced as Redis Software announces
// it and once not, and counts what that costs.
package maintenance
