// Package sumlog is a log that sums up what recurs: a message is written when it first occurs and after that at most once every
// ten seconds, with a count, no matter how many streams it concerns.
package sumlog
