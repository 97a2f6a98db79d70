// Package maintenance takes real servers down for longer than a session lasts, with and without notices as Redis Software sends
// them, and counts what that costs.
package maintenance
