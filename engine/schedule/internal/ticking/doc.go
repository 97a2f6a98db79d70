// Package ticking decides when one schedule fires: which of the ticks that are due begins, which are missed, and what is stored of that.
//
// It is passive: the time is an argument, in milliseconds since the epoch by the clock of the schedule's server, and what is to be done is a
// result. So the same code runs in production, and through a month in milliseconds.
package ticking
